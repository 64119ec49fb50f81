"""Who reads the text off a page image: the engines that there are, behind one interface."""

from notaflow_pipeline.ocr.engines.interface import NOTHING, Engine, Recognition, Segmentation, WordEngine
from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.engines.onnx.engine import OnnxEngine
from notaflow_pipeline.ocr.engines.selection import EngineName, choose_engine
from notaflow_pipeline.ocr.engines.tesseract_library import TesserocrEngine
from notaflow_pipeline.ocr.engines.tesseract_program import TesseractEngine

__all__ = [
    "NOTHING",
    "Engine",
    "EngineName",
    "NullEngine",
    "OnnxEngine",
    "Recognition",
    "Segmentation",
    "TesseractEngine",
    "TesserocrEngine",
    "WordEngine",
    "choose_engine",
]
