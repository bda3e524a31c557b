"""Numbers as Fortran writes them: `1.0D+00`."""

from __future__ import annotations

import re

EXPONENTS = "numbers have Fortran's exponents (`1.0D+00`)"  # the note
NUMBER = re.compile(r"(?<![\w.])([+-]?(?:\d+\.?\d*|\.\d+))[dD]([+-]?\d{1,3})(?![\w.])")
# in prose and labels, where `3D2` may be a word
IN_PROSE = re.compile(r"(?<![\w.])([+-]?(?:\d+\.\d*|\.\d+))[dD]([+-]?\d{1,3})(?![\w.])")


def with_e(text: str, number: re.Pattern[str] = NUMBER) -> str:
    """A text with `e` in the exponents of its numbers."""
    return number.sub(r"\1e\2", text)
