"""The confidence interval of a proportion, which daily tables, reports and alerts all use."""

from math import sqrt

Z_95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution, which bounds a two-sided interval of 95 %."""


def wilson_interval(successes: int, trials: int) -> tuple[float, float] | None:
    """Return the 95 % interval of a proportion, 0 to 1; None without trials.

    Unlike the textbook interval it holds for few trials and for proportions near 0: E. B. Wilson, Probable inference, the
    law of succession, and statistical inference, JASA 22 (1927).
    """
    if trials == 0:
        return None
    proportion = successes / trials
    weight = Z_95**2 / trials
    centre = proportion + weight / 2
    margin = Z_95 * sqrt(proportion * (1 - proportion) / trials + weight / (4 * trials))
    return max(0.0, (centre - margin) / (1 + weight)), min(1.0, (centre + margin) / (1 + weight))
