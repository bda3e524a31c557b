"""What a request may say, and the structure that it means: charges, checks and their words are those of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms
from ase.data import atomic_numbers
from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field

from mira_cli.console import count
from mira_cli.errors import InputError
from mira_cli.statuses import INVALID
from mira_cli.structures.charges import ContradictionError, settle_charges
from mira_cli.structures.check import judge_structures
from mira_cli.structures.geometry import geometry_from_ase
from mira_cli.warm.lost import RefusedStructureError

if TYPE_CHECKING:
    from mira_cli.structures.geometry import Geometry

MOST_MODELS = 32

Vector = tuple[float, float, float]
Symbol = Annotated[str, Field(max_length=3)]
Name = Annotated[str, Field(min_length=1, max_length=100)]
# what stands in a comment of an extended xyz file; no lists and no objects
Word = Annotated[str, Field(max_length=100)] | int | float | bool | None


Place = Annotated[int, Field(strict=True, ge=0, lt=1 << 31)]
Places = Annotated[list[Place], FailFast(), BeforeValidator(lambda said: [] if said is None else said)]
Setting = Annotated[str, Field(max_length=100)] | int | float | bool | None


class Body(BaseModel):
    """A body refuses keys that it does not know: a typing error must not pass for a setting."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AtomsBody(Body):
    """One structure."""

    symbols: Annotated[list[Symbol], FailFast()] = Field(description="chemical symbols")
    positions: Annotated[list[Vector], FailFast()] = Field(description="Å")
    cell: tuple[Vector, Vector, Vector] | None = Field(None, description="rows are the cell's vectors, Å")
    pbc: tuple[bool, bool, bool] | bool = Field(False, description="periodicity along the cell's vectors")
    charge: float | None = Field(None, description="total charge, e; neutral if nothing is stated")
    spin: float | None = Field(None, description="multiplicity 2S + 1")
    info: Annotated[dict[Annotated[str, Field(max_length=100)], Word], Field(max_length=100)] = Field(
        {}, description="as `atoms.info` of ASE: charge and spin are read from it by the rule of a run"
    )
    fixed: Places = Field([], description="atoms that tasks hold, counted from 0")
    fragment: Places = Field([], description="of each atom, for the task `interaction`")


class TaskBody(Body):
    """What is asked of one structure."""

    atoms: AtomsBody
    task: str = Field("single_point", max_length=100, description="`single_point`, or a task of `mira tasks`")
    settings: Annotated[dict[Annotated[str, Field(max_length=100)], Setting], Field(max_length=100)] | None = Field(
        None, description="of the task, as `--set task.NAME=VALUE` of `mira run`"
    )


class SinglePointBody(TaskBody):
    """One structure for one model."""

    model_name: Name = Field(description="a name or alias of `GET /api/v1/models`")


class MultiModelBody(TaskBody):
    """One structure for several models."""

    model_names: list[Name] = Field(min_length=1, max_length=MOST_MODELS)


class ModelAnswer(BaseModel):
    """What one model answers, or why it does not. Its documentation alone: answers are not checked against it."""

    asked_model: str = Field(description="the name in the request")
    model: str | None = Field(description="the model that it means")
    status: str = Field(description="`ok`, or as in a run's records; `unknown_model`, `not_available`, `lost`, `late`")
    error: str | None
    hint: str | None
    notes: list[str] = Field(description="what was assumed")
    energy_ev: float | None = Field(description="total energy, eV")
    forces_ev_per_ang: list[Vector] | None = Field(description="eV/Å")
    stress_ev_per_ang3: list[float] | None = Field(description="xx, yy, zz, yz, xz, xy; eV/Å³, ASE's sign")
    values: dict[str, Any] | None = Field(description="of other tasks: their columns of `comparison.csv`")
    arrays: dict[str, Any] | None = Field(description="of other tasks: their arrays, such as `positions` and `cell`")
    level_of_theory: str | None = Field(description="energies of two levels are not comparable")
    energy_correction: str | None
    dispersion: str | None
    weights_sha256: str | None
    package: str | None
    dtype: str | None
    device: str | None
    key: str | None = Field(description="changes whenever the model's numbers may")
    batch_size: int | None
    wall_s: float | None


