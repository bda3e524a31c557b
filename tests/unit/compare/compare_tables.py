"""Answers and forces for the tests of the comparison, from atoms or from plain numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from ase import Atoms

from mira_cli.compare.answers import Answers, ModelFacts, answers_from_table
from mira_cli.compare.force_sums import ForceSums
from mira_cli.compare.forces import Array, ForceBlock
from mira_cli.compare.schemes import DEFAULT, Scheme
from mira_cli.compare.spread import DDOF
from mira_cli.compare.statistics import Statistics, conclude
from mira_cli.units import VOIGT

CHUNK_NUMBERS = 1 << 18  # force components in memory at once, unless one structure alone has more


@dataclass(frozen=True, eq=False)
class Block:
    """The forces on one structure, by model.

    Parameters
    ----------
    place
        Row of the structure in `Answers`.
    numbers
        (n,) atomic numbers.
    forces
        For each model, in the order of `Answers.models`, (n, 3) eV/Å or None.
    reference
        (n, 3) eV/Å that the input gives, or None.
    """

    place: int
    numbers: Array
    forces: Sequence[Array | None]
    reference: Array | None = None


Blocks: TypeAlias = Iterable[Block]  # read once, from the first to the last; structures in any order


def chunks(blocks: Blocks, n_models: int) -> Iterator[ForceBlock]:
    """Gather structures until they are enough to work on; forces with a number that is not finite are as if absent.

    Raises
    ------
    ValueError
        Forces are not of shape (n, 3), or not one entry a model.
    """
    waiting: list[Block] = []
    atoms = 0
    for block in blocks:
        if len(block.numbers) == 0:
            continue
        if len(block.forces) != n_models:
            raise ValueError(f"structure {block.place} has forces of {len(block.forces)} models, not of {n_models}")
        waiting.append(block)
        atoms += len(block.numbers)
        if atoms * 3 * (n_models + 1) >= CHUNK_NUMBERS:
            yield _force_batch(waiting, atoms, n_models)
            waiting, atoms = [], 0
    if waiting:
        yield _force_batch(waiting, atoms, n_models)


def _force_batch(blocks: list[Block], atoms: int, n_models: int) -> ForceBlock:
    forces = np.zeros((n_models + 1, atoms, 3))
    valid = np.zeros((n_models + 1, len(blocks)), dtype=bool)
    start = 0
    for i, block in enumerate(blocks):
        end = start + len(block.numbers)
        for k, given in enumerate([*block.forces, block.reference]):
            if given is None:
                continue
            if np.shape(given) != (end - start, 3):
                raise ValueError(f"structure {block.place} has {end - start} atoms, and forces of {np.shape(given)}")
            if np.isfinite(given).all():
                forces[k, start:end] = given
                valid[k, i] = True
        start = end
    return ForceBlock(
        places=np.array([block.place for block in blocks]),
        sizes=np.array([len(block.numbers) for block in blocks]),
        numbers=np.concatenate([block.numbers for block in blocks]).astype(int),
        forces=forces,
        valid=valid,
    )


def statistics(
    answers: Answers, blocks: Blocks, *, scheme: Scheme = DEFAULT, ddof: int = DDOF, seed: int = 0
) -> Statistics:
    """All statistics, from forces one structure at a time."""
    sums = ForceSums(answers.models, len(answers), ddof=ddof)
    for batch in chunks(blocks, len(answers.models)):
        sums.add(batch)
    return conclude(answers, sums, scheme=scheme, seed=seed)


def matrix(pairs: pa.Table, column: str, models: Sequence[str], *, diagonal: float) -> Array:
    """(m, m) symmetric matrix of one column of `pairs.csv`, NaN where a pair has no value.

    `diagonal` is what a model has with itself: 0 for an error, 1 for a correlation or a cosine.
    """
    place = {model: i for i, model in enumerate(models)}
    full = np.full((len(models), len(models)), np.nan)
    np.fill_diagonal(full, diagonal)
    for row in pairs.select(["model_a", "model_b", column]).to_pylist():
        if row[column] is not None and row["model_a"] in place and row["model_b"] in place:
            a, b = place[row["model_a"]], place[row["model_b"]]
            full[a, b] = full[b, a] = row[column]
    return full


def softening_matrix(pairs: pa.Table, models: Sequence[str]) -> Array:
    """(m, m): slope of the row's forces on the column's; not symmetric, 1 on the diagonal."""
    upper = matrix(pairs, "softening_a_on_b", models, diagonal=1)
    lower = matrix(pairs, "softening_b_on_a", models, diagonal=1)
    place = {model: i for i, model in enumerate(models)}
    for a, b in zip(pairs["model_a"].to_pylist(), pairs["model_b"].to_pylist(), strict=True):
        if a in place and b in place:
            upper[place[b], place[a]] = lower[place[b], place[a]]
    return upper


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
