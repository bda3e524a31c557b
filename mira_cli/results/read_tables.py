"""The tables of a run, read back with the types that they were written with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from mira_cli import tasks
from mira_cli.answers.load import load_run
from mira_cli.console import quoted
from mira_cli.errors import UsageError
from mira_cli.files import read_json, undamaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import pyarrow as pa

    from mira_cli.answers.load import LoadedRun
    from mira_cli.run.directory import RunDirectory

Name: TypeAlias = Literal[
    "comparison", "pairs", "disagreement", "reference", "reference_errors", "energies_aligned", "scalars", "spread",
    "minima", "relax", "scalar_errors",
]  # fmt: skip
NO_REFERENCES = "the structures of `{}` come with no energies, forces or stresses to compare with"
OF_TASKS = ("scalars", "spread", "minima", "relax", "scalar_errors")  # there for some tasks
ABSENT = {
    "reference": NO_REFERENCES,
    "reference_errors": NO_REFERENCES,
    "energies_aligned": "`{}` has nothing to align energies with: one model, and no reference energies",
}


def read_table(run: RunDirectory, name: Name, columns: Sequence[str] | None = None) -> pa.Table:
    """One table of a run.

    Raises
    ------
    UsageError
        It was not written, or is damaged.
    """
    if name == "comparison":
        return read_comparison(run, columns)
    try:
        with undamaged(run.root / f"{name}.csv", hint=_regenerated(run)) as file:
            table = read_csv(file)
    except FileNotFoundError as error:
        raise absent(run, name) from error
    return table.select([c for c in columns or table.column_names if c in table.column_names])


def read_comparison(
    run: RunDirectory, columns: Iterable[str] | None = None, *, as_words: Sequence[str] = ()
) -> pa.Table:
    """`comparison.parquet`; columns of which few values differ take less memory `as_words` (Arrow's dictionaries).

    Raises
    ------
    UsageError
        It was not written, or is damaged.
    """
    import pyarrow.parquet as pq

    try:
        with undamaged(run.root / "comparison.parquet", hint=_regenerated(run)) as file:
            found = pq.ParquetFile(file, read_dictionary=list(as_words))
            names = found.schema_arrow.names
            return found.read([c for c in columns or names if c in names])
    except FileNotFoundError as error:
        raise absent(run, "comparison") from error


def _regenerated(run: RunDirectory) -> str:
    return f"`mira collect {quoted(run.root)}` regenerates it"


def read_csv(file: Path) -> pa.Table:
    """A table that `comparison_files.write_csv` wrote; an empty cell is null.

    Raises
    ------
    ValueError
        It is empty, cut short, or no such table.
    """
    import pyarrow as pa
    import pyarrow.csv as pc

    from mira_cli.compare import columns

    with file.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, 2) - 1))
        if stream.read() != b"\n":
            raise ValueError("cut short")
    schema = columns.make_table([], columns.TABLES.get(file.name, {})).schema
    names = dict.fromkeys(("structure_id", "model", "aligned_with", "energy_alignment", "energy_refusal"), pa.string())
    table = pc.read_csv(
        file,
        parse_options=pc.ParseOptions(newlines_in_values=True),
        convert_options=pc.ConvertOptions(
            column_types={**names, **{field.name: field.type for field in schema}},
            null_values=[""],
            strings_can_be_null=True,
        ),
    )
    empty = [pa.field(one.name, pa.float64() if pa.types.is_null(one.type) else one.type) for one in table.schema]
    return table.cast(pa.schema(empty))


def load_collected(run: RunDirectory) -> LoadedRun:
    """A run whose results are there, read.

    Raises
    ------
    UsageError
        The run has no results, or its structures are not those of its plan.
    """
    if not (run.root / "comparison.parquet").is_file():
        raise absent(run, "comparison")
    return load_run(run)


def absent(run: RunDirectory, name: Name) -> UsageError:
    """Why there is no such table."""
    collected = read_json(run.collected)
    if collected is None or not (run.root / "comparison.parquet").is_file():
        return UsageError(
            f"`{run.root}` has no results yet", hint=f"`mira collect {run.root}` makes them of what is there"
        )
    if problem := collected.get("not_compared"):
        return UsageError(str(problem), hint=f"`mira collect {run.root}` tries again")
    task = tasks.of_run(read_json(run.wanted) or {})
    if name in OF_TASKS:
        told = f"task `{task.name}` has no table `{name}`"
        if name == "scalar_errors" and task.scalars:
            told = f"the structures of `{run.root}` come with no references of what task `{task.name}` gives"
        return UsageError(told, hint="`mira table` shows what there is")
    if not task.is_compared:
        told = f"task `{task.name}` gives no energies or forces of the structures, which are what is compared"
        table = "scalars" if task.scalars else "comparison"
        return UsageError(told, hint=f"`mira table -t {table}` shows its numbers")
    if name in ABSENT and (run.root / "pairs.csv").is_file():
        return UsageError(ABSENT[name].format(run.root), hint="docs/reference/comparison.md says what is compared")
    return UsageError(f"`{run.root}` has no `{name}.csv`", hint=f"`mira collect {run.root}` makes it")
