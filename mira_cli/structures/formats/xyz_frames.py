"""Where the frames of xyz files begin and end."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from mira_cli.structures.frame import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class GapError(UnreadableError):
    """Lines between frames that are none."""


def split_xyz(
    lines: Iterator[str], lines_before: Callable[[], int]
) -> Iterator[tuple[int, list[str]] | UnreadableError]:
    """Yield count of atoms and lines of each frame, comment, atoms and cell vectors as ADF writes them, and gaps.

    What is no frame to the end is an error, not raised, so that the frames before it are read first.
    """
    line, number, ahead = next(lines, None), 1, []  # the last line that was read, which it is, and some that follow it
    while line is not None:
        if not line.strip():
            line, number = next(lines, None), number + 1
            continue
        try:
            natoms = _count(line)
        except UnreadableError as error:
            begin, comment = number, next(lines, None)
            while comment is not None and not begins_frame(line, comment):
                line, comment, number = comment, next(lines, None), number + 1
            before = lines_before()
            if comment is None:
                yield UnreadableError(f"{error}; from here, line {before + begin:,}, on nothing is read")
                return
            yield GapError(f"{error}; lines {before + begin:,} to {before + number - 1:,} are no frame")
            ahead, natoms = [comment], int(line)
        frame = [*ahead, *islice(lines, natoms + 1 - len(ahead))]
        number, ahead, line = number + len(frame) + 1, [], next(lines, None)
        while line is not None and line.lstrip().startswith("VEC"):
            frame.append(line)
            line, number = next(lines, None), number + 1
        if natoms and line is not None and _lists_atom(line, frame[natoms] if len(frame) > natoms else ""):
            one_more = " ".join(line.split())[:60]
            yield GapError(f"its count says {natoms:,} atoms, and one more follows: `{one_more}`")
        else:
            yield natoms, frame


def _lists_atom(line: str, atom: str) -> bool:
    """Whether a line behind a frame is of the kind of the frame's last."""
    words, others = line.split(), atom.split()
    return len(words) == len(others) > 3 and words[0].isalpha() and others[0].isalpha()


def begins_frame(count: str, comment: str) -> bool:
    """Whether two lines can only be the first ones of a frame of extended xyz."""
    return "Properties=" in comment and count.strip().isdecimal()


def _count(line: str) -> int:
    try:
        if (natoms := int(line)) >= 0:
            return natoms
    except ValueError:
        pass
    found = line.strip()[:30]
    raise UnreadableError(f"`{found}` is where a frame should begin with its count of atoms")
