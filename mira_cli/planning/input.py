"""The structures of a run: read, checked, and told about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mira_cli import tasks
from mira_cli.console import count, counting, lines, say, warn
from mira_cli.errors import InputError
from mira_cli.structures.choice import FrameChoice
from mira_cli.structures.labels import keys_of, label_keys_in_words
from mira_cli.structures.notes import alike
from mira_cli.structures.packs import StructureIndex, load_structures, open_index
from mira_cli.structures.references import ReferenceKeys, left_out_told, named_keys_told, reference_keys_in_words
from mira_cli.structures.relaxed_references import match_references

if TYPE_CHECKING:
    from pathlib import Path

    from mira_cli.config import RunConfig
    from mira_cli.run.directory import RunDirectory
    from mira_cli.structures.find import Found


def read_input(config: RunConfig, found: Found | None, run: RunDirectory, scratch: Path | None) -> StructureIndex:
    """Read and check the structures; what cannot be used is told, and stays in the results with its reason.

    Raises
    ------
    InputError
        Nothing can be computed; or, with `strict`, something cannot.
    """
    if found is None:
        return open_index(run.structures)
    tell_passed_over(found)
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
            hint="docs/structures.md says what is read; `mira inspect PATH` shows what is understood of it",
        )
    if invalid:
        what = f"{len(invalid)} of {count(len(index), 'structure')} cannot be used"
        if config.strict:
            raise InputError(f"{what}; the first: {invalid[0]}", hint="mend or remove them, or leave out `--strict`")
        warn(f"{what}; they stay in the results with the reason")
        lines(invalid)
    _tell_notes(index)
    return index


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
    matched = match_references(index, reference)
    there = int((matched.places >= 0).sum())
    if not there:
        other = "have other atoms" if matched.others else "have other ids"
        names = (
            f"`{reference.table['id'][0]}`, and the structures `{index.table['id'][0]}`" if len(reference) else "none"
        )
        raise InputError(
            f"the references in `{config.reference}` {other} than the structures (they begin with {names})",
            hint="a reference says whose it is under `structure_id`, or by a file of the same name",
        )
    say(f"relaxed references of {there:,} of {count(len(index), 'structure')}")
    if matched.others:
        warn(f"{count(matched.others, 'reference')} with other atoms than the structure of the same id left out")
    return str(reference.sources)


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


def tell_passed_over(found: Found) -> None:
    """Say what of the folders is not read."""
    if found.passed_over:
        say(f"{count(len(found.passed_over), 'file')} passed over, by name no structures: {found.passed_over[0].name}"
            + (" and others" if len(found.passed_over) > 1 else ""))  # fmt: skip
    for file, better in list(found.told_better.items())[:1]:
        more = f" and {len(found.told_better) - 1:,} more" if len(found.told_better) > 1 else ""
        say(f"{file.name}{more} passed over: a calculation's geometry is read once, here from {better.name}")
    for sheet, columns in found.unused_columns.items():
        say(f"columns of {sheet.name} that are labels, for `--group-by`, and nothing else: {', '.join(columns)}")
    for file in found.labelled_twice[:1]:
        more = f" and {len(found.labelled_twice) - 1:,} more" if len(found.labelled_twice) > 1 else ""
        warn(f"rows of a sheet name {file.name}{more} several times, with different labels: the first counts")
