"""What a run asks of every structure: one file a task, found by name; its twin in `workflow/worker/tasks/` computes."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

Array: TypeAlias = "np.ndarray[Any, Any]"
RELAX = "relax"  # the task that others may begin with
Kind: TypeAlias = Literal["real", "whole", "flag", "text"]


class Settings(BaseModel):
    """Settings of a task: none, unless a subclass has fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Value:
    """A value in the line of a record; `needed` if an answer must have it. `reals` are a list of them."""

    kind: Kind | Literal["reals"]
    needed: bool = True


@dataclass(frozen=True)
class Layout:
    """How an array lies in its file `NAME.f64`: rows of `width` float64, one an atom, or `rows` for each structure.

    With `frames` there are as many rows for each of at most so many frames: a record's line says how many as
    `NAME_frames`, and an answer may lack the array.
    """

    width: int = 3
    rows: int | None = None
    frames: int | None = None

    def count(self, n_atoms: int, frames: int = 1) -> int:
        """Rows of a structure of so many atoms, in so many frames."""
        return frames * (n_atoms if self.rows is None else self.rows)


@dataclass(frozen=True)
class Column:
    """A column of `comparison.csv` that the task fills: its unit is the end of its name.

    Attributes
    ----------
    compared
        Whether models are compared by it, if it is `real`: with one another, and with the label that the input gives
        under its name or one of `given_as`. `energy`: its zero is the model's own, and is aligned before.
    title
        What a report calls it, without the unit; made of its name unless it is given.
    is_positive
        Whether a number that is not positive is none, as a volume.
    empty_if
        What it says of an answer that is `ok` if it has no such number.
    """

    name: str
    kind: Kind
    meaning: str
    compared: Literal["no", "yes", "energy"] = "no"
    given_as: tuple[str, ...] = ()
    title: str = ""
    is_positive: bool = False
    empty_if: str = ""


@dataclass(frozen=True)
class Curve:
    """Arrays of a record that the report draws, of all models over one another, and that `curves.csv` holds.

    Attributes
    ----------
    name
        What `curves.csv` calls it.
    meaning
        What it is called in words.
    x, y
        Arrays with `frames`, whose count is that of the points. A row of `y` may have several numbers, as bands have,
        or n_atoms × 3 of them: they are lines of their own.
    x_words, y_words
        Words of the axes, with units.
    from_lowest
        Whether `y` is drawn from its own lowest value, as energies are whose zero is the model's own.
    has_points
        Whether each number was computed by itself, and is drawn as a point.
    marks
        A value, texts and places on x: `G 0.0 X 0.53`, which are drawn as lines across; None for no such.
    """

    name: str
    meaning: str
    x: str
    y: str
    x_words: str
    y_words: str
    from_lowest: bool = False
    has_points: bool = False
    marks: str | None = None


@dataclass(frozen=True)
class Matrix:
    """An array of a record that the report draws as a square of colours, a model beside the other.

    Attributes
    ----------
    array
        Its `Layout` has as many rows as columns.
    meaning, unit
        What it is called in words, and its unit.
    labels
        Of rows and columns.
    decimals
        Of the numbers that are shown.
    """

    array: str
    meaning: str
    unit: str
    labels: tuple[str, ...]
    decimals: int = 1


@dataclass(frozen=True)
class Distance:
    """How far two answers are apart in several columns together, in one number that is never negative.

    Attributes
    ----------
    of
        Columns of the task that are compared.
    between
        Called with (n, len(of)) numbers twice; returns (n,).
    """

    name: str
    meaning: str
    of: tuple[str, ...]
    between: Callable[[Array, Array], Array]


