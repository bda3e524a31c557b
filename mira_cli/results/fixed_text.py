"""Many numbers as text of fixed width at once: what `" %16.8f"` makes of each, in a quarter of the time."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

WIDTH = 17
FORM = " %16.8f"
WHOLE = 10_000  # what is this large or larger is written one by one
LAYOUT = np.dtype([("whole", "<u8"), ("point", "u1"), ("high", "<u4"), ("low", "<u4")])  # packed: 17 bytes
UNSURE = 4e-16  # relative error of a product, and a little more


def fixed_text(values: Array) -> tuple[Array, Array]:
    """Write (n, k) numbers; returns (n, 17 k) bytes, and (n,) whether a row has a number that is wider than that."""
    size = np.abs(values)
    with np.errstate(invalid="ignore"):
        scaled = size * 1e8
        digits = np.rint(scaled)
        # where rounding of the product could decide which way to round, and for large numbers and those that are none
        odd = ~((size < WHOLE - 1) & (np.abs(scaled - digits) < 0.5 - UNSURE * scaled))
    number = np.where(odd, 0, digits).astype(np.int64)
    whole = number // 100_000_000  # divmod takes several times as long as division by a constant
    decimals = (number - whole * 100_000_000).astype(np.int32)
    high = decimals // 10_000
    low = decimals - high * 10_000
    wholes, fours = _tables()
    text = np.empty(values.shape, LAYOUT)
    text["whole"] = wholes[whole + WHOLE * np.signbit(values)]
    text["point"] = ord(".")
    text["high"], text["low"] = fours[high], fours[low]
    wide = np.zeros(len(values), dtype=bool)
    for i, j in np.argwhere(odd).tolist():
        word = (FORM % values[i, j]).encode()
        if len(word) == WIDTH:
            text[i, j] = np.frombuffer(word, LAYOUT)[0]
        else:
            wide[i] = True
    return np.ascontiguousarray(text).view(np.uint8).reshape(len(values), -1), wide


@cache
def _tables() -> tuple[Array, Array]:
    """Whole parts with a sign, positive ones first, as eight letters; and four digits as four."""
    wholes = [f"{sign}{number}".rjust(8) for sign in ("", "-") for number in range(WHOLE)]
    fours = [f"{number:04d}" for number in range(10_000)]
    return np.frombuffer("".join(wholes).encode(), "<u8"), np.frombuffer("".join(fours).encode(), "<u4")
