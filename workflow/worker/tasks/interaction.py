"""Interaction energies: that of each structure, less those of its fragments, each where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from worker.contract import INVALID_RESULT, Answer, Outcome
from worker.fragments import SplitError, split

if TYPE_CHECKING:
    from ase import Atoms

    from worker.contract import Layout
    from worker.tasks import Steps

VERSION = 1  # raise it, and that in `mira_cli/tasks/interaction.py`, when the numbers change
SETTINGS = ("fragments", "bond_factor")
VALUES = (
    "interaction_energy_ev", "complex_energy_ev", "fragments_energy_ev", "fragment_energies_ev", "n_fragments",
    "fragment_source", "fragment_formulas",
)  # fmt: skip
OPTIONAL = ()
ARRAYS: dict[str, Layout] = {}


def steps(start: Atoms, settings: dict[str, Any]) -> Steps:
    """Evaluate the whole and its fragments, which stay in its cell."""
    try:
        found = split(start, settings["fragments"], settings["bond_factor"])
    except SplitError as why:
        return Outcome(INVALID_RESULT, str(why))
    start.set_constraint()
    whole, *parts = [answer.energy_ev for answer in cast("list[Answer]", (yield [start, *found.fragments]))]
    together = float(np.sum(parts))
    values = {
        "interaction_energy_ev": whole - together,
        "complex_energy_ev": whole,
        "fragments_energy_ev": together,
        "fragment_energies_ev": parts,
        "n_fragments": len(parts),
        "fragment_source": found.source,
        "fragment_formulas": " + ".join(part.get_chemical_formula() for part in found.fragments),
    }
    return Outcome("ok", values=values)
