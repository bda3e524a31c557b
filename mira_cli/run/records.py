"""Records: what workers found, one line a structure. They are the truth of a run; everything else follows from them.

A worker appends to `work/records/MODEL/KEY/JOB/records.jsonl`, with `attempt` lines that say who computed what follows,
and to a file for each array of the task (`forces.f64`: little-endian float64, three to an atom). A torn last line is
what a kill leaves; it is left out.

There may be millions. So one pass finds where each record is, and `run/best_records.py` reads them for some structures
at a time. Places in files that do not change any more are kept in `work/records/MODEL/KEY/located.npz`, which can be
deleted at any time.
"""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.files import replacing
from mira_cli.run import lines
from mira_cli.run.lines import equal, parse_lines, ranks
from mira_cli.stamps import stamp_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mira_cli.tasks import Task

    Array = np.ndarray[Any, Any]

NUMBER_BYTES = 8
LOCATION = np.dtype(  # how good a record is, and byte offsets of its line and of the attempt before it (-1: none)
    [("structure", "S32"), ("rank", "u1"), ("file", "<i4"), ("offset", "<i8"), ("bytes", "<i4"), ("attempt", "<i8")]
)
AT_ONCE = 16_000_000  # bytes of a file
LOCATED = "located.npz"


def locate_records(folder: Path, task: Task, *, remember: bool = False) -> tuple[Array, list[Path]]:
    """All records below a model's folder in the order in which they were written (`LOCATION`), and their files.

    Parameters
    ----------
    remember
        Write down what was found, so that the next call reads new files only.
    """
    known, places = _remembered(folder)
    at = {json.dumps(stamp): (since, number) for number, (since, stamp) in enumerate(known)}
    begins = np.searchsorted(places["file"], np.arange(len(known) + 1))
    files = [(file, _stamp(file, task)) for file in sorted(folder.glob("*/records.jsonl"))]
    ordered = sorted(
        ((*(at.get(json.dumps(stamp)) or (begun(file), -1)), stamp, file) for file, stamp in files),
        key=lambda one: one[0],
    )
    found: list[Array] = [np.zeros(0, LOCATION)]
    for number, (_, before, _, file) in enumerate(ordered):
        found.append(_scan(file, number, task) if before < 0 else places[begins[before] : begins[before + 1]])
        found[-1]["file"] = number
    now = [[since, stamp] for since, _, stamp, _ in ordered]
    places = np.concatenate(found)
    if remember and now != known:
        with replacing(folder / LOCATED, "wb") as stream:
            np.savez(stream, places=places, files=np.frombuffer(json.dumps(now).encode(), np.uint8))
    return places, [file for *_, file in ordered]


def finished_hashes(folder: Path, task: Task, *, retry: bool = False) -> Array:
    """(n,) S32: structures that have a record; with `retry`, those that have an answer. One may be there twice."""
    places, _ = locate_records(folder, task)
    return np.asarray(places["structure"][places["rank"] > 0] if retry else places["structure"])


def _remembered(folder: Path) -> tuple[list[Any], Array]:
    """When each file was begun and its stamp, and their records in that order."""
    try:
        with (folder / LOCATED).open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            places, files = arrays["places"], json.loads(arrays["files"].tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # there is none, or it is damaged
        return [], np.zeros(0, LOCATION)
    return (files, places) if places.dtype == LOCATION else ([], np.zeros(0, LOCATION))


def _stamp(file: Path, task: Task) -> list[Any]:
    """What says that a file and its arrays are as they were, beside the name of the job."""
    arrays = [stamp_of(file.with_name(f"{name}.f64")) for name in task.arrays]
    return [file.parent.name, *stamp_of(file), *(part for stamp in arrays for part in stamp)]


def begun(file: Path) -> str:
    """Return when the first worker that wrote a file began, as text that sorts by time; empty if it does not say."""
    try:
        with file.open("rb") as stream:
            return str((lines.parse(stream.readline()) or {}).get("started") or "")
    except OSError:
        return ""


def _scan(file: Path, number: int, task: Task) -> Array:
    """Where the records of a file are; damaged lines, and records whose arrays are not there, are left out."""
    rows = count_rows(file.parent, task)
    attempt = -1
    found = [np.zeros(0, LOCATION)]
    for offset, piece in _pieces(file):
        table, believed = parse_lines(piece, rows, task)
        ends = np.flatnonzero(np.frombuffer(piece, np.uint8) == ord("\n")) + 1
        begins = np.concatenate([[0], ends[:-1]])
        starts = np.where(equal(table["kind"], "attempt"), offset + begins, -1)
        attempts = np.maximum.accumulate(np.concatenate([[attempt], starts]))[1:]
        places = np.zeros(int(believed.sum()), LOCATION)
        places["structure"] = table["structure"].filter(believed).to_numpy().astype("S32")
        places["rank"] = ranks(table)[believed]
        places["file"] = number
        places["offset"] = offset + begins[believed]
        places["bytes"] = (ends - begins)[believed]
        places["attempt"] = attempts[believed]
        attempt = int(attempts[-1])
        found.append(places)
    return np.concatenate(found)


def _pieces(file: Path) -> Iterator[tuple[int, bytes]]:
    """Whole lines of a file, some at a time, and where they begin; without a torn end."""
    offset = 0
    with file.open("rb") as stream:
        while piece := stream.read(AT_ONCE) + stream.readline():
            piece = piece[: piece.rfind(b"\n") + 1]
            if not piece:
                return
            yield offset, piece
            offset += len(piece)


def count_rows(folder: Path, task: Task) -> dict[str, int]:
    """Rows of each array that belongs to a file of records; 0 where there is none."""
    return {name: _size(folder / f"{name}.f64") // (NUMBER_BYTES * own.width) for name, own in task.arrays.items()}


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
