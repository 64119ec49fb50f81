"""Draws pages as a scanner would give them, with the defects of scans."""

import math
from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from scripts.samples.marks import Mark, Rule, Size, Stamp, Text, font

SEED = 20251010


def draw_typed(draw: ImageDraw.ImageDraw, mark: Text, dpi: int, rng: np.random.Generator) -> None:
    """Draw typescript: each character a little too high or low, with ink that varies along the line."""
    pixels = dpi / 72
    face = font(mark.font, mark.size * pixels)
    pitch = face.getlength("n")
    wave = rng.uniform(0, 6.28)
    for position, character in enumerate(mark.text):
        offset = (ord(character) * 7 % 5 - 2) * 0.16  # each character has the same offset everywhere
        y = mark.baseline + offset + rng.normal(0, 0.22)
        ribbon = 18 * math.sin(wave + position / 9) + rng.normal(0, 14)
        ink = int(np.clip(mark.ink + ribbon, 0, 200))
        draw.text((mark.x * pixels + position * pitch, y * pixels), character, font=face, fill=ink, anchor="ls")


def draw_handwritten(draw: ImageDraw.ImageDraw, mark: Text, dpi: int, rng: np.random.Generator) -> None:
    """Draw handwriting word by word, with varying height, size and ink."""
    pixels = dpi / 72
    face = font(mark.font, round(mark.size * pixels * rng.uniform(0.95, 1.05), 1))
    x = mark.x * pixels
    for word in mark.text.split(" "):
        y = (mark.baseline + rng.normal(0, 0.7)) * pixels
        ink = int(np.clip(mark.ink + rng.normal(0, 22), 0, 150))
        draw.text((x, y), word, font=face, fill=ink, anchor="ls")
        x += face.getlength(word + " ") * rng.uniform(0.98, 1.08)


def draw_stamp(image: Image.Image, stamp: Stamp, dpi: int, rng: np.random.Generator) -> None:
    """Draw a stamp over the page, with patches without ink."""
    pixels = dpi / 72
    size = (int(150 * pixels), int((14 + 17 * len(stamp.lines)) * pixels))
    ink = Image.new("L", size, 0)
    draw = ImageDraw.Draw(ink)
    draw.rectangle((2, 2, size[0] - 3, size[1] - 3), outline=210, width=int(1.8 * pixels))
    for row, line in enumerate(stamp.lines):
        face = font("sans-bold", (15 if row == 0 else 9.5) * pixels)
        draw.text((size[0] / 2, (15 + 17 * row) * pixels), line, font=face, fill=200, anchor="mm")
    patches = Image.fromarray(rng.uniform(0.52, 1.5, (9, 24)).clip(0, 1).astype("float32")).resize(size)
    ink = Image.fromarray((np.asarray(ink) * np.asarray(patches)).astype("uint8"))
    ink = ink.rotate(-stamp.angle, expand=True, resample=Image.Resampling.BICUBIC)
    corner = (int(stamp.x * pixels - ink.width / 2), int(stamp.y * pixels - ink.height / 2))
    image.paste(30, corner, ink)


def on_paper(marks: Iterable[Mark], page: Size, dpi: int, rng: np.random.Generator) -> Image.Image:
    """Draw marks on a white sheet, in grey."""
    pixels = dpi / 72
    image = Image.new("L", (round(page[0] * pixels), round(page[1] * pixels)), 255)
    draw = ImageDraw.Draw(image)
    for mark in marks:
        if isinstance(mark, Stamp):
            draw_stamp(image, mark, dpi, rng)
        elif isinstance(mark, Rule):
            ends = [value * pixels for value in mark[:4]]
            draw.line(ends, fill=mark.ink, width=max(1, round(mark.width * pixels)))
        elif mark.font.startswith("typed"):
            draw_typed(draw, mark, dpi, rng)
        elif mark.font in {"script", "school", "pen"}:
            draw_handwritten(draw, mark, dpi, rng)
        else:
            face = font(mark.font, round(mark.size * pixels, 1))
            draw.text((mark.x * pixels, mark.baseline * pixels), mark.text, font=face, fill=mark.ink, anchor="ls")
    return image


# A defect of a scan, which takes and returns a grey image.
Defect = Callable[[Image.Image, np.random.Generator], Image.Image]


def grained(amount_of_grain: float = 26, blur: float = 0.7) -> Defect:
    """Blur the edges and add grain, as any scanner does."""

    def defect(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        soft = np.asarray(image.filter(ImageFilter.GaussianBlur(blur)), dtype="float32")
        grain = rng.normal(0, amount_of_grain, (image.height // 2 + 1, image.width // 2 + 1)).astype("float32")
        grain = grain.repeat(2, 0).repeat(2, 1)[: image.height, : image.width]
        return Image.fromarray((soft + grain).clip(0, 255).astype("uint8"))

    return defect


def skewed(degrees: float) -> Defect:
    """Turn the sheet by a small angle."""

    def defect(image: Image.Image, rng: np.random.Generator) -> Image.Image:  # noqa: ARG001
        return image.rotate(degrees, resample=Image.Resampling.BICUBIC, fillcolor=255)

    return defect


def salt_and_pepper(share: float) -> Defect:
    """Turn single pixels black or white."""

    def defect(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        pixels = np.array(image)
        draws = rng.random(pixels.shape)
        pixels[draws < share / 2] = 0
        pixels[draws > 1 - share / 2] = 255
        return Image.fromarray(pixels)

    return defect


def speckled(specks: int) -> Defect:
    """Scatter dust of up to five pixels."""

    def defect(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        dusty = image.copy()
        draw = ImageDraw.Draw(dusty)
        for _ in range(specks):
            x, y, radius = rng.uniform(0, image.width), rng.uniform(0, image.height), rng.uniform(0.4, 2.2)
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)
        return dusty

    return defect


def dark_borders(share: float = 0.02) -> Defect:
    """Add dark borders, as around a sheet smaller than the glass."""

    def defect(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        pixels = np.array(image)
        for turn, factor in enumerate((1.0, 0.5, 0.4, 0.9)):
            side = np.rot90(pixels, turn)
            walk = np.cumsum(rng.normal(0, 0.35, side.shape[0]))
            depth = side.shape[1] * share * factor + walk - walk.mean()
            side[np.arange(side.shape[1])[None, :] < depth[:, None]] = 12
        return Image.fromarray(pixels)

    return defect


def faded(dark: int, light: int) -> Defect:
    """Reduce the contrast, on paper with darker patches."""

    def defect(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        patches = Image.fromarray(rng.normal(0, 5, (9, 7)).astype("float32"))
        tone = np.asarray(patches.resize(image.size, Image.Resampling.BICUBIC))
        grey = dark + np.asarray(image, dtype="float32") * (light - dark) / 255 + tone
        return Image.fromarray(grey.clip(0, 255).astype("uint8"))

    return defect


def gutter(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Darken the fold of an open book."""
    middle = image.width / 2 + rng.normal(0, 4)
    shade = 150 * np.exp(-np.abs(np.arange(image.width) - middle) / (image.width * 0.012))
    return Image.fromarray((np.asarray(image, dtype="float32") - shade).clip(0, 255).astype("uint8"))


def negative(image: Image.Image, rng: np.random.Generator) -> Image.Image:  # noqa: ARG001
    """Invert the page, as on photostats."""
    return ImageOps.invert(image)
