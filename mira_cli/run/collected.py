"""Whether the tables of a run are the answer to what it wants now; times have no say in it, since clocks disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mira_cli.files import content_sha256, read_json
from mira_cli.run.directory import RESULTS

if TYPE_CHECKING:
    from mira_cli.run.directory import RunDirectory


def wanted_sha256(run: RunDirectory) -> str | None:
    """Hash of all that the tables must hold; None where nothing is known of it."""
    try:
        return content_sha256(run.wanted)
    except OSError:
        return None


def is_collected(run: RunDirectory, *, records: int | None = None) -> bool:
    """True if the results are there and were written for what the run wants now; of so many `records`, if given."""
    try:
        said = read_json(run.collected)
        there = all((run.root / name).is_file() for name in RESULTS)
    except OSError:
        return False
    if not isinstance(said, dict) or not there or said.get("wanted") is None:
        return False
    return said["wanted"] == wanted_sha256(run) and records in {None, said.get("records")}
