"""Draws lines of typescript with the defects of typewriters, ribbons, carbon paper and scanners.

The images are those that Tesseract gets of a line: grey, at some 150 dpi, with the background removed as in
`ocr.preprocessing`.
"""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from notaflow_pipeline.ocr.preprocessing.preprocess import without_background

Ink = NDArray[np.float32]

TYPEWRITERS = {
    "GNUTypewriter": 6,
    "SpecialElite_400Regular": 5,
    "CutiveMono_400Regular": 3,
    "CourierPrime_400Regular": 2,
    "Courier Prime": 2,
    "Courier Prime Bold": 3,
    "cmuntt": 2,
    "Cousine_400Regular": 1,
    "LibertinusMono_400Regular": 1,
    "XanhMono_400Regular": 1,
}
PRINT = {
    "LiberationSans-Regular": 2,
    "LiberationSans-Bold": 1,
    "LiberationSerif-Regular": 2,
    "DejaVuSans": 1,
    "DejaVuSerif": 1,
    "FreeSans": 1,
    "FreeSerif": 1,
    "cmunrm": 1,
}
"""Names of font files, and how often each is taken: typewriters three times in four."""

SHARE_OF_PRINT = 0.25
EM_PIXELS = (40, 44, 48)
"""Of the type when it is drawn: ten to twelve points at 300 dpi."""

ROOM = 40


def fonts_of(folders: list[Path]) -> dict[str, Path]:
    """The wanted fonts among the files of these folders; at least one typewriter, or there is nothing to learn."""
    files = {path.stem: path for folder in folders for path in folder.rglob("*") if path.suffix in {".ttf", ".otf"}}
    return {name: files[name] for name in (*TYPEWRITERS, *PRINT) if name in files}


@lru_cache(maxsize=64)
def _font(path: Path, pixels: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), pixels)


@lru_cache(maxsize=10_000)
def _has(path: Path, letter: str) -> bool:
    font = _font(path, 20)
    return letter == " " or bytes(font.getmask(letter)) != bytes(font.getmask("\uffff"))


@dataclass(frozen=True)
class Typewriter:
    """A font, and how regular its letters are."""

    font: ImageFont.FreeTypeFont
    pitch: float  # pixels from letter to letter; 0 for print
    shake: float
    unevenness: float
    double: bool


