"""How far stories of many evaluations are, from the files that workers rewrite now and then (`worker/progress.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic_core import from_json

from mira_cli.console import count

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True)
class LongStories:
    """Evaluations of running jobs so far, structures that these have begun, and evaluations of the longest of them."""

    evaluations: int
    under_way: int
    longest: int

    def __str__(self) -> str:
        """In words."""
        longest = f"the longest after {count(self.longest, 'evaluation')}"
        return f"{count(self.evaluations, 'evaluation')}, {count(self.under_way, 'structure')} under way, {longest}"


def long_stories(jobs: Iterable[Path]) -> LongStories | None:
    """Sum up the folders of records of running jobs; None where no story is long."""
    names = ("evaluations", "under_way", "longest")
    told = []
    for folder in jobs:
        try:
            said = from_json((folder / "progress.json").read_bytes())
        except (OSError, ValueError):  # not there, or out of sight for now
            continue
        if isinstance(said, dict) and all(isinstance(said.get(name), int) for name in names):
            told.append([said[name] for name in names])
    if not told:
        return None
    evaluations, under_way, longest = zip(*told, strict=True)
    return LongStories(sum(evaluations), sum(under_way), max(longest))
