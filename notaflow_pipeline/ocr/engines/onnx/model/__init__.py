"""The models: read from Tesseract's files, converted to ONNX, and run."""
