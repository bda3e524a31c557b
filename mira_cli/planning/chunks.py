"""Cut what is missing into chunks of about equal cost."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

CHUNK_ATOMS = {"cpu": 20_000, "gpu": 200_000}  # about a minute, against seconds to start: less is not worth a job
LONG = 5  # times as many, where that leaves enough jobs for all workers to end together
JOBS_A_SLOT = 4
MANY_JOBS = 300  # of all models together: from here on chunks grow,
MOST_GROWTH = 10  # but a job stays below some hours


def without(rows: Array, hashes: Array, known: Array) -> Array:
    """Those of some index rows whose structures are not among the known ones.

    Parameters
    ----------
    rows
        (m,) index rows.
    hashes
        (n,) S32 of all rows.
    known
        (k,) S32, in any order.
    """
    if not len(known):
        return rows
    return rows[~np.isin(hashes[rows], known)]


def grown_chunk_atoms(total_atoms: int, *, gpu: bool, slots: int) -> int:
    """Atoms in one job where nobody has said how many: with much to do, jobs get longer before they get more.

    Parameters
    ----------
    total_atoms
        Atoms that all models together have to do.
    gpu
        Whether the job is one for a GPU.
    slots
        Jobs that run at once.
    """
    least = CHUNK_ATOMS["gpu" if gpu else "cpu"]
    longer = min(total_atoms // (JOBS_A_SLOT * slots), LONG * least)
    return min(max(least, longer, -(-total_atoms // MANY_JOBS)), MOST_GROWTH * least)


def cut_chunks(rows: Array, n_atoms: Array, chunk_atoms: int, *, at_least: int = 1) -> list[Array]:
    """Cut rows, in order, into chunks whose atoms are as equal as whole structures allow.

    Parameters
    ----------
    rows
        (m,) index rows.
    n_atoms
        (n,) atoms of every structure of the index.
    chunk_atoms
        About as many atoms as a chunk may hold; one structure alone may hold more.
    at_least
        Chunks wanted even where fewer would do (one for each worker that could run).
    """
    if len(rows) == 0:
        return []
    cost = n_atoms[rows].astype(np.int64)
    middle = np.cumsum(cost) - cost / 2  # a structure belongs to the chunk in which its middle falls
    total = int(cost.sum())
    count = min(len(rows), max(-(-total // chunk_atoms), at_least))
    chunk = (middle * count / total).astype(np.int64)
    return np.split(rows, np.flatnonzero(np.diff(chunk)) + 1)
