"""The structures of a run: read, checked, and told about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli import tasks
from mira_cli.console import count, counting, lines, say, warn
from mira_cli.errors import InputError
from mira_cli.structures.choice import FrameChoice
from mira_cli.structures.labels import keys_of, label_keys_in_words, numbers_under
from mira_cli.structures.notes import alike
from mira_cli.structures.packs import StructureIndex, load_structures, open_index
from mira_cli.structures.references import ReferenceKeys, left_out_told, named_keys_told, reference_keys_in_words
from mira_cli.structures.relaxed_references import Matched, match_references

if TYPE_CHECKING:
    from pathlib import Path

    from mira_cli.config import RunConfig
    from mira_cli.run.directory import RunDirectory
    from mira_cli.structures.find import Found
    from mira_cli.tasks import Task

    Array = np.ndarray[Any, Any]

MOST_NAMED = 3  # structures in a sentence


def read_input(config: RunConfig, found: Found | None, run: RunDirectory, scratch: Path | None) -> StructureIndex:
    """Read and check the structures; what cannot be used is told, and stays in the results with its reason.

    Raises
    ------
    InputError
        Nothing can be computed; or, with `strict`, something cannot.
    """
    if found is None:
        return open_index(run.structures)
    tell_passed_over(found, tasks.find_task(config.task))
    keys = ReferenceKeys(config.ref_energy_key, config.ref_forces_key, config.ref_stress_key, config.ref_units)
    choice, task = FrameChoice(config.stride, config.sample, config.seed), tasks.find_task(config.task)
    with counting("structure") as told:
        index = load_structures(
            run.structures,
            found.sources,
            keys=keys,
            choice=choice,
            moves_atoms=task.moves_atoms,
            takes_fragments=task.takes_fragments,
            scratch=scratch,
            told=told,
        )
    if index.read is not None:
        say(f"{len(index):,} of {count(index.read, 'structure')} chosen")
    tell_keys(index, keys)
    _tell_reference_numbers(index, task)
    if config.group_by and config.group_by not in keys_of(index.table["labels"]):
        warn(
            f"no structure has a label under the key `{config.group_by}`",
            hint=label_keys_in_words(index.table["labels"]),
        )
    invalid = [f"{name}: {why}" for name, why in index.invalid()]
    if len(invalid) == len(index):
        first = f" ({invalid[0]})" if invalid else ""
        raise InputError(
            f"no structure to compute in {', '.join(f'`{s}`' for s in config.structures)}{first}",
            hint="docs/reference/structures.md says what is read; `mira inspect PATH` shows what is understood of it",
        )
    if invalid:
        what = f"{len(invalid)} of {count(len(index), 'structure')} cannot be used"
        if config.strict:
            raise InputError(f"{what}; the first: {invalid[0]}", hint="mend or remove them, or leave out `--strict`")
        warn(f"{what}; they stay in the results with the reason")
        lines(invalid)
    _tell_notes(index)
    return index


def _tell_reference_numbers(index: StructureIndex, task: Task) -> None:
    """Say which numbers of the input, that a task's results would be compared with, are not used."""
    for column in task.scalars:
        kind = "positive number" if column.is_positive else "number"
        found = numbers_under(index.table["labels"], (column.name, *column.given_as), positive=column.is_positive)
        for rows, why in (
            (found.contradicted, f"{' and '.join(f'`{key}`' for key in found.keys)} contradict each other"),
            (found.no_number, f"what stands under {' or '.join(f'`{key}`' for key in found.keys)} is no {kind}"),
        ):
            if rows.any():
                first = index.table["id"][int(np.flatnonzero(rows)[0])].as_py()
                in_how_many = count(int(rows.sum()), "structure")
                warn(f"{why} in {in_how_many}: nothing is compared with it; `{first}` is the first")


def read_reference(
    config: RunConfig, found: Found | None, index: StructureIndex, run: RunDirectory, scratch: Path | None
) -> str | None:
    """Read relaxed references, if the run has some; returns what stands for them.

    Raises
    ------
    InputError
        They are of none of the structures.
    """
    if config.reference is None:
        return None
    if found is None:
        return str(open_index(run.reference).sources)
    keys = ReferenceKeys(config.ref_energy_key, config.ref_forces_key, config.ref_stress_key, config.ref_units)
    reference = load_structures(run.reference, found.sources, keys=keys, scratch=scratch and scratch / "reference")
    if invalid := reference.invalid():
        warn(f"{count(len(invalid), 'reference')} cannot be used")
        lines(f"{name}: {why}" for name, why in invalid)
    matched = match_references(index, reference)
    there = int((matched.places >= 0).sum())
    if not there:
        raise _of_others(config.reference, index, reference, matched)
    say(f"relaxed references of {there:,} of {count(len(index), 'structure')}")
    if len(matched.other_atoms):
        left_out = count(len(matched.other_atoms), "reference")
        said = _with_other_atoms(index, reference, matched)
        warn(f"{left_out} left out, with other atoms than the structure of that id: {said}")
    if len(matched.left_over):
        said = _with_formulas(reference, matched.left_over)
        say(f"{count(len(matched.left_over), 'reference')} of no structure here: {said}")
    return str(reference.sources)


