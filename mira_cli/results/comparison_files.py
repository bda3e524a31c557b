"""What says how the models of a run differ, written beside its tables; `docs/comparison.md` has the formulas.

The tables are there by then: a comparison that cannot be made is a warning, and costs nothing but itself.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from mira_cli import console
from mira_cli.compare.blocks import Block
from mira_cli.files import replacing
from mira_cli.results.frames import geometry
from mira_cli.run.records import OK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from mira_cli.compare.alignment import Scheme
    from mira_cli.compare.answers import Answers
    from mira_cli.results.collect import ModelResults
    from mira_cli.structures.packs import StructureIndex

PAIRS, DISAGREEMENT, REFERENCE = "pairs.csv", "disagreement.csv", "reference.csv"
ALIGNED = "energies_aligned.csv"
NAMES = (PAIRS, DISAGREEMENT, REFERENCE, ALIGNED)
SCHEME: Scheme = "per-element"
READ = ("structure_id", "model", "status", "formula", "n_atoms", "energy_ev", "structure_hash")


def write_comparisons(
    root: Path, index: StructureIndex, models: Sequence[ModelResults], batches: Iterable[tuple[int, int]]
) -> str | None:
    """Write what `comparisons` makes; on any failure warn, and leave no file that older numbers made.

    Returns
    -------
    str or None
        Why there is no comparison.
    """
    tables: dict[str, pa.Table] = {}
    problem = None
    try:
        tables = comparisons(root, index, models, batches)
        for name, table in tables.items():
            write_csv(root / name, table)
    except Exception as error:  # noqa: BLE001  (whatever it is, the results are there)
        tables, problem = {}, f"the models could not be compared: {type(error).__name__}: {error}"
        console.warn(problem, hint=f"the other results are complete; `mira collect {root}` compares again")
    for name in set(NAMES) - set(tables):
        with suppress(OSError):
            (root / name).unlink(missing_ok=True)
    return problem


def comparisons(
    root: Path, index: StructureIndex, models: Sequence[ModelResults], batches: Iterable[tuple[int, int]]
) -> dict[str, pa.Table]:
    """Tables by the names of their files, from `comparison.parquet` and the forces in the records.

    `reference.csv` is left out where the input has no references, and `energies_aligned.csv` where there is nothing
    to align energies with.

    Parameters
    ----------
    batches
        First and last row of the index that are read at once.
    """
    import pyarrow.parquet as pq

    from mira_cli.compare.answers import VOIGT
    from mira_cli.compare.from_run import answers_of_run
    from mira_cli.compare.statistics import statistics

    columns = [*READ, *(f"stress_{ij}_ev_per_ang3" for ij in VOIGT)]
    answers = answers_of_run(pq.ParquetFile(root / "comparison.parquet").read(columns), index, models)
    found = statistics(answers, force_blocks(index, models, batches), scheme=SCHEME)
    tables = {PAIRS: found.pairs, DISAGREEMENT: found.disagreement}
    if found.reference.num_rows:
        tables[REFERENCE] = found.reference
    if (aligned := aligned_table(answers)) is not None:
        tables[ALIGNED] = aligned
    return tables


def force_blocks(
    index: StructureIndex, models: Sequence[ModelResults], batches: Iterable[tuple[int, int]]
) -> Iterator[Block]:
    """The forces of a run, in input order, a batch of structures in memory at a time; invalid ones have no block."""
    for begin, end in batches:
        found = [model.records.read(index.hashes[begin:end]) for model in models]
        for i, structure in geometry(index.table[begin:end], index):
            records = [of_model[i] for of_model in found]
            known = structure["reference_forces"]
            yield Block(
                place=begin + i,
                numbers=structure["numbers"],
                forces=[record.forces() if record and record.status == OK else None for record in records],
                reference=known if np.isfinite(known).all() else None,
            )


def aligned_table(answers: Answers, scheme: Scheme = SCHEME) -> pa.Table | None:
    """Energies aligned with the mean of the models, then with the references; None where there is neither."""
    import pyarrow as pa

    from mira_cli.compare.statistics import aligned_energies

    targets = {}
    if len(answers.models) > 1:
        targets["committee mean"] = aligned_energies(answers, scheme)
    if np.isfinite(answers.reference_energy).any():
        targets["reference"] = aligned_energies(answers, scheme, target=answers.reference_energy)
    named = [
        table.add_column(2, "aligned_with", pa.array([target] * table.num_rows, pa.string()))
        for target, table in targets.items()
        if table.num_rows
    ]
    return pa.concat_tables(named) if named else None


def write_csv(file: Path, table: pa.Table) -> None:
    """Write a table as the others of a run are written."""
    import pyarrow.csv as pc

    with replacing(file, "wb") as stream:
        pc.write_csv(table, stream, write_options=pc.WriteOptions(quoting_style="needed"))


def read_csv(file: Path) -> pa.Table:
    """One of the tables above, with the types that it was written with.

    Raises
    ------
    FileNotFoundError
        It was not written.
    """
    import pyarrow.csv as pc

    from mira_cli.compare import columns

    kinds = {PAIRS: columns.PAIRS, DISAGREEMENT: columns.DISAGREEMENT, REFERENCE: columns.REFERENCE}.get(file.name, {})
    schema = columns.table([], kinds).schema
    types = {name: schema.field(name).type for name in kinds}
    return pc.read_csv(
        file,
        parse_options=pc.ParseOptions(newlines_in_values=True),
        convert_options=pc.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True),
    )
