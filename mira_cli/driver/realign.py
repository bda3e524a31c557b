"""Align the energies of a run in another way: whatever depends on it is written anew, so that all files agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mira_cli.errors import MiraError, UsageError
from mira_cli.files import read_json, replacing, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from mira_cli.compare.answers import Answers
    from mira_cli.compare.schemes import Scheme
    from mira_cli.compare.statistics import Statistics
    from mira_cli.run.directory import RunDirectory

SETTING = "energy_alignment"


def realign(run: RunDirectory, scheme: Scheme) -> Statistics:
    """Make a scheme that of a run: its settings, its tables, its provenance.

    Raises
    ------
    UsageError
        The run has no results, or the scheme aligns nothing in them; all files stay as they are.
    MiraError
        The tables could not be written; those that say something else are gone.
    """
    from mira_cli.answers.load import load_results
    from mira_cli.driver.collect import compare_again, write_results
    from mira_cli.results.comparison_files import read_answers
    from mira_cli.results.read_tables import absent
    from mira_cli.run.collected import is_collected
    from mira_cli.run.lock import locked

    if not (run.root / "comparison.parquet").is_file():
        raise absent(run, "comparison")
    with locked(run):
        if not is_collected(run):
            write_results(run)  # tables of something else would pass for its answer
        index, models = load_results(run)
        _refuse(read_answers(run.root, index, models), scheme)
        write_json(run.wanted, {**(read_json(run.wanted) or {}), SETTING: scheme})
        for file in (run.settings, run.config):
            _set(file, scheme)
        made = compare_again(run, index, models)
    if isinstance(made, str):
        raise MiraError(made, hint=f"`mira collect {run.root}` tries again")
    return made


def _refuse(answers: Answers, scheme: Scheme) -> None:
    from mira_cli.compare.schemes import SCHEMES
    from mira_cli.compare.statistics import refusal

    if reason := refusal(answers, scheme):
        others = [f"`{other}`" for other in SCHEMES if other not in {scheme, "none"} and not refusal(answers, other)]
        hint = f"possible here: {', '.join(others)}" if others else "docs/comparison.md says what each scheme needs"
        raise UsageError(f"`{scheme}` aligns no energies here: {reason}", hint=hint)


def _set(file: Path, scheme: Scheme) -> None:
    """Change the setting in a file that MIRA wrote; one of the user's own stays as it is."""
    import yaml

    from mira_cli.config import HEADER
    from mira_cli.settings_yaml import load

    if file.is_file() and (text := file.read_text(encoding="utf-8")).startswith(HEADER):
        with replacing(file) as stream:
            stream.write(HEADER)
            yaml.safe_dump({**load(text), SETTING: scheme}, stream, sort_keys=False, allow_unicode=True)
