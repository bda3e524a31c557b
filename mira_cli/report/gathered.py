"""What a report is made of: the results of a run, their statistics, and the atoms of chosen structures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.answers.blocks import geometry_columns
from mira_cli.compare.schemes import scheme_named
from mira_cli.files import read_json
from mira_cli.results.comparison_files import compare
from mira_cli.results.provenance import provenance
from mira_cli.results.read_tables import read_comparison

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from mira_cli.answers.load import LoadedRun, ModelResults
    from mira_cli.compare.answers import Answers
    from mira_cli.compare.forces import Array
    from mira_cli.compare.schemes import Scheme
    from mira_cli.compare.statistics import Statistics
    from mira_cli.run.directory import RunDirectory
    from mira_cli.structures.packs import StructureIndex
    from mira_cli.tasks import Task

NUMBERS = ("fmax_ev_per_ang", "frms_ev_per_ang", "pressure_gpa", "wall_s")  # columns of comparison.parquet
TEXTS = ("status", "error", "device", "weights_sha256", "image_recipe", "runtime")
SIGNIFICANT = 4  # digits of numbers that are drawn; the tables of the run have all of them
READ_AT_ONCE, ATOMS_AT_ONCE = 500, 50_000  # structures, atoms


@dataclass(frozen=True, eq=False)
class Gathered:
    """All that the sections of a report read."""

    run: RunDirectory
    index: StructureIndex
    models: list[ModelResults]
    table: pa.Table  # of comparison.parquet what is needed: structures in input order, for each the models in turn
    statistics: Statistics
    provenance: dict[str, Any]
    task: Task

    @property
    def answers(self) -> Answers:
        """Energies, stresses and references."""
        return self.statistics.answers

    @property
    def names(self) -> list[str]:
        """The models' names."""
        return [model.name for model in self.models]

    def column(self, name: str) -> Array:
        """(s, m) numbers of one column of the table, NaN where it is empty or the task has no such column."""
        import pyarrow as pa

        if name not in self.table.column_names:
            return np.full((len(self.answers), len(self.models)), np.nan)
        flat = np.asarray(self.table[name].cast(pa.float64()).to_numpy(), dtype=float)
        return flat.reshape(len(self.answers), len(self.models))

    def texts(self, name: str) -> tuple[list[str | None], Array]:
        """The different texts of one column in the order of the table, with None last; and (s, m) places in them."""
        encoded = self.table[name].unify_dictionaries().combine_chunks()
        places = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy()
        return [*encoded.dictionary.to_pylist(), None], places.reshape(len(self.answers), len(self.models))

    def committee(self, name: str) -> pa.Table:
        """The rows of `disagreement.csv` of one committee: as many as structures, which follow one another."""
        import pyarrow.compute as pc

        table = self.statistics.disagreement
        return table.slice(max(0, pc.index(table["committee"], name).as_py()), len(self.answers))

    @cached_property
    def disputed(self) -> Disputed:
        """How far all models together are apart on each structure."""
        import pyarrow.compute as pc

        own = self.committee("all")
        first = pc.index_in(own["structure_id"], value_set=self.answers.structures).to_numpy()
        row = np.empty(len(first), int)
        row[first] = np.arange(len(first))
        return Disputed(first, row, own)


@dataclass(frozen=True, eq=False)
class Disputed:
    """The rows of `disagreement.csv` of one committee, the most disputed structure first."""

    first: Array  # (s,) structures in that order
    row: Array  # (s,) row of each structure
    table: pa.Table

    def column(self, name: str, structures: Array) -> list[Any]:
        """What a column says of some structures; None where it says nothing."""
        return list(self.table[name].take(self.row[structures]).to_pylist())

    def of(self, structure: int) -> dict[str, Any]:
        """The row of one structure."""
        return dict(self.table.slice(self.row[structure], 1).to_pylist()[0])


@dataclass(frozen=True, eq=False)
class Atoms:
    """The atoms of one structure and the forces on them."""

    place: int  # row of the index
    numbers: Array  # (n,)
    positions: Array  # (n, 3) Å
    cell: Array  # (3, 3) Å
    pbc: Array  # (3,)
    forces: list[Array | None]  # by model, (n, 3) eV/Å
    reference: Array | None  # (n, 3) eV/Å


