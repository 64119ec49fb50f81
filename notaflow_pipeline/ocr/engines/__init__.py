"""OCR engines, one module each: its requirements, its calls and its errors."""
