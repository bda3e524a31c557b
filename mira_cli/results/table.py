"""The comparison: one row for each structure and model, and the wide table of energies."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare.columns import flag, real, text, whole
from mira_cli.statuses import INVALID, INVALID_RESULT, OK
from mira_cli.structures.labels import labels_under
from mira_cli.tasks import columns_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from mira_cli.answers.blocks import AnswerBlock
    from mira_cli.answers.load import ModelResults
    from mira_cli.run.record_block import RecordBlock
    from mira_cli.tasks import Task

    Array = np.ndarray[Any, Any]


UNSEEN = "no stress at all: the atoms are farther apart than the model sees"  # in notes


def comparison_rows(
    block: AnswerBlock,
    models: Sequence[ModelResults],
    task: Task,
    group_by: str | None = None,
    across: Sequence[dict[str, Array]] = (),
) -> pa.Table:
    """Long form: structures in input order, for each the models in the order they were asked for.

    The columns of the task (`task.columns`) are empty where a record is no answer; `group_by` is the key of the labels
    in `group`, and `across` has for each model columns of all structures of the run, where the task makes some.
    """
    import pyarrow as pa

    schema = comparison_schema(task)
    if not models:
        return schema.empty_table()
    structures, m = block.structures, len(models)
    each = pa.array(np.repeat(np.arange(len(structures)), m), pa.int32())
    in_turn = pa.array(np.tile(np.arange(m), len(structures)), pa.int32())
    valid = np.asarray(structures["invalid"].is_null())
    parts = [_of_model(block, valid, model, found, task) for model, found in zip(models, block.found, strict=True)]
    for part, made in zip(parts, across, strict=False):
        own = {name: values[block.begin : block.begin + len(structures)] for name, values in made.items()}
        part.update(own | _refuted(part, own.get("error")))
    columns = {
        "structure_id": structures["id"].take(each),
        "formula": structures["formula"].take(each),
        "n_atoms": structures["n_atoms"].take(each),
        "structure_hash": structures["hash"].take(each),
        "note": _notes(structures["note"].take(each), np.stack([_unseen(one) for one in block.found], axis=1).ravel()),
        "group": _labels(structures, group_by).take(each),
        **{name: pa.array(values, schema.field(name).type).take(in_turn)
           for name, values in _constants(models).items()},
        **{name: pa.array(np.stack([part[name] for part in parts], axis=1).ravel(), from_pandas=True)
           for name in parts[0]},
    }  # fmt: skip
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def _unseen(found: RecordBlock) -> Array:
    """Where a crystal has no stress whatever: of atoms that see one another, some is always left."""
    has_none: Array = (found.lists("stress_ev_per_ang3", 6) == 0.0).all(1)
    return found.ok() & has_none


def _notes(of_structures: pa.Array, unseen: Array) -> pa.Array:
    """Notes of the rows: those of their structures, and where a model sees no atom's neighbours."""
    import pyarrow.compute as pc

    if not unseen.any():
        return of_structures
    told = pc.if_else(of_structures.is_valid(), pc.binary_join_element_wise(of_structures, UNSEEN, "; "), UNSEEN)
    return pc.if_else(unseen, told, of_structures)


def _labels(structures: pa.Table, group_by: str | None) -> pa.Array:
    import pyarrow as pa

    if "labels" not in structures.schema.names:  # read by an earlier MIRA
        return pa.nulls(len(structures), pa.string())
    return labels_under(structures["labels"], group_by)


def energies_rows(block: AnswerBlock, models: Sequence[ModelResults], schema: pa.Schema) -> pa.Table:
    """Wide form for people, with the columns of `energies_schema`; empty where there is no energy."""
    import pyarrow as pa

    given = schema.names[: len(schema.names) - len(models)]
    columns = [block.structures["id" if name == "structure_id" else name] for name in given]
    for found, _ in zip(block.found, models, strict=False):  # none where the task has no energy
        energies = np.where(found.ok(), found.numbers("energy_ev"), np.nan)
        columns.append(pa.array(energies, from_pandas=True))
    return pa.table(columns, schema=schema)


def energies_schema(models: Sequence[ModelResults], *, references: bool) -> pa.Schema:
    """Columns of the wide form: one row a structure, one column a model."""
    import pyarrow as pa

    kinds = {"text": pa.string(), "count": pa.int32(), "real": pa.float64()}
    given = [(name, kinds[column.kind]) for name, column in WIDE.items() if column.kind != "real" or references]
    return pa.schema([*given, *((f"energy_ev_{model.slug}", kinds["real"]) for model in models)])


def _constants(models: Sequence[ModelResults]) -> dict[str, list[Any]]:
    """What is the same in all rows of a model."""
    return {
        "model": [model.name for model in models],
        "family": [model.row.family for model in models],
        "level_of_theory": [model.row.level_of_theory for model in models],
        "energy_correction": [model.row.energy_correction for model in models],
        "training_data": [" ".join(model.row.training_data) or None for model in models],
        "package": [model.package for model in models],
        "dtype": [model.dtype for model in models],
        "image": [model.image for model in models],
        "dispersion": [model.row.dispersion for model in models],
        "conservative": [None if m.row.forces is None else m.row.forces == "conservative" for m in models],
    }