class Drawing:
    """Pictures of lines, at random."""

    def __init__(self, rng: np.random.Generator, fonts: dict[str, Path]) -> None:
        self._rng = rng
        self._fonts = fonts

    def line(self, text: str) -> Image.Image | None:
        """A picture of a line; None where no font has all its letters."""
        machine = self._machine(text)
        if machine is None:
            return None
        struck = self._struck(machine, text)
        ink = self._spread(struck)
        page = self._on_paper(ink)
        scan = self._scanned(page)
        return self._cut_out(without_background(scan), struck)

    def _machine(self, text: str) -> Typewriter | None:
        names = PRINT if self._happens(SHARE_OF_PRINT) else TYPEWRITERS
        able = {name: often for name, often in names.items() if name in self._fonts}
        able = {name: often for name, often in able.items() if all(_has(self._fonts[name], letter) for letter in text)}
        if not able:
            return None
        weights = np.array(list(able.values()), dtype=float)
        name = list(able)[self._rng.choice(len(able), p=weights / weights.sum())]
        font = _font(self._fonts[name], int(self._rng.choice(EM_PIXELS)))
        typed = names is TYPEWRITERS
        return Typewriter(
            font=font,
            pitch=font.getlength("n") * self._between(0.97, 1.06) if typed else 0.0,
            shake=float(self._rng.choice([0, 0.5, 1, 1.6])) if typed else 0.0,
            unevenness=float(self._rng.choice([0, 0.05, 0.12, 0.2])) if typed else 0.0,
            double=typed and self._happens(0.25),
        )

    def _struck(self, machine: Typewriter, text: str) -> Ink:
        """The ink of each letter where its type hits the paper, from 0 to 1."""
        em = int(machine.font.size)
        height, base = 2 * em, round(1.4 * em)
        width = math.ceil(sum(self._advance(machine, letter) for letter in text)) + 2 * ROOM
        ink = np.zeros((height, width), np.float32)
        bent = {letter: self._between(-0.75, 0.75) * machine.shake for letter in sorted(set(text))}
        slope = self._between(-0.006, 0.006)
        at = float(ROOM)
        for letter in text:
            if letter != " ":
                x = at + self._rng.normal(0, machine.shake * 0.9) if machine.shake else at
                y = base + bent[letter] + self._rng.normal(0, machine.shake) + (at - width / 2) * slope
                stamp = Image.new("L", (round(2.2 * em), height))
                inset = 0.3 * em
                ImageDraw.Draw(stamp).text((inset + x % 1, y), letter, font=machine.font, fill=255, anchor="ls")
                strength = max(0.45, 1 - abs(self._rng.normal(0, machine.unevenness)))
                one = np.asarray(stamp, np.float32) / 255 * strength
                one = np.maximum(one, np.roll(one, 1, axis=1)) if machine.double else one
                left = max(0, int(x) - int(inset))
                right = min(width, left + one.shape[1])
                ink[:, left:right] = np.maximum(ink[:, left:right], one[:, : right - left])
            at += self._advance(machine, letter)
        return ink

    def _advance(self, machine: Typewriter, letter: str) -> float:
        return machine.pitch or machine.font.getlength(letter)

    def _spread(self, struck: Ink) -> Ink:
        """The ink as ribbon and paper leave it: thick or thin, run together or broken up, underlined now and then."""
        image = Image.fromarray((struck * 255).astype(np.uint8))
        if self._happens(0.35):
            image = image.filter(ImageFilter.MaxFilter(3))
        if self._happens(0.6):
            image = image.filter(ImageFilter.GaussianBlur(self._between(0.6, 2.4)))
            if self._happens(0.7):
                low = self._between(25, 90)
                span = self._between(40, 160)
                image = image.point([min(255, max(0, int((value - low) * 255 / span))) for value in range(256)])
        if self._happens(0.08):
            y = round(image.height * 0.7) + int(self._rng.integers(8, 13))
            ends = (ROOM, y, image.width - ROOM, y + int(self._rng.integers(-2, 3)))
            ImageDraw.Draw(image).line(
                ends, fill=int(self._rng.integers(150, 256)), width=int(self._rng.integers(2, 5))
            )
        ink = np.asarray(image, np.float32) / 255
        if self._happens(0.5):  # the weave of the ribbon
            ink = ink * np.clip(1 - self._between(0, 0.5) * np.abs(self._cloud(ink.shape, 4)), 0, 1)
        return ink

    def _on_paper(self, ink: Ink) -> Image.Image:
        paper = self._between(150, 245)
        dark = min(self._between(10, 110), paper - 60)
        page = paper - (paper - dark) * ink * self._between(0.6, 1)
        page += self._rng.normal(0, float(self._rng.choice([0, 1, 3, 6, 10])), ink.shape)
        if self._happens(0.15):  # grain of coarse film and bad copies
            page += self._cloud(ink.shape, 2) * self._between(4, 18)
        if self._happens(0.1):  # the other side shines through
            other = np.roll(ink[:, ::-1], int(self._rng.integers(-8, 9)), axis=0)
            page -= other * self._between(5, 25)
        image = Image.fromarray(np.clip(page, 0, 255).astype(np.uint8))
        return image.filter(ImageFilter.GaussianBlur(self._between(0.4, 2.0))) if self._happens(0.5) else image

    def _scanned(self, page: Image.Image) -> Image.Image:
        """At 130 to 190 dpi for the most part, sometimes after a coarse scan that was compressed too much."""
        factor = self._between(0.42, 0.62) if self._happens(0.75) else self._between(0.62, 0.9)
        if self._happens(0.4):
            coarse = _compressed(_resized(page, self._between(0.38, 0.5)), int(self._rng.integers(30, 81)))
            size = (max(1, round(page.width * factor)), max(1, round(page.height * factor)))
            return coarse.resize(size, Image.Resampling.BICUBIC)
        scan = _resized(page, factor)
        return _compressed(scan, int(self._rng.integers(40, 91))) if self._happens(0.4) else scan

    def _cut_out(self, scan: Image.Image, struck: Ink) -> Image.Image:
        """The line with a little paper around it, as Tesseract's layout hands it to its network."""
        small = Image.fromarray((struck * 255).astype(np.uint8)).resize(scan.size, Image.Resampling.BOX)
        box = small.point([255 if value > 40 else 0 for value in range(256)]).getbbox() or (0, 0, *scan.size)
        left, top, right, bottom = (int(pad) for pad in self._rng.integers(0, 5, 4))
        return scan.crop(
            (
                max(0, box[0] - left - 1),
                max(0, box[1] - top),
                min(scan.width, box[2] + right + 1),
                min(scan.height, box[3] + bottom),
            )
        )

    def _cloud(self, shape: tuple[int, ...], grain: int) -> Ink:
        """Noise of this grain (pixels), with a deviation of about one."""
        height, width = shape
        coarse = self._rng.normal(0, 1, (height // grain + 2, width // grain + 2)).astype(np.float32)
        return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))

    def _between(self, low: float, high: float) -> float:
        return float(self._rng.uniform(low, high))

    def _happens(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)


def _resized(image: Image.Image, factor: float) -> Image.Image:
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.BOX)


def _compressed(image: Image.Image, quality: int) -> Image.Image:
    written = io.BytesIO()
    image.save(written, "JPEG", quality=quality)
    return Image.open(written).convert("L")


def sheet_of(images: Iterator[Image.Image], lines: int = 24) -> Image.Image:
    """Some lines below each other, to look at."""
    page = Image.new("L", (1400, 60 * lines), 255)
    for number in range(lines):
        page.paste(next(images), (8, 60 * number + 10))
    return page
