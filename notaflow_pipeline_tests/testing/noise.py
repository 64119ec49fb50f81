"""Seeded noise, the same in every run."""

import numpy as np
from PIL import Image, ImageChops


def noise_image(size: tuple[int, int], deviation: float, *, seed: int = 0) -> Image.Image:
    """Return normally distributed grey around 128, as `Image.effect_noise` draws it without a seed."""
    drawn = np.random.default_rng(seed).normal(128, deviation, (size[1], size[0]))
    return Image.fromarray(np.clip(drawn, 0, 255).astype(np.uint8))


def noisy(image: Image.Image, deviation: float, *, seed: int = 0) -> Image.Image:
    """Return the image with noise of this standard deviation on it."""
    return ImageChops.add(image, noise_image(image.size, deviation, seed=seed), offset=-128)
