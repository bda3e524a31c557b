"""What executors do with a job's files: its result, and the log in which it is said why it ended.

Runs inside Snakemake, which hands the jobs over.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def clear(job: Any) -> None:
    """Remove the output that an earlier try of a job has left: what is there afterwards is of the job to come."""
    for file in job.output:
        Path(file).unlink(missing_ok=True)


def has_left_its_result(job: Any) -> bool:
    """Whether a job has written all of its output, which was cleared when it was submitted."""
    return all(Path(file).exists() for file in job.output)


def have_left_their_results(jobs: Sequence[Any]) -> list[bool]:
    """Whether each job has left its result, at the price of a list of each folder in place of a look at each file."""
    names: dict[str, set[str]] = {}

    def is_there(file: str) -> bool:
        folder, name = os.path.split(file)
        if folder not in names:
            names[folder] = _names_in(folder)
        return name in names[folder]

    return [all(is_there(str(file)) for file in job.output) for job in jobs]


def _names_in(folder: str) -> set[str]:
    try:
        return set(os.listdir(folder or "."))  # noqa: PTH208  (names alone, without a path for each)
    except OSError:  # not there yet, or out of sight for now
        return set()


def note_in_log(job: Any, line: str, *, unless_it_speaks: bool = False) -> None:
    """Append a line to the rule's own log; a full disk is no reason to lose sight of a job.

    With `unless_it_speaks`, only where the job itself has said nothing, which says more than the scheduler knows.
    """
    for file in (Path(str(name)) for name in list(job.log)[:1]):
        try:
            if unless_it_speaks and file.is_file() and file.stat().st_size > 0:
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
        except OSError:
            pass
