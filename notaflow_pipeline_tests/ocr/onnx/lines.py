"""Line images for tests, and the text that a network reads from them."""

import random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from notaflow_pipeline.ocr.engines.onnx.model.session import LineModel

SENTENCES = (
    "Le vendeur vend avec garantie",
    "le lot numero 4 512 873 du cadastre",
    "devant Me Tremblay, notaire a Laval,",
    "The purchaser shall pay $12,500.00",
    "(voir l'acte numero 88-1204)",
)


def random_line(seed: int, width: int) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).normal(0, 0.7, (36, width))
    return np.clip(values, -1, 1).astype(np.float32)


def drawn_line(text: str, seed: int) -> Image.Image:
    """Returns an image of a line 36 pixels high, slightly blurred and grainy."""
    font = ImageFont.load_default(size=22)
    image = Image.new("L", (int(font.getlength(text)) + 16, 36), 235)
    ImageDraw.Draw(image).text((8, 4), text, fill=45, font=font)
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(random.Random(seed).uniform(0.2, 0.8)))).astype(float)
    grain = np.random.default_rng(seed).normal(0, 6, pixels.shape)
    return Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))


def stretched(image: Image.Image) -> NDArray[np.float32]:
    """Returns the shades from -1 to 1 between the image's extremes, which for drawn lines are ink and paper."""
    pixels = np.asarray(image).astype(np.float32)
    black, white = np.quantile(pixels, 0.02), np.quantile(pixels, 0.6)
    return np.asarray(np.clip(2 * (pixels - black) / (white - black) - 1, -1, 1), np.float32)


def best_text(model: LineModel, line: NDArray[np.float32]) -> str:
    """Returns the text of the best class of each step."""
    best = model.probabilities(line).argmax(axis=1)
    runs = best[np.append(True, best[1:] != best[:-1])]
    return " ".join("".join(model.charset.texts[number] for number in runs).split())
