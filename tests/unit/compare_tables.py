"""Answers and forces for the tests of the comparison, from atoms or from plain numbers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from ase import Atoms

from mira_cli.compare.answers import Answers, ModelFacts, answers_from_table
from mira_cli.compare.blocks import Block
from mira_cli.units import VOIGT


def comparison(
    structures: Mapping[str, Atoms],
    energies: Mapping[str, Sequence[float | None]],
    *,
    stresses: Mapping[str, Sequence[Sequence[float] | None]] | None = None,
    hashes: Sequence[str] | None = None,
    columns: Mapping[str, Mapping[str, Any]] | None = None,
) -> pa.Table:
    """Rows as `comparison.parquet` has them; a model without an energy failed. `columns`: name -> model -> value."""
    rows = []
    for i, (name, atoms) in enumerate(structures.items()):
        for model, values in energies.items():
            row = {
                "structure_id": name,
                "model": model,
                "status": "failed" if values[i] is None else "ok",
                "formula": atoms.get_chemical_formula(),
                "n_atoms": len(atoms),
                "energy_ev": values[i],
                "structure_hash": hashes[i] if hashes else f"hash {i}",
                **{f"stress_{ij}_ev_per_ang3": None for ij in VOIGT},
                **{column: given.get(model) for column, given in (columns or {}).items()},
            }
            if stresses and stresses[model][i] is not None:
                row |= {f"stress_{ij}_ev_per_ang3": s for ij, s in zip(VOIGT, stresses[model][i], strict=True)}
            rows.append(row)
    return pa.Table.from_pylist(rows)


def answers(structures, energies, *, reference=None, reference_stress=None, facts=None, **options) -> Answers:
    """`Answers` of some atoms; the reference energies are total ones, in eV."""
    table = comparison(structures, energies, **options)
    references = None
    if reference is not None or reference_stress is not None:
        none = [None] * len(structures)
        columns = {"id": list(structures), "reference_energy_ev": reference or none}
        columns["reference_stress_ev_per_ang3"] = pa.array(reference_stress or none, pa.list_(pa.float64()))
        references = pa.table(columns)
    return answers_from_table(table, references, {fact.name: fact for fact in facts or []})


def blocks(structures: Mapping[str, Atoms], forces: Mapping[str, Sequence[Any]], reference=None) -> Iterator[Block]:
    """Forces by model, a list over structures each."""
    for i, atoms in enumerate(structures.values()):
        given = [None if values[i] is None else np.asarray(values[i], float) for values in forces.values()]
        known = None if reference is None or reference[i] is None else np.asarray(reference[i], float)
        yield Block(i, atoms.numbers, given, known)


def chain(**formulas: str) -> dict[str, Atoms]:
    """Structures with the given formulas, atoms on a line."""
    found = {}
    for name, formula in formulas.items():
        atoms = Atoms(formula)
        atoms.positions[:, 0] = 2.5 * np.arange(len(atoms))
        found[name] = atoms
    return found


def theory(name: str, level: str | None, **known: Any) -> ModelFacts:
    return ModelFacts(name, level_of_theory=level, **known)
