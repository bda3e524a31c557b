"""What says how the models of a run differ, written beside its tables; `docs/reference/comparison.md` has the formulas.

The tables are there by then: a comparison that cannot be made is a warning, and costs nothing but itself.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mira_cli import console
from mira_cli.files import replacing
from mira_cli.results.minima_tables import MINIMA, write_minima
from mira_cli.results.read_tables import read_comparison
from mira_cli.results.scalar_tables import scalar_tables
from mira_cli.run.directory import COMPARISONS, OF_SCALARS
from mira_cli.units import VOIGT

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from mira_cli.answers.load import LoadedRun
    from mira_cli.compare.answers import Answers
    from mira_cli.compare.force_sums import ForceSums
    from mira_cli.compare.schemes import Scheme
    from mira_cli.compare.statistics import Statistics

PAIRS, DISAGREEMENT, REFERENCE, ERRORS, ALIGNED = COMPARISONS
READ = ("structure_id", "model", "status", "formula", "n_atoms", "structure_hash", "group")


def write_comparisons(loaded: LoadedRun, sums: ForceSums | Exception | None = None) -> Statistics | str:
    """Write the statistics of a run; on any failure warn, and leave no file that older numbers made.

    Which files there are depends on what the task gives; without energies and forces the statistics are empty.

    Parameters
    ----------
    sums
        The forces summed up, or why they are not; they are read if None.

    Returns
    -------
    Statistics or str
        The statistics, or why there are none.
    """
    root = loaded.run.root
    tables: dict[str, pa.Table] = {}
    written: set[str] = set()
    made: Statistics | str
    try:
        made = compare(loaded, sums)
        if loaded.task.is_compared:
            tables = tables_of(made)
        if loaded.task.scalars:
            tables |= scalar_tables(loaded, made.answers)
        if loaded.task.keeps_geometries:
            tables |= write_minima(loaded, made.answers, tables)
        for name, table in tables.items():
            write_csv(root / name, table)
        written = {*tables, *((MINIMA,) if loaded.task.keeps_geometries else ())}
    except Exception as error:  # noqa: BLE001  (whatever it is, the results are there)
        written, made = set(), f"the models could not be compared: {type(error).__name__}: {error}"
        console.warn(made, hint=f"the other results are complete; `mira collect {root}` compares again")
    for name in {*COMPARISONS, *OF_SCALARS} - written:
        with suppress(OSError):
            (root / name).unlink(missing_ok=True)
    return made


def compare(loaded: LoadedRun, sums: ForceSums | Exception | None = None) -> Statistics:
    """Statistics from `comparison.parquet` and the forces in the records, if these are not summed up already."""
    if isinstance(sums, Exception):
        raise sums
    from mira_cli.answers.arrays import sums_of_run
    from mira_cli.compare.statistics import conclude

    answers = read_answers(loaded)
    return conclude(answers, sums or sums_of_run(loaded.index, loaded.models), scheme=loaded.energy_alignment)


def read_answers(loaded: LoadedRun) -> Answers:
    """Energies and stresses from `comparison.parquet`; none where they are not of the structures as they are."""
    from mira_cli.answers.arrays import answers_of_run, catalogue_facts

    is_compared = loaded.task.is_compared
    columns = [*READ, *(("energy_ev", *(f"stress_{ij}_ev_per_ang3" for ij in VOIGT)) if is_compared else ())]
    table = read_comparison(loaded.run, columns, as_words=["model", "status", "group"])
    answers = answers_of_run(table, loaded.index, loaded.models, with_references=is_compared)
    del table
    release_unused()
    if loaded.reference_model is None:
        return answers
    return replace(answers, reference=catalogue_facts([loaded.reference_model])[0])


def release_unused() -> None:
    """Give memory of tables that are gone back to the system, so that it is not beside what comes next."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def tables_of(found: Statistics) -> dict[str, pa.Table]:
    """Tables by the names of their files.

    `reference.csv` and `reference_errors.csv` are left out where the input has no references, and
    `energies_aligned.csv` where there is nothing to align energies with.
    """
    from mira_cli.compare.structure_errors import structure_errors

    tables = {PAIRS: found.pairs, DISAGREEMENT: found.disagreement}
    if found.reference.num_rows:
        tables[REFERENCE] = found.reference
        tables[ERRORS] = structure_errors(found.answers, found.force_errors, found.scheme)
    if (aligned := aligned_table(found.answers, found.scheme)) is not None:
        tables[ALIGNED] = aligned
    return tables


def aligned_table(answers: Answers, scheme: Scheme) -> pa.Table | None:
    """Energies aligned with the mean of the models, then with the references; None where there is neither."""
    import pyarrow as pa

    from mira_cli.compare.alignment import committee_mean
    from mira_cli.compare.statistics import aligned_energies

    targets = {}
    if len(answers.models) > 1:
        targets["committee mean"] = aligned_energies(answers, scheme, target=committee_mean(answers.energy))
    if np.isfinite(answers.reference_energy).any():
        targets["reference"] = aligned_energies(answers, scheme, target=answers.fitted_energy)
    named = [
        table.add_column(2, "aligned_with", pa.array([target] * table.num_rows, pa.string()))
        for target, table in targets.items()
        if table.num_rows
    ]
    if not named:
        return None
    table = pa.concat_tables(named)  # its columns shall have the names that they have in the other tables
    names = (name.replace("alignment_refusal", "energy_refusal") for name in table.column_names)
    return table.rename_columns([f"energy_{name}" if name.startswith("alignment") else name for name in names])


def write_csv(file: Path, table: pa.Table) -> None:
    """Write a table as the others of a run are written."""
    import pyarrow.csv as pc

    with replacing(file, "wb") as stream:
        pc.write_csv(table, stream, write_options=pc.WriteOptions(quoting_style="needed"))
