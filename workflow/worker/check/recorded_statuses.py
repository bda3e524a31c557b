"""The contract with the worker: what would be recorded about structures for which not every answer is allowed."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from worker.batching import Budget
from worker.evaluate import evaluate_all
from worker.structures import Pack, Structure
from worker.tasks import singlepoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ase import Atoms

    from worker.contract import Finished, Outcome
    from worker.families.base import Potential
    from worker.job import Model
    from worker.journal import Journal
    from worker.records import RecordFiles


class _Memory:
    """Takes the place of the record files and of the journal."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.suspects: set[str] = set()

    def append(self, finished: Sequence[Finished], **_: object) -> None:
        self.outcomes |= {one.structure.hash: one.outcome for one in finished}

    def take_off(self, hashes: Iterable[str], batch_atoms: int | None = None) -> None:
        pass

    def land(self, hashes: Iterable[str]) -> None:
        pass

    def absolve(self, structure: str) -> None:
        pass


def recorded(model: Model, potential: Potential, structures: dict[str, Atoms]) -> dict[str, dict[str, Any]]:
    """Send structures through the worker's own loop.

    Returns
    -------
    dict
        For each name `status`, `error`, and whether there are `energy`, `forces` and `stress`.
    """
    memory, atoms = _Memory(), potential.batch_atoms("cpu")
    evaluate_all(
        _packed(structures),
        lambda structure: singlepoint.steps(structure.atoms(), {}),
        Budget(atoms, atoms),
        model,
        potential,
        records=cast("RecordFiles", memory),
        journal=cast("Journal", memory),
        stop=Event(),
    )
    return {name: _described(memory.outcomes[name]) for name in structures}


def _described(outcome: Outcome) -> dict[str, Any]:
    return {
        "status": outcome.status,
        "error": outcome.error,
        "energy": outcome.values.get("energy_ev") is not None,
        "forces": "forces" in outcome.arrays,
        "stress": outcome.values.get("stress_ev_per_ang3") is not None,
    }


def _packed(structures: dict[str, Atoms]) -> list[Structure]:
    """Structures as a job has them, each with its name for a hash."""
    listed = list(structures.values())
    arrays = {
        "natoms": np.array([len(a) for a in listed]),
        "numbers": np.concatenate([a.numbers for a in listed]),
        "positions": np.concatenate([a.positions for a in listed]),
        "cell": np.array([a.cell.array for a in listed]),
        "pbc": np.array([a.pbc for a in listed]),
        "charge": np.array([a.info.get("charge", np.nan) for a in listed], dtype=float),
        "spin": np.array([a.info.get("spin", np.nan) for a in listed], dtype=float),
    }
    pack = Pack(arrays, np.concatenate([[0], np.cumsum(arrays["natoms"])]))
    return [Structure(name, len(structures[name]), pack, row) for row, name in enumerate(structures)]
