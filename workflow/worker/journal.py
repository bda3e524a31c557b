"""Who was in flight when a worker died.

A structure that kills its worker (a segmentation fault, the kernel's out-of-memory killer) would kill
every successor too. So the hashes of a batch are written down before it is evaluated. Whoever was in
flight at a death is a suspect and is evaluated alone, after all others; who was in flight at two deaths,
alone at the last, is not tried again. A worker that is told to stop blames nobody, and a structure whose story has gone
on since a death is not to blame for it.

Nobody is to blame either where SLURM took the worker away and starts its job again (a lost node, preemption): then
the successor has the same job id, while a job that has failed comes back under a new one.
"""

from __future__ import annotations

import json
import os
from threading import Lock
from typing import TYPE_CHECKING, Any

from worker.atomic import write_json
from worker.contract import Outcome

if TYPE_CHECKING:
    from collections.abc import Container, Iterable
    from pathlib import Path

ENOUGH_DEATHS = 2
CONDEMNED = Outcome(
    "failed",
    "the worker died twice while evaluating this structure, at last alone (killed, crashed or out of memory)",
)


def after_death(
    left: dict[str, Any], recorded: Container[str], slurm_job_id: str | None = None
) -> tuple[set[str], dict[str, int]]:
    """Draw the conclusions from the journal of a worker that is gone.

    Parameters
    ----------
    left
        The journal's content.
    recorded
        Hashes that have a record by now, and are beyond suspicion.
    slurm_job_id
        The SLURM job of the successor, None outside SLURM.

    Returns
    -------
    suspects, deaths
        Hashes to evaluate alone, and at how many deaths each of them was in flight.
    """
    requeued = slurm_job_id is not None and left.get("slurm_job_id") == slurm_job_id
    in_flight, deaths = [] if requeued else left.get("in_flight", []), dict(left.get("deaths", {}))
    for structure in in_flight:
        # a death in company proves little: whoever was there is a suspect, but not more of one than before
        deaths[structure] = deaths.get(structure, 0) + 1 if len(in_flight) == 1 else max(deaths.get(structure, 0), 1)
    suspects = {h for h in [*left.get("suspects", []), *in_flight] if h not in recorded}
    return suspects, {h: n for h, n in deaths.items() if h in suspects}


class Journal:
    """`inflight.json` of one job. Hold the folder's lock while using it."""

    def __init__(self, folder: Path, recorded: Container[str]) -> None:
        """Read what the last worker left, and write the conclusions down before anything else can fail.

        `suspects` are evaluated alone; `fell_atoms` are those of the batch that was in flight at the last death, None
        if there was none, or of one configuration.
        """
        self._path = folder / "inflight.json"
        self._lock = Lock()
        self._slurm_job_id = os.environ.get("SLURM_JOB_ID")
        try:
            left = json.loads(self._path.read_bytes())
            self.suspects, self._deaths = after_death(left, recorded, self._slurm_job_id)
            fell = self.suspects.intersection(left.get("in_flight", []))
            self.fell_atoms: int | None = left.get("batch_atoms") if fell else None
        except (OSError, ValueError, TypeError, AttributeError):  # there is none, or it is damaged
            self.suspects, self.fell_atoms, self._deaths = set(), None, {}
        self._write([])

    def condemned(self) -> set[str]:
        """Return the hashes that are not worth another worker."""
        return {h for h, deaths in self._deaths.items() if deaths >= ENOUGH_DEATHS}

    def take_off(self, hashes: Iterable[str], batch_atoms: int | None = None) -> None:
        """Write down that a batch is about to be evaluated, and its atoms if it has several configurations."""
        with self._lock:
            self._write(list(hashes), batch_atoms)

    def land(self, hashes: Iterable[str]) -> None:
        """Note that structures have their records; the file learns of it at the next take-off."""
        self.suspects.difference_update(hashes)

    def absolve(self, structure: str) -> None:
        """Note that a story has gone on beyond where a worker died of it, or of something else."""
        self._deaths.pop(structure, None)

    def close(self) -> None:
        """Write down that nobody is in flight."""
        with self._lock:
            self._forgive()

    def close_for_good(self) -> None:
        """Do as `close`, and let nobody take off afterwards: the process is about to be left."""
        self._lock.acquire(timeout=5)
        self._forgive()

    def _forgive(self) -> None:
        try:
            self._write([])
        except OSError:  # on a full disk, forget everything rather than blame anyone
            self._path.unlink(missing_ok=True)

    def _write(self, in_flight: list[str], batch_atoms: int | None = None) -> None:
        if in_flight or self.suspects:
            content = {
                "in_flight": in_flight,
                "batch_atoms": batch_atoms,
                "suspects": sorted(self.suspects),
                "deaths": {h: n for h, n in self._deaths.items() if h in self.suspects},
                "slurm_job_id": self._slurm_job_id,
            }
            write_json(self._path, content, durable=False)
        else:
            self._path.unlink(missing_ok=True)
