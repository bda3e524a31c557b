"""Interaction energies: that of each structure, less those of its fragments, each where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from mira_cli.tasks import Column, Settings, Task, Value
from mira_cli.units import KJ

if TYPE_CHECKING:
    from mira_cli.tasks import Array, Records, Starts


class InteractionSettings(Settings):
    """How fragments are found where the input names none."""

    fragments: int = Field(2, ge=2, le=1000, description="fragments that bonds must make where the input names none")
    bond_factor: float = Field(
        1.3, ge=0.5, le=1.5, description="of the sum of two covalent radii: nearer atoms are bonded"
    )


def interaction_columns(found: Records, ok: Array, _: Starts) -> dict[str, Array]:
    """The energy in kJ/mol, of n structures."""
    return {"interaction_energy_kj_per_mol": np.where(ok, found.numbers("interaction_energy_ev"), np.nan) / KJ}


TASK = Task(
    name="interaction",
    version=1,
    settings=InteractionSettings,
    evaluations=lambda settings: 2.0,  # of about the atoms of the whole  # noqa: ARG005
    values={
        "interaction_energy_ev": Value("real"),
        "complex_energy_ev": Value("real"),
        "fragments_energy_ev": Value("real"),
        "fragment_energies_ev": Value("reals"),
        "n_fragments": Value("whole"),
        "fragment_source": Value("text"),
        "fragment_formulas": Value("text"),
    },
    arrays={},
    columns=(
        Column(
            "interaction_energy_ev",
            "real",
            "energy of the structure less those of its fragments in its geometry and cell; negative if they attract",
            "yes",
            ("reference_interaction_energy_ev",),
        ),
        Column("interaction_energy_kj_per_mol", "real", "the same in kJ/mol"),
        Column("complex_energy_ev", "real", "energy of the structure"),
        Column("fragments_energy_ev", "real", "sum of the energies of its fragments"),
        Column("n_fragments", "whole", "fragments"),
        Column("fragment_source", "text", "given by the input, or by connectivity: what bonds join"),
        Column("fragment_formulas", "text", "formulas of the fragments, in the order of the input"),
    ),
    shown=("interaction_energy_ev", "n_fragments", "fragment_source"),
    methods=(
        "Interaction energies of {structures} were computed without relaxation, as the energy of each structure less "
        "those of its fragments in its geometry and cell; where the input names no fragments, they are the "
        "{fragments} that atoms nearer than {bond_factor} times the sum of their covalent radii form"
    ),
    fill=interaction_columns,
    takes_fragments=True,
)
