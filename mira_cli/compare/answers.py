"""Input of the statistics, read from a table: answers of models as arrays, and facts that qualify every number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare.compositions import Compositions, compositions
from mira_cli.compare.groups import Groups, groups_of
from mira_cli.units import VOIGT

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from mira_cli.compare.forces import Array

ROUNDING = 1e-9  # eV/atom within which two reference energies of one structure are not called different
FACTS = ("level_of_theory", "dispersion", "energy_correction", "training_data", "dtype", "conservative")


@dataclass(frozen=True)
class ModelFacts:
    """Facts about a model that decide what a comparison with it means; None: not established."""

    name: str
    level_of_theory: str | None = None
    dispersion: str | None = None
    energy_correction: str | None = None
    training_data: str | None = None  # names of data sets that set the energies, separated by spaces
    dtype: str | None = None
    conservative: bool | None = None


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers of m models for s structures; NaN where there is none."""

    structures: pa.Array  # (s,) ids
    formulas: pa.Array  # (s,)
    n_atoms: Array  # (s,)
    made_of: Compositions
    models: tuple[ModelFacts, ...]
    ok: Array  # (s, m)
    energy: Array  # (s, m) eV/atom
    stress: Array  # (s, m, 6) eV/Å³, Voigt order
    reference_energy: Array  # (s,) eV/atom
    reference_stress: Array  # (s, 6) eV/Å³
    groups: Groups | None = None  # by a label of the input, if the table has one
    reference: ModelFacts | None = None  # of the model that stands for references; None: they are the input's

    def __len__(self) -> int:
        """Count of structures."""
        return len(self.structures)

    @cached_property
    def fitted_energy(self) -> Array:
        """(s,) eV/atom that fits meet: the mean of the different reference energies of the same structure.

        It is NaN where a row has no reference of its own, and the reference itself unless the input contradicts itself.
        A fit that saw rows would take the first of a structure's references, or let one structure pass for several.
        """
        target, same = self.reference_energy, self.made_of.identity
        order = np.lexsort((target, same))  # NaN last
        is_new = np.r_[True, (np.diff(same[order]) != 0) | (np.diff(target[order]) != 0)][: len(order)]
        distinct = order[is_new & np.isfinite(target[order])]
        times = np.bincount(same[distinct], minlength=len(order))
        mean = np.bincount(same[distinct], target[distinct], minlength=len(order)) / np.maximum(times, 1)
        return np.where(times[same] > 1, np.where(np.isfinite(target), mean[same], np.nan), target)

    @property
    def contradictions(self) -> tuple[int, float]:
        """Structures with several different reference energies, and how far one is from their mean, eV/atom at most."""
        apart = np.nan_to_num(np.abs(self.reference_energy - self.fitted_energy))
        told = apart > ROUNDING
        return len(np.unique(self.made_of.identity[told])), float(apart.max(initial=0))