def _of_others(given: str, index: StructureIndex, reference: StructureIndex, matched: Matched) -> InputError:
    """Why no reference is of one of the structures, with those that are meant."""
    if len(matched.other_atoms):
        return InputError(
            f"the references in `{given}` have other atoms than the structures: "
            + _with_other_atoms(index, reference, matched),
            hint="a relaxed reference holds the atoms of the structure whose id it has, all of them and no others",
        )
    if not len(matched.left_over):
        return InputError(
            f"no reference in `{given}` can be used", hint="docs/reference/structures.md says what is read"
        )
    usable = np.flatnonzero(index.hashes != b"")
    return InputError(
        f"the references in `{given}` have other ids than the structures: "
        f"{_with_formulas(reference, matched.left_over)}, not {_with_formulas(index, usable)}",
        hint="a reference says whose it is under `structure_id`, or by a file of the same name",
    )


def _with_other_atoms(index: StructureIndex, reference: StructureIndex, matched: Matched) -> str:
    shown = (
        f"`{index.table['id'][ours]}` is {_formula(index, ours)}, its reference `{reference.table['id'][theirs]}` "
        f"{_formula(reference, theirs)}"
        for ours, theirs in matched.other_atoms[:MOST_NAMED].tolist()
    )
    return "; ".join(shown) + _more(len(matched.other_atoms))


def _with_formulas(index: StructureIndex, rows: Array) -> str:
    shown = (f"`{index.table['id'][row]}` ({_formula(index, row)})" for row in rows[:MOST_NAMED].tolist())
    return ", ".join(shown) + _more(len(rows))


def _formula(index: StructureIndex, row: int) -> str:
    return str(index.table["formula"][row])


def _more(named: int) -> str:
    return f" and {named - MOST_NAMED:,} more" if named > MOST_NAMED else ""


def _tell_notes(index: StructureIndex) -> None:
    """Notes by what they say, the most frequent first, each with the first structure that has it."""
    if said := alike(index.notes()):
        structures = sum(one.structures for one in said)
        warn(f"{count(structures, 'structure')} to look at: see the column `note` of `comparison.csv`")
        others = (f" and {one.structures - 1:,} more" if one.structures > 1 else "" for one in said)
        lines(f"{one.first}{more}: {one.note}" for one, more in zip(said, others, strict=True))


def tell_keys(index: StructureIndex, keys: ReferenceKeys) -> None:
    """Warn of keys of references that the user named and that are not everywhere."""
    for sentence, hint in named_keys_told(index.table, keys):
        warn(sentence, hint=hint)


def tell_structures(index: StructureIndex) -> None:
    """One line on what was read."""
    usable, distinct = int((index.hashes != b"").sum()), len(index.distinct)
    twins = f", {usable - distinct} of them duplicates" if usable > distinct else ""
    say(f"{count(usable, 'structure')}{twins}, {count(int(index.n_atoms.sum()), 'atom')}")
    if moments := index.column("magnetic_moments").count(True):
        say(f"magnetic moments of {count(moments, 'structure')} are not used by the models")
    for told in (reference_keys_in_words(index.table), left_out_told(index.table)):
        if told:
            say(told)


def tell_passed_over(found: Found, task: tasks.Task | None = None) -> None:
    """Say what of the folders is not read, and what columns of sheets are for a task."""
    taken = {name.lower() for one in (task.scalars if task else ()) for name in (one.name, *one.given_as)}
    if found.passed_over:
        say(f"{count(len(found.passed_over), 'file')} passed over, by name no structures: {found.passed_over[0].name}"
            + (" and others" if len(found.passed_over) > 1 else ""))  # fmt: skip
    for file, better in list(found.told_better.items())[:1]:
        more = f" and {len(found.told_better) - 1:,} more" if len(found.told_better) > 1 else ""
        say(f"{file.name}{more} passed over: a calculation's geometry is read once, here from {better.name}")
    for sheet, columns in found.unused_columns.items():
        references = [name for name in columns if name.lower() in taken]
        if references:
            say(f"columns of {sheet.name} that are references: {', '.join(references)}")
        if labels := [name for name in columns if name not in references]:
            say(f"columns of {sheet.name} that are labels, for `--group-by`, and nothing else: {', '.join(labels)}")
    for file in found.labelled_twice[:1]:
        more = f" and {len(found.labelled_twice) - 1:,} more" if len(found.labelled_twice) > 1 else ""
        warn(f"rows of a sheet name {file.name}{more} several times, with different labels: the first counts")