class MultiAnswer(BaseModel):
    """Answers of several models about one structure, in the order of their names."""

    task: str
    structure: dict[str, Any]
    answers: list[ModelAnswer]


class ErrorBody(BaseModel):
    """Why a request has no answer."""

    error: str
    hint: str | None


@dataclass(frozen=True, eq=False)
class AskedStructure:
    """A structure that models can be asked about.

    Attributes
    ----------
    geometry
        Of this one structure.
    notes
        What was assumed about it, and what is odd in it.
    """

    geometry: Geometry
    notes: list[str]
    formula: str

    @property
    def facts(self) -> dict[str, Any]:
        """How it was understood, JSON-ready."""
        charge, spin = float(self.geometry.charge[0]), float(self.geometry.spin[0])
        return {
            "formula": self.formula,
            "n_atoms": int(self.geometry.natoms[0]),
            "charge": None if np.isnan(charge) else charge,
            "spin": None if np.isnan(spin) else spin,
        }


def asked_structure(said: AtomsBody, *, most_atoms: int) -> AskedStructure:
    """Read a structure.

    Raises
    ------
    InputError
        It has too many atoms.
    RefusedStructureError
        It cannot be computed, in the words of a run.
    """
    if (n := len(said.symbols)) > most_atoms:
        raise InputError(
            f"{n:,} atoms are more than the {most_atoms:,} of one request",
            hint="`mira run` computes structures of any size; `mira serve --max-atoms` sets the limit",
        )
    if len(said.positions) != n:
        counts = f"{count(n, 'symbol')} and {count(len(said.positions), 'position')}: each atom has one of both"
        raise RefusedStructureError(counts, INVALID)
    if strange := [symbol for symbol in said.symbols if atomic_numbers.get(symbol, 0) < 1]:
        raise RefusedStructureError(f"`{strange[0]}` is no chemical symbol", INVALID)
    stated = {key: value for key, value in (("charge", said.charge), ("spin", said.spin)) if value is not None}
    pbc = (said.pbc,) * 3 if isinstance(said.pbc, bool) else said.pbc
    if any(pbc) and said.cell is None:
        raise RefusedStructureError("periodic, and without a `cell`", INVALID)
    for key, value in stated.items():
        if key in said.info and said.info[key] != value:
            what = f"the input contradicts itself: `{key}` is {value:g} and `info.{key}` is {said.info[key]}"
            raise RefusedStructureError(what, INVALID)
    atoms = Atoms(
        numbers=[atomic_numbers[symbol] for symbol in said.symbols],
        positions=np.array(said.positions, dtype=float).reshape(-1, 3),
        cell=said.cell, pbc=pbc, info={**said.info, **stated},
    )  # fmt: skip
    _hold_and_divide(atoms, said)
    try:
        notes = settle_charges(atoms)
    except ContradictionError as error:
        raise RefusedStructureError(str(error), INVALID) from error
    geometry = geometry_from_ase([atoms])
    (reason,), (odd,) = judge_structures(geometry)
    if reason is not None:
        raise RefusedStructureError(reason, INVALID)
    if said.cell is not None and not {"pbc"} & said.model_fields_set:
        notes = [*notes, "no `pbc` is given: computed as not periodic, whatever `cell` is"]
    return AskedStructure(geometry, [*notes, *odd], atoms.get_chemical_formula(empirical=False))


def _hold_and_divide(atoms: Atoms, said: AtomsBody) -> None:
    """Put constraints and fragments on a structure."""
    if said.fixed:
        if max(said.fixed) >= len(atoms):
            raise RefusedStructureError(f"`fixed` names atom {max(said.fixed)} of {len(atoms)}, from 0", INVALID)
        atoms.set_constraint(FixAtoms(sorted({*said.fixed})))
    if said.fragment:
        if len(said.fragment) != len(atoms):
            told = f"{count(len(said.fragment), 'number')} in `fragment` for {count(len(atoms), 'atom')}"
            raise RefusedStructureError(told, INVALID)
        atoms.set_array("fragment", np.array(said.fragment))