def answers_from_table(
    comparison: pa.Table, references: pa.Table | None = None, facts: Mapping[str, ModelFacts] | None = None
) -> Answers:
    """Arrays from the rows of `comparison.parquet`, whatever their order.

    Parameters
    ----------
    comparison
        Columns `structure_id`, `model`, `status`, `formula`, `n_atoms`, `energy_ev`, `stress_*_ev_per_ang3`,
        `structure_hash`; `group`, if structures have labels; of a model's facts those that are there.
    references
        Columns `id`, `reference_energy_ev` and `reference_stress_ev_per_ang3` (lists of six), as in the index of a
        run's structures; default: no references.
    facts
        By model, where more is known than the table says.
    """
    import pyarrow.compute as pc

    ids = comparison["structure_id"].combine_chunks().dictionary_encode()
    names = comparison["model"].unify_dictionaries().combine_chunks().dictionary_encode()
    structures, models = ids.dictionary, names.dictionary.to_pylist()
    at = ids.indices.to_numpy(zero_copy_only=False), names.indices.to_numpy(zero_copy_only=False)
    shape = len(structures), len(models)

    ok = np.zeros(shape, dtype=bool)
    ok[at] = pc.fill_null(pc.equal(comparison["status"], "ok"), fill_value=False).to_numpy()
    _, first = np.unique(at[0], return_index=True)
    formulas, hashes = (
        comparison[name].take(first).combine_chunks() if name in comparison.schema.names else None
        for name in ("formula", "structure_hash")
    )
    n_atoms = np.nan_to_num(_numbers(comparison, "n_atoms")[first]).astype(int)

    energy = np.full(shape, np.nan)
    energy[at] = _numbers(comparison, "energy_ev")
    stress = np.full((*shape, 6), np.nan)
    for i, ij in enumerate(VOIGT):
        stress[(*at, np.full(len(at[0]), i))] = _numbers(comparison, f"stress_{ij}_ev_per_ang3")
    energy[~ok] = np.nan
    stress[~ok | ~np.isfinite(stress).all(axis=2)] = np.nan
    energy[~np.isfinite(energy)] = np.nan
    reference_energy, reference_stress = _references(structures, references)
    atoms = np.where(n_atoms > 0, n_atoms, np.nan)
    return Answers(
        structures=structures,
        formulas=formulas,
        n_atoms=n_atoms,
        made_of=compositions(formulas, hashes),
        models=_facts(comparison, at[1], models, facts or {}),
        ok=ok,
        energy=energy / atoms[:, None],
        stress=stress,
        reference_energy=reference_energy / atoms,
        reference_stress=reference_stress,
        groups=_groups(comparison, first),
    )


def _groups(comparison: pa.Table, first: Array) -> Groups | None:
    if "group" not in comparison.schema.names:
        return None
    return groups_of(comparison["group"].unify_dictionaries().combine_chunks().take(first))


def _numbers(table: pa.Table, name: str) -> Array:
    """A column as float64, NaN where it is empty or missing."""
    if name not in table.schema.names:
        return np.full(table.num_rows, np.nan)
    import pyarrow as pa

    return np.asarray(table[name].cast(pa.float64()).to_numpy(), dtype=float)


def _references(structures: pa.Array, table: pa.Table | None) -> tuple[Array, Array]:
    """(s,) eV and (s, 6) eV/Å³ by the structures' ids; what is not finite is no reference, and the last one counts."""
    energy, stress = np.full(len(structures), np.nan), np.broadcast_to(np.nan, (len(structures), 6))
    columns = {"reference_energy_ev", "reference_stress_ev_per_ang3"}
    if table is None or all(table[name].null_count == len(table) for name in columns & {*table.schema.names}):
        return energy, stress
    import pyarrow.compute as pc

    stress = stress.copy()
    place = pc.fill_null(pc.index_in(table["id"], value_set=structures), -1).to_numpy()
    values = _numbers(table, "reference_energy_ev")
    has = np.flatnonzero((place >= 0) & np.isfinite(values))
    energy[place[has]] = values[has]
    if "reference_stress_ev_per_ang3" in table.schema.names:
        six = _sixes(table["reference_stress_ev_per_ang3"].combine_chunks())
        has = np.flatnonzero((place >= 0) & np.isfinite(six).all(axis=1))
        stress[place[has]] = six[has]
    return energy, stress


def _sixes(lists: pa.Array) -> Array:
    """(n, 6) of n lists, NaN where one does not hold six numbers."""
    import pyarrow.compute as pc

    found = np.full((len(lists), 6), np.nan)
    has = pc.fill_null(pc.equal(pc.list_value_length(lists), 6), fill_value=False)
    found[np.asarray(has)] = lists.filter(has).flatten().to_numpy(zero_copy_only=False).reshape(-1, 6)
    return found


def _facts(
    comparison: pa.Table, model_of_row: Array, models: list[str], facts: Mapping[str, ModelFacts]
) -> tuple[ModelFacts, ...]:
    _, first = np.unique(model_of_row, return_index=True)
    rows = comparison.take(first)
    known: dict[str, list[Any]] = {name: rows[name].to_pylist() for name in FACTS if name in rows.schema.names}
    found = []
    for i, model in enumerate(models):
        told = ModelFacts(model, **{name: None if column[i] == "" else column[i] for name, column in known.items()})
        found.append(facts.get(model, told))
    return tuple(found)
