"""What executors see of a job's files: whether it has left its result, and the log in which it is said why it ended.

Runs inside Snakemake, which hands the jobs over.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

Stamp = tuple[int, int] | None


def stamps(job: Any) -> list[Stamp]:
    """Inode and time of each output of a job, None where it is not there."""
    found: list[Stamp] = []
    for file in job.output:
        try:
            about = os.stat(str(file))  # noqa: PTH116  (the output is a string of Snakemake's)
        except OSError:
            found.append(None)
        else:
            found.append((about.st_ino, about.st_mtime_ns))
    return found


def has_new_result(job: Any, before: set[Stamp]) -> bool:
    """Whether a job has written all of its output; `before`: the stamps of what was there when it was submitted."""
    now = stamps(job)
    return None not in now and not before.intersection(now)


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
