"""Tests of Tesseract's network on ONNX Runtime."""
