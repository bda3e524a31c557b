"""Align a run's energies in another way, or group it by other labels: all that depends on it is rewritten."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mira_cli.errors import MiraError, UsageError
from mira_cli.files import read_json, replacing, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from mira_cli.compare.answers import Answers
    from mira_cli.compare.schemes import Scheme
    from mira_cli.compare.statistics import Statistics
    from mira_cli.run.directory import RunDirectory
    from mira_cli.structures.packs import StructureIndex

ALIGNMENT, GROUPS = "energy_alignment", "group_by"
NONE = "none"


def realign(run: RunDirectory, scheme: Scheme | None = None, group_by: str | None = None) -> Statistics:
    """Make a scheme, or a key of labels, that of a run: its settings, its tables, its provenance.

    Parameters
    ----------
    group_by
        `none` for no groups; None: as before.

    Raises
    ------
    UsageError
        The run has no results, the scheme aligns nothing in them, or no structure has a label under the key; all files
        stay as they are.
    MiraError
        The tables could not be written; those that say something else are gone.
    """
    from mira_cli.answers.load import load_run
    from mira_cli.driver.collect import compare_again, write_results
    from mira_cli.results.comparison_files import read_answers
    from mira_cli.results.read_tables import absent
    from mira_cli.run.collected import is_collected
    from mira_cli.run.lock import run_locked

    if not (run.root / "comparison.parquet").is_file():
        raise absent(run, "comparison")
    changes: dict[str, Any] = {ALIGNMENT: scheme} if scheme else {}
    changes |= {} if group_by is None else {GROUPS: None if group_by == NONE else group_by}
    with run_locked(run):
        if not is_collected(run):
            write_results(load_run(run))  # tables of something else would pass for its answer
        loaded = load_run(run)
        if scheme and loaded.task.is_compared:
            _refuse(read_answers(loaded), scheme)
        if changes.get(GROUPS):
            _refuse_groups(run, loaded.index, str(group_by))
        write_json(run.wanted, {**(read_json(run.wanted) or {}), **changes})
        for file in (run.settings, run.config):
            _set(file, changes)
        # labels are in `comparison.csv` too
        loaded = replace(loaded, **changes)
        made = write_results(loaded) if GROUPS in changes else compare_again(loaded)
    if isinstance(made, str):
        raise MiraError(made, hint=f"`mira collect {run.root}` tries again")
    return made


def _refuse_groups(run: RunDirectory, index: StructureIndex, key: str) -> None:
    from mira_cli.structures.labels import keys_of, label_keys_in_words

    if "labels" not in index.table.schema.names:
        again = f"`mira resume {run.root}` reads them again"
        raise UsageError("the structures of this run were read without their labels", hint=again)
    if key not in keys_of(index.table["labels"]):
        raise UsageError(
            f"no structure has a label under the key `{key}`", hint=label_keys_in_words(index.table["labels"])
        )


def _refuse(answers: Answers, scheme: Scheme) -> None:
    from mira_cli.compare.schemes import SCHEMES
    from mira_cli.compare.statistics import why_not_aligned

    if reason := why_not_aligned(answers, scheme):
        others = [
            f"`{other}`" for other in SCHEMES if other not in {scheme, "none"} and not why_not_aligned(answers, other)
        ]
        hint = (
            f"possible here: {', '.join(others)}"
            if others
            else "docs/reference/comparison.md says what each scheme needs"
        )
        raise UsageError(f"`{scheme}` aligns no energies here: {reason}", hint=hint)


def _set(file: Path, changes: dict[str, str | None]) -> None:
    """Change settings in a file that MIRA wrote; one of the user's own stays as it is."""
    import yaml

    from mira_cli.config import HEADER
    from mira_cli.settings_yaml import load

    if file.is_file() and (text := file.read_text(encoding="utf-8")).startswith(HEADER):
        with replacing(file) as stream:
            stream.write(HEADER)
            yaml.safe_dump({**load(text), **changes}, stream, sort_keys=False, allow_unicode=True)
