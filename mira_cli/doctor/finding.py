"""What a check says: one line about one thing, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line. `fail` means that a run with default settings could not work here."""

    status: Status
    name: str
    message: str
    hint: str | None = None


@dataclass(frozen=True)
class Check:
    """A function that looks at one part of the machine, and what it means if it never comes back."""

    group: str
    name: str
    look: Callable[[], Iterator[Finding]]
    if_stuck: str  # hint
    needed: bool = False  # whether no run can work if it never comes back


def ok(name: str, message: str) -> Finding:
    """All is well, or there is nothing to be well."""
    return Finding("ok", name, message)


def warned(name: str, message: str, hint: str | None = None) -> Finding:
    """Something is missing or odd, but a run can work."""
    return Finding("warn", name, message, hint)


def failed(name: str, message: str, hint: str | None = None) -> Finding:
    """A run with default settings could not work here."""
    return Finding("fail", name, message, hint)
