"""OCR engines, one module each: what it needs, how it is called, and what its errors mean."""
