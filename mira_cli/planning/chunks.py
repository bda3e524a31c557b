"""Cut what is missing into chunks: long ones, and shorter ones at the end, so that all workers end together."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

CHUNK_ATOMS = {"cpu": 20_000, "gpu": 200_000}  # about a minute, against seconds to start: less is not worth a job
LONG = 5  # times as many, where that leaves enough jobs for all workers to end together
JOBS_A_SLOT = 3
HALVINGS = 2  # of the last chunks: they fill what the long ones leave
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


def grown_chunk_atoms(total_atoms: int, *, gpu: bool, slots: int, evaluations: float = 1) -> int:
    """Atoms in one job where nobody has said how many: with much to do, jobs get longer before they get more.

    Parameters
    ----------
    total_atoms
        Atoms that all models together have to do.
    gpu
        Whether the job is one for a GPU.
    slots
        Jobs that run at once.
    evaluations
        How often the task evaluates a structure, about.
    """
    least = max(1, int(CHUNK_ATOMS["gpu" if gpu else "cpu"] / evaluations))
    longer = min(total_atoms // (JOBS_A_SLOT * slots), LONG * least)
    return min(max(least, longer, -(-total_atoms // MANY_JOBS)), MOST_GROWTH * least)


def shortest_chunk_atoms(*, gpu: bool, evaluations: float = 1) -> int:
    """Atoms below which a job is not worth its start, even at the end of a run."""
    return max(1, int(CHUNK_ATOMS["gpu" if gpu else "cpu"] / (2 * evaluations)))


def cut_chunks(
    rows: Array, n_atoms: Array, chunk_atoms: int, *, at_least: int = 1, shortest_atoms: int | None = None
) -> list[Array]:
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
    shortest_atoms
        If given, the last chunks, one for each worker, are halves and quarters, as long as they hold that many atoms.
    """
    if len(rows) == 0:
        return []
    cost = n_atoms[rows].astype(np.int64)
    middle = np.cumsum(cost) - cost / 2  # a structure belongs to the chunk in which its middle falls
    ends = _ends(int(cost.sum()), chunk_atoms, min(at_least, len(rows)), shortest_atoms)
    if len(ends) > len(rows):
        return list(rows.reshape(-1, 1))
    return np.split(rows, np.flatnonzero(np.diff(np.searchsorted(ends, middle, side="right"))) + 1)


def _ends(total: int, chunk_atoms: int, workers: int, shortest_atoms: int | None) -> Array:
    """(c,) atoms up to the end of each chunk."""
    halvings = range(HALVINGS, 0, -1) if shortest_atoms else ()
    for last in halvings:
        tail = np.repeat(0.5 ** np.arange(1, last + 1), workers)
        long = -(-(total - chunk_atoms * tail.sum()) // chunk_atoms)
        shares = np.concatenate([np.ones(max(0, int(long))), tail])
        if long >= workers and total / shares.sum() * tail[-1] >= (shortest_atoms or 0):
            return np.asarray(np.cumsum(shares) * (total / shares.sum()))
    count = max(-(-total // chunk_atoms), workers)
    return np.arange(1, count + 1) * (total / count)
