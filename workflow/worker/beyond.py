"""Numbers in sentences that say that a limit was passed."""

from __future__ import annotations

FEWEST, MOST = 2, 17  # significant digits


def beyond(value: float, limit: float) -> str:
    """The number with two significant digits, or as many more as set it apart from a limit that it has passed."""
    for digits in range(FEWEST, MOST):
        text = f"{value:.{digits}g}"
        if abs(float(text)) != abs(limit):
            return f"{value:.0f}" if "e+" in text and abs(round(value)) != abs(limit) else text
    return f"{value:.17g}"
