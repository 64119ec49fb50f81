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
  const colour = (one) => getComputedStyle(one)[one.closest("svg") ? "fill" : "color"];
  const ground = (one) => {
    for (; one; one = one.parentElement) {
      const behind = numbers(getComputedStyle(one).backgroundColor);
      if (behind[3] !== 0) return behind;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *")]
    .filter((one) => [...one.childNodes].some((child) => child.nodeType === 3 && child.data.trim()))
    .filter((one) => one.checkVisibility() && numbers(colour(one))[3] !== 0)
    .map((one) => {
      const [text, behind] = [luminance(numbers(colour(one))), luminance(ground(one))];
      return [one.textContent.trim().slice(0, 60), (Math.max(text, behind) + 0.05) / (Math.min(text, behind) + 0.05)];
    });
}"""


def contrasts(page: "Page") -> list[tuple[str, float]]:
    """Return each text that is shown, those of charts among them, with the contrast of its colour to the background."""
    return [(text, value) for text, value in page.evaluate(_CONTRASTS)]
