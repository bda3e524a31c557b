"""One model's answers as labelled structures: extended xyz under the keys that ASE takes for a calculator's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.answers.blocks import answer_blocks
from mira_cli.errors import UsageError
from mira_cli.results.extxyz_text import (
    atom_lines,
    formed,
    info_text,
    lattices,
    named_structures,
    periodicities,
    symbols_of_atoms,
)
from mira_cli.results.move_masks import COLUMNS, mask_flags, mask_kinds
from mira_cli.results.shortest_text import join_numbers, shortest_text
from mira_cli.run.record_block import spans
from mira_cli.statuses import OK
from mira_cli.structures.references import ANSWER_OF

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO

    from mira_cli.answers.blocks import AnswerBlock
    from mira_cli.answers.load import LoadedRun, ModelResults

    Array = np.ndarray[Any, Any]

WHOLE = (0, 5, 4, 5, 1, 3, 4, 3, 2)  # the nine numbers of a stress, of six in Voigt order


def write_labelled(
    stream: IO[bytes], loaded: LoadedRun, model: ModelResults, *, statuses: Sequence[str] = (OK,)
) -> tuple[int, int]:
    """Write the frames of one model's answers with these statuses in input order; counts these and all others.

    Raises
    ------
    UsageError
        The task of the run gives no energy.
    """
    if "energy_ev" not in loaded.task.values:
        raise UsageError(
            f"task `{loaded.task.name}` gives no energy, which is what a label is",
            hint="`mira table -t comparison --csv` prints its numbers",
        )
    written = 0
    for block in answer_blocks(loaded.index, [model]):
        frames = list(labelled_frames(block, 0, model.name, statuses))
        stream.writelines(frames)
        written += len(frames)
    return written, len(loaded.index) - written


def labelled_frames(block: AnswerBlock, k: int, model: str, statuses: Sequence[str]) -> Iterator[bytes]:
    """Frames of the answers with these statuses: `energy`, `forces` and `stress` of the k-th model; eV and Å.

    They are in the geometry that the model was asked about last: where the task moves atoms, not the input's.
    `structure_id` says which structure it is, `answer_of` whose the numbers are, so that whoever reads them as
    references knows (`structures/references.py`), and `status` whether its atoms came to rest.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found, task = block.found[k], block.found[k].task
    chosen = (found.answered() & np.isin(found.texts("status").astype(str), statuses))[block.valid]
    valid = block.valid[chosen]
    if not len(valid):
        return
    these = np.zeros(len(found), bool)
    these[valid] = True
    sizes = block.forces.sizes[chosen]
    ends = np.cumsum(block.forces.sizes)
    atoms = spans(ends[chosen] - sizes, sizes)
    positions, cell = block.geometry["positions"][atoms], block.geometry["cell"][chosen]
    if task.keeps_geometries:
        positions = found.rows("positions", these)[1]
        cell = found.rows("cell", these)[1].reshape(-1, 3, 3)
    columns, title = [positions], "species:S:1:pos:R:3"
    if "forces" in task.arrays:
        columns.append(found.rows("forces", these)[1])
        title += ":forces:R:3"
    stress = found.lists("stress_ev_per_ang3", 6)[valid][:, WHOLE]
    has_stress = np.isfinite(stress).all(axis=1)
    given = {name: block.geometry[name][chosen] for name in ("charge", "spin")}
    words = [
        *(formed(~np.isnan(values), f"{key}={{}}", shortest_text(values)) for key, values in given.items()),
        named_structures(block.structures["id"].take(valid).combine_chunks()),
        pa.array([info_text(ANSWER_OF, model)] * len(valid)),
        formed(np.ones(len(valid), bool), "energy={}", shortest_text(found.numbers("energy_ev")[valid])),
        formed(np.asarray(has_stress), 'stress="{}"', join_numbers(stress.ravel(), np.full(len(stress), 9))),
    ]
    if task.keeps_geometries:
        words.append(
            formed(np.ones(len(valid), bool), "status={}", pa.array(found.texts("status")[valid], pa.string()))
        )
    kinds = mask_kinds(block.geometry, block.forces.sizes)[chosen]
    titles = pa.array([f"{title}:{column}" if column else title for column in COLUMNS]).take(pa.array(kinds))
    heads = pc.binary_join_element_wise(
        *(pa.array(sizes).cast(pa.string()), "\n", lattices(cell), "Properties=", titles, " "),
        pc.binary_join_element_wise(*words, " ", null_handling="skip"),
        *(' pbc="', periodicities(block.geometry["pbc"][chosen]), '"\n', ""),
    )
    symbols, fixed = symbols_of_atoms(block.forces.numbers[atoms]), block.geometry["fixed"][atoms]
    numbers, lines = np.hstack(columns), [b""] * len(sizes)
    for kind in np.unique(kinds).tolist():  # structures with the same columns
        here, own = kinds == kind, np.repeat(kinds == kind, sizes)
        texts = atom_lines(symbols[own], numbers[own], sizes[here], mask_flags(fixed[own], kind))
        for i, text in zip(np.flatnonzero(here).tolist(), texts, strict=True):
            lines[i] = text
    for head, text in zip(heads.to_pylist(), lines, strict=True):
        yield head.encode() + text
