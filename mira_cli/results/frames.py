"""`results.extxyz`: one frame a structure, in input order, every model's answer under keys of its own.

The text is what ASE would write, put together here since ASE takes several times as long for frames of many columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.answers.arrays import committees_of
from mira_cli.catalogue.rows import slug
from mira_cli.compare.spread import atom_spread
from mira_cli.compare.theory import EVERYONE
from mira_cli.results.extxyz_text import (
    atom_lines,
    formed,
    lattices,
    named_structures,
    periodicities,
    symbols_of_atoms,
)
from mira_cli.results.move_masks import COLUMNS, mask_flags, mask_kinds
from mira_cli.results.shortest_text import join_numbers, shortest_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from mira_cli.answers.blocks import AnswerBlock
    from mira_cli.answers.load import ModelResults

    Array = np.ndarray[Any, Any]


def frames(block: AnswerBlock, models: Sequence[ModelResults]) -> Iterator[bytes]:
    """Frames of some rows of the index; invalid structures have none. Units are eV and Å.

    `structure_id`, `energy_<slug>`, `forces_<slug>`, `stress_<slug>` hold what the models said, `force_spread…` how far
    they are apart on each atom, `reference_energy`, `reference_forces`, `reference_stress` what the input itself gave.
    The keys that ASE takes for a calculator's (`energy`, `forces`, `stress`) are left alone. Constraints of the input
    are in `move_mask`, which ASE reads; those along vectors of the cell, which ASE cannot write, in `fixed_along_cell`.
    """
    names, atoms = _atoms(block, models)
    for head, lines in zip(_heads(block, models, names), atoms, strict=True):
        yield head
        yield lines


def _atoms(block: AnswerBlock, models: Sequence[ModelResults]) -> tuple[list[str], list[bytes]]:
    """For each valid structure the names of its columns, and its atoms as lines."""
    forces, together = block.forces, committees_of(models)
    spreads = [atom_spread(forces, committee) for committee in together]
    symbols = symbols_of_atoms(forces.numbers)
    names, lines = [""] * len(forces.sizes), [b""] * len(forces.sizes)
    kinds = mask_kinds(block.geometry, forces.sizes)
    patterns, pattern = np.unique(np.vstack([forces.valid, kinds]), axis=1, return_inverse=True)
    for number, (*has_all, kind) in enumerate(patterns.T.tolist()):  # structures with the same columns
        here = np.flatnonzero(pattern.reshape(-1) == number)
        has = np.array(has_all, bool)
        own = np.repeat(pattern.reshape(-1) == number, forces.sizes)
        columns = {"pos:R:3": block.geometry["positions"][own]}
        if has[-1]:
            columns["reference_forces:R:3"] = forces.forces[-1, own]
        columns |= {f"forces_{m.slug}:R:3": forces.forces[k, own] for k, m in enumerate(models) if has[k]}
        for committee, spread in zip(together, spreads, strict=True):
            if has[list(committee.members)].sum() > 1:
                columns[f"{spread_key(committee.name)}:R:1"] = spread[own, None]
        title = ":".join(["species:S:1", *columns, *filter(None, [COLUMNS[kind]])])
        flags = mask_flags(block.geometry["fixed"][own], kind)
        texts = atom_lines(symbols[own], np.hstack(list(columns.values())), forces.sizes[here], flags)
        for i, text in zip(here.tolist(), texts, strict=True):
            names[i], lines[i] = title, text
    return names, lines


def _heads(block: AnswerBlock, models: Sequence[ModelResults], names: list[str]) -> list[bytes]:
    """The two lines before the atoms of each valid structure, whose columns have these names."""
    import pyarrow as pa
    import pyarrow.compute as pc

    own, geometry = block.structures.take(block.valid), block.geometry
    given = {key: geometry[key] for key in ("charge", "spin")}
    words = [formed(~np.isnan(values), f"{key}={{}}", shortest_text(values)) for key, values in given.items()]
    words += [named_structures(own["id"].combine_chunks()), *_reference(own)]
    for k, model in enumerate(models):
        words += _said(block, k, model)
    parts = [
        *(pa.array(block.forces.sizes).cast(pa.string()), "\n", lattices(geometry["cell"])),
        *("Properties=", pa.array(names, pa.string()), " "),
        pc.binary_join_element_wise(*words, " ", null_handling="skip"),
        *(' pbc="', periodicities(geometry["pbc"]), '"\n'),
    ]
    return list(pc.binary_join_element_wise(*parts, "").cast(pa.binary()).to_pylist())


def _reference(structures: pa.Table) -> tuple[pa.Array, pa.Array]:
    """Energy and stress that the input gives of each structure."""
    import pyarrow.compute as pc

    energy = structures["reference_energy_ev"].to_numpy()
    stress = structures["reference_stress_ev_per_ang3"].combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(stress), 0).to_numpy()
    numbers = join_numbers(stress.flatten().to_numpy(zero_copy_only=False), lengths)
    has = np.asarray(structures["reference_energy_ev"].is_valid()), np.asarray(stress.is_valid())
    return (
        formed(has[0], "reference_energy={}", shortest_text(energy)),
        formed(has[1], 'reference_stress="{}"', numbers),
    )


def _said(block: AnswerBlock, k: int, model: ModelResults) -> tuple[pa.Array, pa.Array]:
    """Energy and stress by one model of each valid structure; null where it has no answer."""
    found, slug, valid = block.found[k], model.slug, block.valid
    energy, ok = found.numbers("energy_ev")[valid], found.ok()[valid]
    stress = found.lists("stress_ev_per_ang3", 6)[valid]
    ok &= block.forces.valid[k]
    return (
        formed(ok, f"energy_{slug}={{}}", shortest_text(energy)),
        formed(
            ok & ~np.isnan(stress).any(axis=1),
            f'stress_{slug}="{{}}"',
            join_numbers(stress.ravel(), np.full(len(stress), 6)),
        ),
    )


def spread_key(committee: str) -> str:
    """Name of a committee's spread on each atom, in an extxyz file."""
    return "force_spread" if committee == EVERYONE else f"force_spread_{slug(committee)}"
