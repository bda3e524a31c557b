"""Which run is meant, when a command is called with or without its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mira_cli.errors import UsageError
from mira_cli.run.directory import RunDirectory
from mira_cli.run.registry import is_there, known_runs, runs_below
from mira_cli.watching.run_files import last_change, readable_run

if TYPE_CHECKING:
    from collections.abc import Iterable

RUNS = "runs"  # where `mira run` puts runs that are given no place


def choose_run(named: Path | None = None, *, here: Path | None = None) -> RunDirectory:
    """The run that is named, else the nearest: the folder that we are in, the newest in `runs/`, the newest of all.

    Parameters
    ----------
    named
        A run directory, or the name of one in `runs/`.
    here
        The current folder, if it is to be another.

    Raises
    ------
    UsageError
        It is no run, cannot be read, or there is none at all.
    """
    here = (here or Path.cwd()).absolute()
    if named is not None:
        place = here / named.expanduser()
        below = here / RUNS / named
        is_below = is_there(below) or (not place.exists() and runs_below(below))
        return readable_run(below if is_below and not is_there(place) else place)
    if around := next((folder for folder in (here, *here.parents) if is_there(folder)), None):
        return readable_run(around)
    newest = _newest(runs_below(here / RUNS)) or _newest(known_runs())
    if newest is None:
        raise UsageError("there is no run here", hint="name a run directory; `mira run` makes one")
    return readable_run(newest)


def _newest(roots: Iterable[Path]) -> Path | None:
    return max(roots, key=lambda root: last_change(RunDirectory(root)) or 0.0, default=None)
