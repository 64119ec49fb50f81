"""Measures whether the texts of a page in a browser can be told from their background."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

MIN_CONTRAST = 4.5
"""What WCAG 2.2 asks for at level AA for text of ordinary size."""

_CONTRASTS = """() => {
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const ground = (one) => {
    for (; one; one = one.parentElement) {
      const colour = numbers(getComputedStyle(one).backgroundColor);
      if (colour[3] !== 0) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *")]
    .filter((one) => !one.closest("svg") && one.checkVisibility())
    .filter((one) => [...one.childNodes].some((child) => child.nodeType === 3 && child.data.trim()))
    .map((one) => {
      const [text, behind] = [luminance(numbers(getComputedStyle(one).color)), luminance(ground(one))];
      return [one.textContent.trim().slice(0, 60), (Math.max(text, behind) + 0.05) / (Math.min(text, behind) + 0.05)];
    });
}"""


def contrasts(page: "Page") -> list[tuple[str, float]]:
    """Return each text that is shown outside of charts, with the contrast of its colour to the background."""
    return [(text, value) for text, value in page.evaluate(_CONTRASTS)]
