"""Formation energies: each structure's own minimum, to be set against those of its elements among the structures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker.contract import Outcome
from worker.properties.crystals import why_held
from worker.tasks import FROM_MINIMUM

if TYPE_CHECKING:
    from ase import Atoms

    from worker.contract import Layout
    from worker.tasks import Steps

VERSION = 1  # raise it, and that in `mira_cli/tasks/formation.py`, when the numbers change
SETTINGS = (*FROM_MINIMUM, "atom_energies_ev")
VALUES = ("minimum_energy_ev",)
OPTIONAL = ()
ARRAYS: dict[str, Layout] = {}


def refusal(start: Atoms) -> str | None:
    """Say why a structure has no formation energy, or None if it has one."""
    return why_held(start)


def steps(start: Atoms, settings: dict[str, Any]) -> Steps:  # noqa: ARG001
    """Say the energy of the minimum: the host knows the other structures."""
    yield []
    return Outcome("ok", values={"minimum_energy_ev": float(start.info["minimum"]["energy_ev"])})
