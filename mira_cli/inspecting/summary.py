"""What there is to say of all structures of an input together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.inspecting.cost import estimated_seconds, measured
from mira_cli.structures.labels import keys_of
from mira_cli.structures.notes import alike
from mira_cli.structures.references import QUANTITIES, left_out_told
from mira_cli.units import EV_PER_ANG3_IN_GPA

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from mira_cli.catalogue.rows import Model
    from mira_cli.structures.packs import StructureIndex
    from mira_cli.tasks import Task


def input_summary(
    index: StructureIndex, models: Mapping[str, Model], task: Task, units: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Counts, sizes, elements, references, notes, and what each model cannot answer.

    `evaluations` and `atoms_to_evaluate` are of distinct structures that the models can answer, times about so many
    evaluations as the task takes with its settings by default. `units` are those that references were read in, by
    quantity, where these are not eV and Å.
    """
    valid = index.table.filter(index.table["invalid"].is_null())
    sizes = valid["n_atoms"].to_numpy()
    formulas = _counts(valid, "formula")
    holding = _formulas_of(formulas)
    distinct = index.n_atoms[index.distinct]
    cost = _cost(index, models, holding, task)
    return {
        "task": task.name,
        "structures": len(index),
        "unusable": len(index) - len(valid),
        "duplicates": len(valid) - len(distinct),
        "atoms": {"total": int(sizes.sum()), **_range(sizes, median=True)},
        "periodic_directions": _counts(valid, "periodic_directions"),
        "elements": {symbol: sum(formulas[one] for one in found) for symbol, found in holding.items()},
        "references": {
            quantity: told | ({"unit": units[quantity]} if units and quantity in units else {})
            for quantity in QUANTITIES
            if (told := _reference(valid, quantity))
        },
        "magnetic_moments": index.column("magnetic_moments").count(True),
        "constraints": _constraints(valid),
        "references_left_out": left_out_told(index.table),
        "labels": keys_of(index.table["labels"]),
        "notes": {one.note: one.structures for one in alike(index.notes())},
        "reasons": {one.note: one.structures for one in alike(index.invalid())},
        "models": {name: _lacking(model, formulas, holding) for name, model in models.items()},
        "evaluations": sum(one["evaluations"] for one in cost.values()),
        "atoms_to_evaluate": sum(one["atoms"] for one in cost.values()),
        "cost": cost,
    }


def _range(values: np.ndarray[Any, Any], *, median: bool = False) -> dict[str, Any]:
    if not len(values):
        return {}
    told = {"smallest": values.min().item(), "largest": values.max().item()}
    return told | ({"median": float(np.median(values))} if median else {})


def _counts(table: pa.Table, column: str) -> dict[Any, int]:
    """How often each value occurs, the most frequent first."""
    counts = table[column].drop_null().value_counts().to_pylist()
    return {one["values"]: one["counts"] for one in sorted(counts, key=lambda one: -one["counts"])}


def _formulas_of(formulas: Mapping[str, int]) -> dict[str, set[str]]:
    """Element -> the formulas that hold it, in the order of the periodic table."""
    from ase.data import atomic_numbers
    from ase.formula import Formula

    found: dict[str, set[str]] = {}
    for formula in formulas:
        for symbol in Formula(formula).count():
            found.setdefault(symbol, set()).add(formula)
    return {symbol: found[symbol] for symbol in sorted(found, key=lambda symbol: atomic_numbers[symbol])}


def _lacking(model: Model, formulas: Mapping[str, int], holding: Mapping[str, set[str]]) -> dict[str, Any]:
    """Elements of the input that a model does not know, and how many structures have one; None: not established."""
    from ase.data import atomic_numbers

    if model.elements is None:
        return {"unknown_elements": None, "structures": None}
    unknown = [symbol for symbol in holding if atomic_numbers[symbol] not in model.elements]
    without = {formula for symbol in unknown for formula in holding[symbol]}
    return {"unknown_elements": unknown, "structures": sum(formulas[formula] for formula in without)}


def _cost(
    index: StructureIndex, models: Mapping[str, Model], holding: Mapping[str, set[str]], task: Task
) -> dict[str, dict[str, Any]]:
    """By model the `evaluations` and `atoms` that it can answer, what was `measured` of it, and `seconds` by that."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from ase.data import atomic_numbers

    if not models:
        return {}
    times = task.evaluations(task.settings())
    formulas = index.table["formula"].take(index.distinct)
    sizes = index.n_atoms[index.distinct]
    told = {}
    for name, said in measured(models, task).items():
        known = models[name].elements
        lacking = [symbol for symbol in holding if known is not None and atomic_numbers[symbol] not in known]
        without = pa.array(sorted(set().union(*(holding[symbol] for symbol in lacking))), pa.string())
        can = ~pc.is_in(formulas, value_set=without).to_numpy()
        atoms = round(int(sizes[can].sum()) * times)
        took = None if said is None else estimated_seconds(said, atoms)
        told[name] = {"evaluations": round(int(can.sum()) * times), "atoms": atoms, "measured": said, "seconds": took}
    return told


def _constraints(valid: pa.Table) -> dict[str, Any]:
    """Structures with fixed atoms, how many `atoms`, and by name the constraints that cannot be held; often empty."""
    fixed = valid["n_fixed"].to_numpy()
    told: dict[str, Any] = {"structures": int((fixed > 0).sum()), "atoms": int(fixed.sum())} if fixed.any() else {}
    unknown = _counts(valid, "constraints_unknown")
    return told | ({"cannot_be_held": unknown} if unknown else {})


def _reference(valid: pa.Table, quantity: str) -> dict[str, Any]:
    """Under which keys there are references of a quantity, and for energies and pressures how large they are."""
    told: dict[str, Any] = {}
    if keys := _counts(valid, f"reference_{quantity}_key"):
        told["keys"] = keys
        if quantity == "energy":
            energies = valid["reference_energy_ev"].to_numpy() / valid["n_atoms"].to_numpy()
            told["ev_per_atom"] = _range(energies[np.isfinite(energies)])
        if quantity == "stress":
            rows = valid["reference_stress_ev_per_ang3"].drop_null().to_pylist()
            told["pressure_gpa"] = _range(-np.array(rows)[:, :3].mean(axis=1) * EV_PER_ANG3_IN_GPA)
    return told
