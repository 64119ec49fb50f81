"""Runs the network of a Tesseract model on ONNX Runtime, one line at a time in one thread.

Models are converted in memory when they are loaded, which takes 3 to 11 ms, so nothing is kept on disk. Lines
are not batched: with 8 bits the scale of a batch would change what its lines give.
"""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from notaflow_pipeline.ocr.engines.interface import missing_language_error
from notaflow_pipeline.ocr.engines.model_files import SUFFIX, installed_languages, models_of
from notaflow_pipeline.ocr.engines.onnx.model.arithmetic import best_arithmetic
from notaflow_pipeline.ocr.engines.onnx.model.borders import border_maxima, noise_for
from notaflow_pipeline.ocr.engines.onnx.model.charset import Charset, read_charset
from notaflow_pipeline.ocr.engines.onnx.model.conversion import Arithmetic, to_onnx
from notaflow_pipeline.ocr.engines.onnx.model.dictionary import Dictionaries, read_dictionaries
from notaflow_pipeline.ocr.engines.onnx.model.network import POOL, Network, read_network
from notaflow_pipeline.ocr.engines.onnx.model.runtime import run, start_session
from notaflow_pipeline.ocr.engines.onnx.model.traineddata import Component, read_traineddata

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MAX_LOADED_MODELS = 4
"""Languages that stay loaded; one more takes 1 to 3 MB."""


@dataclass(frozen=True, eq=False)
class LineModel:
    """A model that is ready to read lines. `null_class` is the class of steps without a character."""

    name: str
    charset: Charset
    null_class: int
    dictionaries: Dictionaries
    arithmetic: Arithmetic
    _session: "InferenceSession" = field(repr=False)
    _network: Network = field(repr=False)

    def probabilities(self, line: NDArray[np.float32]) -> NDArray[np.float32]:
        """How likely each class is at each step of a line: `(steps, classes)`, rows of sum 1.

        Args:
            line: `(LINE_HEIGHT, width)`, from -1 (black) to 1. A step is three columns in Tesseract's fast models.

        Raises:
            DocumentFailure: there is not enough memory for a line of this width.
        """
        width = line.shape[1]
        if width < POOL:
            return np.zeros((0, len(self.charset.texts)), np.float32)
        noise = noise_for(self._network.iteration, width)
        return run(self._session, line=line, border=border_maxima(line, noise, self._convolution))

    @cached_property
    def _convolution(self) -> NDArray[np.float32]:
        return self._network.convolution.floats


@lru_cache(maxsize=MAX_LOADED_MODELS)
def load_model(language: str) -> LineModel:
    """The model of one language, Tesseract's code or the name of a model of ours; it stays loaded.

    Raises:
        EngineUnavailable: ONNX Runtime or the model is not installed, or the model is damaged (`DamagedModel`) or of a
            kind that only Tesseract runs (`UnsupportedModel`).
    """
    models = models_of(language)
    path = (models.folder or Path()) / f"{models.names}{SUFFIX}"
    if not path.is_file():
        raise missing_language_error(language, installed_languages())
    return load_file(path, best_arithmetic())


def load_file(path: Path, arithmetic: Arithmetic) -> LineModel:
    """The model of a `.traineddata` file; see `load_model`."""
    trained = read_traineddata(path)
    network = read_network(trained.component(Component.LSTM), trained.name)
    charset = read_charset(trained, network.classes, network.null_class)
    dictionaries = read_dictionaries(trained, charset)
    session = start_session(to_onnx(network, arithmetic))
    return LineModel(trained.name, charset, network.null_class, dictionaries, arithmetic, session, network)