@dataclass(frozen=True, eq=False)
class Starts:
    """Geometry of n structures with N atoms, in Å; of those that cannot be computed there are no atoms.

    They are structures as they were given, from which a task that moves atoms starts, or others in their place.
    """

    sizes: Array  # (n,)
    numbers: Array  # (N,)
    positions: Array  # (N, 3)
    cell: Array  # (n, 3, 3)
    pbc: Array  # (n, 3)

    def take(self, which: Array) -> Starts:
        """Those structures for which (n,) is true."""
        atoms = which.repeat(self.sizes)
        return Starts(self.sizes[which], self.numbers[atoms], self.positions[atoms], self.cell[which], self.pbc[which])


class Records(Protocol):
    """One model's records of n structures (`run.record_block.RecordBlock`)."""

    def numbers(self, name: str) -> Array:
        """(n,) a value as float64, NaN where there is none."""
        ...

    def texts(self, name: str) -> Array:
        """(n,) a value as objects, None where there is none."""
        ...

    def lists(self, name: str, length: int) -> Array:
        """(n, length) a value that is a list, NaN where there is none of that length."""
        ...

    def rows(self, name: str, chosen: Array) -> tuple[Array, Array]:
        """(c,) rows of each of the chosen (n,) structures, which have the array, and (Σ rows, width) their numbers."""
        ...