def gather(loaded: LoadedRun, computed: Statistics | None = None) -> Gathered:
    """Gather what a report says of a collected run; its statistics are computed unless they are given.

    Raises
    ------
    UsageError
        The results are older than the run's plan.
    """
    run = loaded.run
    computed = computed or compare(replace(loaded, energy_alignment=_scheme(run)))
    task = loaded.task
    words = [*TEXTS, *(column.name for column in task.columns if column.name in task.shown and column.kind == "text")]
    table = read_comparison(run, dict.fromkeys([*NUMBERS, *words, *task.shown]), as_words=words)
    return Gathered(run, loaded.index, loaded.models, table, computed, provenance(loaded), task)


def _scheme(run: RunDirectory) -> Scheme:
    """The scheme that the tables of a run were made with."""
    said = read_json(run.collected) or read_json(run.wanted) or {}
    return scheme_named(said.get("energy_alignment"))


def read_atoms(gathered: Gathered, places: Array) -> Iterator[Atoms]:
    """Atoms of some valid structures (rows of the index), in the order of the rows, a few in memory at a time."""
    index = gathered.index
    valid = np.sort(places[index.places[places, 0] >= 0]) if len(places) else places
    for begin, end in _blocks(index.n_atoms[valid]):
        yield from _read(gathered, valid[begin:end])


def _blocks(n_atoms: Array) -> Iterator[tuple[int, int]]:
    """First and last of structures that are few enough, and have few enough atoms, to be read at once."""
    block = np.cumsum(n_atoms) // ATOMS_AT_ONCE + np.arange(len(n_atoms)) // READ_AT_ONCE
    ends = [*(np.flatnonzero(np.diff(block)) + 1).tolist(), len(n_atoms)]
    yield from zip([0, *ends[:-1]], ends, strict=True)


def _read(gathered: Gathered, places: Array) -> Iterator[Atoms]:
    index = gathered.index
    found = [model.records.read(index.hashes[places]) for model in gathered.models]
    forces = [list(of_model.each("forces")) for of_model in found]
    geometry = geometry_columns(index, places)
    ends = np.cumsum(index.n_atoms[places], dtype=int)
    for i, (place, end) in enumerate(zip(places.tolist(), ends.tolist(), strict=True)):
        own = slice(end - int(index.n_atoms[place]), end)
        numbers, positions, reference = (geometry[name][own] for name in ("numbers", "positions", "reference_forces"))
        known = reference if np.isfinite(reference).all() else None
        yield Atoms(
            place,
            numbers,
            positions,
            geometry["cell"][i],
            geometry["pbc"][i],
            [own_forces[i] for own_forces in forces],
            known,
        )


def short(values: Any, digits: int = SIGNIFICANT) -> list[float | None]:
    """Numbers as JSON has them, rounded to some significant digits; None for what is not finite."""
    text = f"{{:.{digits}g}}".format
    return [_whole(float(text(value))) if is_finite else None for value, is_finite in _with_finite(values)]


def rounded(values: Any, decimals: int) -> list[float | None]:
    """Numbers as JSON has them, rounded to some decimals; None for what is not finite."""
    return [_whole(round(value, decimals)) if is_finite else None for value, is_finite in _with_finite(values)]


def _with_finite(values: Any) -> Iterator[tuple[float, bool]]:
    flat = np.asarray(values, dtype=float).ravel()
    return zip(flat.tolist(), np.isfinite(flat).tolist(), strict=True)


def _whole(value: float) -> float:
    return int(value) if value == int(value) and abs(value) < 1e15 else value


def rows_of(table: pa.Table, digits: int = 6) -> list[dict[str, Any]]:
    """Rows of a table with what is there, and numbers rounded."""
    return [
        {name: short([value], digits)[0] if isinstance(value, float) else value for name, value in row.items()}
        for row in ({name: value for name, value in row.items() if value is not None} for row in table.to_pylist())
    ]


def rounded_columns(table: pa.Table, names: Sequence[str], known: Sequence[str]) -> dict[str, Any]:
    """Columns of a long table, rounded; texts are numbers that say their place in `texts`, `known` first."""
    texts = list(known)
    columns: dict[str, Any] = {}
    for name in names:
        values = table[name].to_pylist()
        if any(isinstance(value, str) for value in values):
            texts += [value for value in dict.fromkeys(values) if isinstance(value, str) and value not in texts]
            place = {text: i for i, text in enumerate(texts)}
            columns[name] = {"texts": [None if value is None else place[value] for value in values]}
        else:
            columns[name] = short([np.nan if value is None else value for value in values], 6)
    return {"columns": columns, "texts": texts}
