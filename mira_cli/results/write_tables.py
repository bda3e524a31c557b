"""The tables and frames of a run, written in one pass over its records. Files appear complete or not at all."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from mira_cli.answers.arrays import catalogue_facts
from mira_cli.answers.blocks import answer_blocks
from mira_cli.catalogue.rows import file_name
from mira_cli.compare.force_sums import ForceSums
from mira_cli.files import read_json, replacing
from mira_cli.results.across import across_structures
from mira_cli.results.frames import frames
from mira_cli.results.labelled_frames import labelled_frames
from mira_cli.results.table import comparison_rows, comparison_schema, energies_rows, energies_schema
from mira_cli.results.trajectories import has_paths, path_frames
from mira_cli.run.directory import MOVED, PATHS
from mira_cli.statuses import OK

if TYPE_CHECKING:
    import pyarrow as pa

    from mira_cli.answers.blocks import AnswerBlock
    from mira_cli.answers.load import LoadedRun

AT_REST = (OK, "not_converged")  # what blew up is not read on by anything
ROW_GROUP = 50_000  # rows that are written to a Parquet file together, and read again in one piece


def write_tables(loaded: LoadedRun) -> ForceSums | Exception:
    """Write tables and frames in one pass over the records; returns what it summed over the forces on the way."""
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    root, index, models, task = loaded.run.root, loaded.index, loaded.models, loaded.task
    options = pc.WriteOptions(quoting_style="needed")
    references = index.table["reference_energy_ev"].null_count < len(index)
    asked = (read_json(loaded.run.wanted) or {}).get("task") or {}
    sums: ForceSums | Exception = ForceSums(catalogue_facts(models), len(index))
    with ExitStack() as files:

        def new(name: str) -> Any:
            return files.enter_context(replacing(root / name, "wb"))

        # the files get their names in the reverse order, when all are complete
        with_energy = models if task.is_compared and "energy_ev" in task.values else []
        text, wide = new("results.extxyz"), energies_schema(with_energy, references=references)
        energies = files.enter_context(pc.CSVWriter(new("energies.csv"), wide, write_options=options))
        table = files.enter_context(pc.CSVWriter(new("comparison.csv"), comparison_schema(task), write_options=options))
        columns = files.enter_context(
            pq.ParquetWriter(new("comparison.parquet"), comparison_schema(task), compression="zstd")
        )
        moved = [new(f"{MOVED}/{file_name(model.name)}.extxyz") for model in models] if task.keeps_geometries else []
        waiting: list[pa.Table] = []
        wholes = across_structures(loaded, asked.get("settings", {}))
        for block in answer_blocks(index, models):
            rows = comparison_rows(block, models, task, loaded.group_by, wholes)
            waiting.append(rows)
            if sum(map(len, waiting)) >= ROW_GROUP:
                columns.write_table(pa.concat_tables(waiting))
                waiting = []
            table.write_table(rows)
            energies.write_table(energies_rows(block, with_energy, wide))
            text.writelines(frames(block, models))
            for k, stream in enumerate(moved):
                stream.writelines(labelled_frames(block, k, models[k].name, AT_REST))
            sums = _counted(sums, block)
        columns.write_table(pa.concat_tables([comparison_schema(task).empty_table(), *waiting]))
    with_paths = models if has_paths(task, asked.get("settings", {})) else []
    for model in with_paths:
        with replacing(root / PATHS / f"{file_name(model.name)}.extxyz", "wb") as stream:
            stream.writelines(path_frames(index, model, task))
    for folder, own in ((MOVED, models if task.keeps_geometries else []), (PATHS, with_paths)):
        for old in (root / folder).glob("*.extxyz"):  # of models that the run has no more
            if old.stem not in {file_name(model.name) for model in own}:
                old.unlink(missing_ok=True)
        if not own:  # of a task that the run had before
            with suppress(OSError):  # there is none, or somebody else's files are in it
                (root / folder).rmdir()
    return sums


def _counted(sums: ForceSums | Exception, block: AnswerBlock) -> ForceSums | Exception:
    """The sums with a block more; what goes wrong with them costs no table."""
    if isinstance(sums, ForceSums):
        try:
            sums.add(block.forces)
        except Exception as error:  # noqa: BLE001  (it is handed on and told; the tables are there)
            return error
    return sums
