"""Phrases that more than one message uses: near names, durations, the last line of what a program printed."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """The names that are most like a word, whatever its case; at most three."""
    lower = {name.lower(): name for name in known}
    return [lower[name] for name in get_close_matches(word.lower(), lower, n=3, cutoff=0.5)]


def suggestion(near: Iterable[str]) -> str:
    """The beginning of a hint: `did you mean …? `; empty if nothing is near."""
    names = " or ".join(f"`{name}`" for name in near)
    return f"did you mean {names}? " if names else ""


def did_you_mean(word: str, known: Iterable[str], *, most: int = 1, cutoff: float = 0.6) -> str:
    """`did you mean …? `, with the nearest of the words that are known, spelt as they are; empty if none is near."""
    return suggestion(get_close_matches(word, list(known), n=most, cutoff=cutoff))


def duration(seconds: float) -> str:
    """Seconds as `2 h 05 min`, `3 min 20 s` or `7 s`."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours} h {m:02d} min" if hours else f"{m} min {s:02d} s" if m else f"{s} s"


def rough_duration(seconds: float) -> str:
    """Seconds as `40 s` or `1.5 min`."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def minutes_in_words(minutes: int) -> str:
    """A time limit as `1 d 12 h` or `90 min`."""
    if minutes <= 120:
        return f"{minutes} min"
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    return " ".join(f"{n} {unit}" for n, unit in ((days, "d"), (hours, "h"), (rest, "min")) if n)


def last_line(text: str) -> str:
    """The last line that says something, without spaces around it; empty if none does."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def end_of_log(log: Path) -> str:
    """Last line of a log that says something, at most 200 letters of it."""
    return last_line(log.read_text(encoding="utf-8", errors="replace"))[:200]