def _of_model(
    block: AnswerBlock, valid: Array, model: ModelResults, found: RecordBlock, task: Task
) -> dict[str, Array]:
    """Columns of one model; texts as objects, numbers NaN where they are empty."""
    has = valid & (found.row >= 0)
    status, reason = model.without_record
    invalid = block.structures["invalid"].to_numpy()
    origins = _origins(found)
    return {
        "status": np.where(valid, np.where(has, found.texts("status"), status), INVALID),
        "error": np.where(valid, np.where(has, found.texts("error"), reason), invalid),
        "wall_s": np.where(has, found.numbers("wall_s"), np.nan),
        **{name: np.where(has, values, np.full(len(has), None)) for name, values in origins.items()},
        **columns_of(task, found, found.answered() & valid, block.starts),
    }


def _refuted(part: dict[str, Array], why: Array | None) -> dict[str, Array]:
    """Status and error of one model's rows, where `why` (n,) says that an answer is none beside the others'."""
    if why is None:
        return {}
    refuted = (part["status"] == OK) & np.array([one is not None for one in why], bool)
    return {
        "status": np.where(refuted, INVALID_RESULT, part["status"]),
        "error": np.where(refuted, why, part["error"]),
    }


def _origins(found: RecordBlock) -> dict[str, Array]:
    """What computed the records."""
    images = [attempt.get("image") or {} for attempt in found.attempts]
    origins = {
        "device": [attempt.get("device_name") or attempt.get("device") for attempt in found.attempts],
        "gpu": [attempt.get("gpu") for attempt in found.attempts],
        "weights_sha256": [attempt.get("checkpoint_sha256") for attempt in found.attempts],
        "image_recipe": [image.get("recipe") or None for image in images],
        "runtime": [image.get("runtime") for image in images],
    }
    attempt = found.of_structures(found.attempt, -1)  # -1: the last, which is none
    return {name: np.array([*values, None], dtype=object)[attempt] for name, values in origins.items()}


FIRST = {  # columns of all tasks, before the task's own
    "structure_id": text("`relative/path#frame`, unique in a run; odd characters of a file name as in URLs"),
    "model": text("the name that was asked for"),
    "status": text("`ok`, or what happened"),
    "error": text("one sentence where the status is not `ok`"),
    "formula": text("chemical formula, in Hill's order for molecules with carbon"),
    "n_atoms": whole("atoms in the structure"),
}
LAST = {  # and after them
    "family": text("the model's family"),
    "level_of_theory": text("of the training data; empty if not established"),
    "energy_correction": text(
        "what was added to the training energies: `none`, or `MP2020` (the Materials Project's 2020 corrections); "
        "empty if not established"
    ),
    "training_data": text("data sets that set the energies, separated by spaces; empty if not established"),
    "device": text("the processor that computed the row"),
    "gpu": text("which of its machine's GPUs that was, by number or UUID; empty on a CPU"),
    "dtype": text("floating-point precision of the model"),
    "wall_s": real("the structure's share of its batch's time"),
    "package": text("distribution that evaluated the model, `name==version`"),
    "weights_sha256": text("hash of the checkpoint file that was loaded"),
    "image": text("the image that it ran in"),
    "image_recipe": text("hash of the image's recipe"),
    "runtime": text("`apptainer`, `venv` or `host`"),
    "structure_hash": text("identity of the structure: species, positions, cell, periodicity, and what else is asked"),
    "dispersion": text("`none`, or `included` in the training data or added by the model; empty if not established"),
    "conservative": flag(
        "whether forces are the gradient of the energy, or predicted by themselves; empty if not established"
    ),
    "note": text("what was assumed of the structure, and what is odd in it or in the answer"),
    "group": text("the structure's label under the key of `--group-by`; empty where it has none"),
}
WIDE = {  # columns of `energies.csv`, before those of the models
    "structure_id": FIRST["structure_id"],
    "formula": FIRST["formula"],
    "n_atoms": FIRST["n_atoms"],
    "reference_energy_ev": real("the input's energy; the column is there if the input has energies"),
}


@cache
def comparison_schema(task: Task) -> pa.Schema:
    """Columns of the long form: those that all tasks share around the task's own."""
    import pyarrow as pa

    shared = {"text": pa.string(), "real": pa.float64(), "count": pa.int32(), "flag": pa.bool_()}
    own = shared | {"whole": pa.int64()}
    first, last = ([(name, shared[column.kind]) for name, column in some.items()] for some in (FIRST, LAST))
    return pa.schema([*first, *((column.name, own[column.kind]) for column in task.columns), *last])