@dataclass(frozen=True, eq=False)
class Whole:
    """What one model said of all s structures of a run, in their order.

    Attributes
    ----------
    settings, level_of_theory
        Of the task, all of them; and of the model.
    ids, formulas, n_atoms
        Of the structures; no formula where one cannot be computed.
    ok
        (s,) whether the answer is.
    numbers
        (s,) each value of the task that is a number, by name; NaN where there is none.
    """

    settings: Mapping[str, Any]
    level_of_theory: str | None
    ids: list[str]
    formulas: list[str | None]
    n_atoms: Array
    ok: Array
    numbers: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Task:
    """A task as the host sees it, which is data.

    Attributes
    ----------
    name, version
        Those of the twin; both are in the key of records.
    settings
        What `--set task.…` may say; validated before any job.
    evaluations
        Called with the settings; evaluations of the model that a structure takes, about. Jobs are made as long as it
        says.
    values, arrays
        What its records hold.
    columns
        What `comparison.csv` has beside the columns that all tasks share. Those with the name of a value hold it.
    shown
        Columns that `mira table` prints of them. The first is the headline: the end of a run shows it for each
        structure, under its meaning.
    methods
        What the methods section of a paper says was computed of `{structures}`; names of settings in braces too.
    fill
        Makes the others, by name, of the records of n structures, of (n,) which of these are to be used (answers,
        converged or not), and of the structures themselves.
    is_compared
        Whether energies, forces and stresses are of the structures as they are, in the sense of `singlepoint`. Only
        those are compared as such, between models and with the input's references.
    moves_cell
        Called with the settings; whether cells of periodic structures change, for which a model must have a stress.
    takes_fragments
        Whether fragments that the input names (`structures/fragments.py`) are part of what is asked.
    moves_freely
        Whether atoms move though records do not hold where they end.
    begins_with
        Called with the settings; those of the relaxation whose minimum the task starts from, None if it starts from the
        structure as it is.
    across
        Makes those columns, by name, of all structures of one model, for which each must know the others. What it calls
        `error` is why an answer is none, since others lack, None where it is one: the status is then `invalid_result`.
    of_crystals
        Whether only structures without vacuum that are periodic in three directions have what it asks for.
    of_geometry
        Makes those columns, by name, that a geometry has by itself; a relaxed reference is compared by them.
    curves, matrices
        What of the arrays is drawn.
    distances
        What models are compared by beside single columns.
    """

    name: str
    version: int
    settings: type[Settings]
    evaluations: Callable[[Any], float]
    values: Mapping[str, Value]
    arrays: Mapping[str, Layout]
    columns: tuple[Column, ...]
    shown: tuple[str, ...]
    methods: str
    fill: Callable[[Records, Array, Starts], dict[str, Array]] = lambda _, __, ___: {}
    is_compared: bool = False
    moves_cell: Callable[[Any], bool] = lambda _: False
    takes_fragments: bool = False
    moves_freely: bool = False
    begins_with: Callable[[Any], Settings] | None = None
    of_crystals: bool = False
    across: Callable[[Whole], dict[str, Array]] | None = None
    of_geometry: Callable[[Starts], dict[str, Array]] = lambda _: {}
    curves: tuple[Curve, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    distances: tuple[Distance, ...] = ()

    @property
    def keeps_geometries(self) -> bool:
        """Whether records hold where atoms have gone."""
        return "positions" in self.arrays

    @property
    def moves_atoms(self) -> bool:
        """Whether atoms go anywhere; then constraints of the input are part of what is asked."""
        return self.keeps_geometries or self.begins_with is not None or self.moves_freely

    @property
    def scalars(self) -> tuple[Column, ...]:
        """Columns by which models are compared."""
        return tuple(column for column in self.columns if column.compared != "no")


def ends(found: Records, ok: Array, starts: Starts) -> Starts:
    """Where the structures of a task that moves atoms ended; no atoms where `ok` (n,) is false."""
    cell = starts.cell * 0.0
    cell[ok] = found.rows("cell", ok)[1].reshape(-1, 3, 3)
    numbers = starts.numbers[ok.repeat(starts.sizes)]
    return Starts(starts.sizes * ok, numbers, found.rows("positions", ok)[1], cell, starts.pbc)


def names() -> list[str]:
    """Names of all tasks."""
    return [module.name for module in pkgutil.iter_modules(__path__)]


def find_task(name: str) -> Task:
    """The task of a name.

    Raises
    ------
    KeyError
        There is no such task.
    """
    if name not in names():
        raise KeyError(name)
    task: Task = importlib.import_module(f"{__name__}.{name}").TASK
    return task


def summary_of(name: str) -> str:
    """One sentence on a task."""
    return str(importlib.import_module(f"{__name__}.{name}").__doc__).partition("\n")[0]


def asked(task: Task, settings: Settings) -> dict[str, Any]:
    """A task with its settings, all of them, as jobs and `wanted.json` hold it: `name`, `settings`, `version`.

    And `begins_with`, the same of the relaxation that it begins with, if it does.
    """
    own = {"name": task.name, "settings": settings.model_dump(mode="json"), "version": task.version}
    if task.begins_with is None:
        return own
    return own | {"begins_with": asked(find_task(RELAX), task.begins_with(settings))}


def identity(asked: Mapping[str, Any]) -> str | dict[str, Any]:
    """What stands for a task in the key of records.

    A first version without settings is its name alone, as it was before there were others: those records stay.
    """
    return str(asked["name"]) if asked["version"] == 1 and not asked["settings"] else dict(asked)


def evaluations(asked: Mapping[str, Any]) -> float:
    """Evaluations of the model that a structure takes, about, of a task as `asked` returns it."""
    task = find_task(asked["name"])
    return task.evaluations(task.settings.model_validate(asked["settings"]))


def of_run(wanted: Mapping[str, Any]) -> Task:
    """The task of a run, from its `wanted.json`; single points where an older MIRA did not say it."""
    return find_task((wanted.get("task") or {}).get("name", "singlepoint"))


def what_was_computed(wanted: Mapping[str, Any], structures: str) -> str:
    """What a methods section says was computed in a run, from its `wanted.json`, of these structures."""
    settings = (wanted.get("task") or {}).get("settings", {})
    return of_run(wanted).methods.format(**settings, structures=structures)


def columns_of(task: Task, found: Records, ok: Array, starts: Starts) -> dict[str, Array]:
    """All columns of a task, for n structures; empty (NaN, None) where there is no answer, as `ok` (n,) says."""
    import numpy as np

    own = [column for column in task.columns if column.name in task.values]
    real = {c.name: np.where(ok, found.numbers(c.name), np.nan) for c in own if c.kind in {"real", "whole"}}
    other = {c.name: np.where(ok, found.texts(c.name), np.full(len(ok), None)) for c in own if c.name not in real}
    return {**real, **other, **task.fill(found, ok, starts)}
