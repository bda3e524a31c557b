"""`mira clean`: free the space of what can be made again or is not needed any more."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from mira_cli import console
from mira_cli.errors import EnvironmentNotReadyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mira_cli.cleaning.waste import Waste
    from mira_cli.run.directory import RunDirectory

CACHE = "cache"


def clean(
    runs: Annotated[list[Path] | None, typer.Argument(help="Run directories.", metavar="RUN")] = None,
    old_records: Annotated[
        bool,
        typer.Option("--old-records", help="Also records of earlier settings; going back to them computes again."),
    ] = False,
    whole: Annotated[bool, typer.Option("--all", help="Remove whole run directories, with their results.")] = False,
    cache: Annotated[
        bool,
        typer.Option(
            "--cache",
            help="Clean the cache: images and environments of other recipes than this MIRA's, unfinished builds and "
            "downloads. Jobs of other users that still run in them will fail. Weights stay.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would be removed; remove nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove from runs what can be made again or is not needed any more: never results, nor the records behind them.

    Those are Snakemake's own files, logs of jobs without trouble, files of jobs that are over, and unfinished files.
    """
    from mira_cli.cleaning import runs as run_waste
    from mira_cli.cleaning.cache import find_cache_waste
    from mira_cli.watching.choose import choose_run

    if not runs and not cache:
        raise UsageError("nothing was named to clean", hint="`mira clean RUN`, or `mira clean --cache`")
    if whole and old_records:
        raise UsageError("`--all` removes all records", hint="leave out `--old-records`")
    named = [choose_run(root).root for root in runs or []]
    roots = dict.fromkeys(root.resolve() if ".." in root.parts else root for root in named)
    opened = [run_waste.open_finished(root) for root in roots]
    if whole:
        _refuse_strangers(opened)
    found = [(run, _whole(run) if whole else run_waste.find_run_waste(run, old_records=old_records)) for run in opened]
    cached = find_cache_waste() if cache else []
    if not _show([*((str(run.root), wastes) for run, wastes in found), (CACHE, cached)]):
        console.say("there is nothing to remove")
        return
    if dry_run or not _agreed(yes=yes):
        console.say("nothing was removed")
        return
    _carry_out([run for run, wastes in found if wastes], cached, whole=whole, old_records=old_records)


def _refuse_strangers(runs: Sequence[RunDirectory]) -> None:
    from mira_cli.cleaning.runs import strangers

    for run in runs:
        if run.root.is_symlink():
            raise UsageError(f"`{run.root}` is a link", hint=f"name the directory itself, `{run.root.resolve()}`")
        if found := strangers(run):
            raise UsageError(
                f"`{run.root}` also holds what is not of a run: {', '.join(found[:3])}{', …' if found[3:] else ''}",
                hint="move that elsewhere first",
            )


def _whole(run: RunDirectory) -> list[Waste]:
    from mira_cli.cleaning.waste import Waste

    return [Waste("the whole run, with its results", (run.root,))]


def _show(found: Sequence[tuple[str, Sequence[Waste]]]) -> bool:
    """Print what would go, with sizes; False if there is nothing."""
    from mira_cli.cleaning.waste import count_files, freed_bytes

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("where", overflow="fold")
    table.add_column("what", overflow="fold")
    table.add_column("files", justify="right")
    table.add_column("frees about", justify="right", no_wrap=True)
    for where, wastes in found:
        for waste in wastes:
            size = _size(freed_bytes(waste.paths))
            table.add_row(escape(where), escape(waste.what), f"{count_files(waste.paths):,}", size)
    if not table.row_count:
        return False
    console.stdout().print(table)
    total = freed_bytes(path for _, wastes in found for waste in wastes for path in waste.paths)
    console.stdout().print(f"{_size(total)} in all", highlight=False)
    return True


def _size(n_bytes: int) -> str:
    from rich.filesize import decimal

    return decimal(n_bytes)


def _agreed(*, yes: bool) -> bool:
    """Whether the user wants it.

    Raises
    ------
    UsageError
        There is no one to ask.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("nothing was removed: there is no terminal to ask", hint="`--yes` removes without asking")
    return typer.confirm("Remove this?", err=True)


def _carry_out(runs: Sequence[RunDirectory], cached: Sequence[Waste], *, whole: bool, old_records: bool) -> None:
    """Look again under each lock, and remove."""
    from mira_cli.cleaning import cache
    from mira_cli.cleaning import runs as run_waste
    from mira_cli.cleaning.waste import freed_bytes, remove_paths
    from mira_cli.run.lock import run_locked

    freed = 0
    problems: list[str] = []
    for run in runs:
        run_waste.refuse_locked(run)
        with run_locked(run):
            run_waste.refuse_queued(run)
            wastes = _whole(run) if whole else run_waste.find_run_waste(run, old_records=old_records)
            paths = [path for waste in wastes for path in waste.paths]
            before = freed_bytes(paths)
            for link in run_waste.links(run) if whole else []:
                console.warn(f"`{link}` is a link: what it leads to, {link.resolve()}, is left")
            failed = run_waste.remove_whole(run) if whole else remove_paths(paths)
            freed += before - (freed_bytes(paths) if failed and not whole else 0)
            problems += failed
    for waste in cached:
        before = freed_bytes(waste.paths)
        failed = cache.remove_waste(waste)
        freed += 0 if failed else before
        problems += failed
    console.say(f"freed about {_size(freed)}")
    if problems:
        raise EnvironmentNotReadyError(
            f"not everything could be removed: {problems[0]}"
            + (f" and {len(problems) - 1} more" if problems[1:] else ""),
            hint="check who owns it, then call it again",
        )
