"""`mira profiles`: where jobs can run, what a profile says, and whether its jobs would run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from mira_cli import console
from mira_cli.commands.complete import complete_models, complete_profile
from mira_cli.commands.help import Group
from mira_cli.commands.typed_models import joined
from mira_cli.errors import EnvironmentNotReadyError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from mira_cli.doctor.finding import Finding
    from mira_cli.engine.profile import Profile

app = typer.Typer(cls=Group, help="List, show and check profiles: where and how jobs run.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(help="Name of a profile, or its folder.", autocompletion=complete_profile)]
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@app.command("list")
def print_list(as_json: Json = False) -> None:
    """List the profiles that have a name."""
    from mira_cli.engine.profile import profile_folders

    rows = [_facts(name, folder) for name, folder in profile_folders().items()]
    if as_json:
        console.print_json(rows)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("profile", "executor", "for", "folder"):
        table.add_column(column, no_wrap=column in {"profile", "executor"}, overflow="fold")
    for row in rows:
        place = "" if row["shipped"] else row["folder"]
        table.add_row(escape(row["profile"]), row["executor"] or "–", escape(row["error"] or row["for"]), escape(place))
    console.stdout().print(table)


def _facts(name: str, folder: Path) -> dict[str, Any]:
    from mira_cli.engine.profile import find_profile, profile_summary, shipped_profiles

    facts: dict[str, Any] = {
        "profile": name, "executor": None, "for": profile_summary(folder), "folder": str(folder),
        "shipped": folder.is_relative_to(shipped_profiles()), "error": None,
    }  # fmt: skip
    try:
        facts["executor"] = find_profile(name).executor
    except UsageError as error:
        facts["error"] = error.message
    return facts


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show what a profile says, and in which folder each word of it stands."""
    from mira_cli.engine.profile import find_profile, origins

    profile = find_profile(name)
    come_from = origins(profile)
    resources = {key: each.model_dump(exclude_none=True) for key, each in profile.resources.items()}
    if as_json:
        facts = {
            "profile": name, "folder": str(profile.folder), "extends": profile.extends, "executor": profile.executor,
            "settings": profile.settings, "resources": resources,
            "from": {key: str(folder) for key, folder in come_from.items()},
        }  # fmt: skip
        console.print_json(facts)
        return
    words = {f"{key}.{word}": value for key, each in resources.items() for word, value in each.items()}
    for title, values in (("options of Snakemake", profile.settings), ("what jobs ask for", words)):
        table = Table(box=SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
        for column in ("key", "value", "from"):
            table.add_column(column, no_wrap=column == "key", overflow="fold")
        for key, value in values.items():
            table.add_row(escape(key), escape(_text(value)), escape(str(come_from.get(key, ""))))
        console.stdout().print(table)


def _text(value: object) -> str:
    """A value as YAML, in one line."""
    import yaml

    return yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True).split("\n...")[0].strip()


@app.command()
def check(
    name: Name,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--models",
            "-m",
            help="Check the jobs of these models; joined by commas, or given again.",
            autocompletion=complete_models,
        ),
    ] = None,
    submit: Annotated[
        bool, typer.Option("--submit", help="Submit a short job for each kind, and tell what its node sees.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check a profile: its files, and on a cluster whether its jobs would ever start."""
    from mira_cli.engine.profile import find_profile

    profile = find_profile(name)
    found, fine = _look(profile, _wants_gpu(joined(models)), submit=submit)
    if as_json:
        rows = [{"name": f.name, "status": f.status, "message": f.message, "hint": f.hint} for f in found]
        console.print_json({"profile": name, "checks": rows})
    else:
        _print(found)
    if bad := sum(finding.status == "fail" for finding in found):
        which = f"; {' and '.join(fine)} jobs can" if fine else ""
        raise EnvironmentNotReadyError(
            f"{'some ' if fine else ''}jobs of the profile `{name}` would not run: "
            f"{console.count(bad, 'problem')}{which}"
        )
    console.say(f"jobs of the profile `{name}` can run")


def _look(profile: Profile, models: dict[str, bool], *, submit: bool) -> tuple[list[Finding], list[str]]:
    """What was found, and the kinds of jobs that can run on a cluster whatever is wrong with the others."""
    from mira_cli.doctor import profile as checks
    from mira_cli.doctor.finding import failed, ok, warned
    from mira_cli.slurm import EXECUTOR
    from mira_cli.slurm.cluster import partitions
    from mira_cli.slurm.commands import SlurmError

    found = list(checks.snakemake_options(profile))
    if profile.executor != EXECUTOR:
        if profile.scheduler:
            found += checks.on_other_scheduler(profile, checks.requests(profile, models, []))
        if submit or (models and not profile.scheduler):
            what = f"only jobs of `{EXECUTOR}` can be tried, not those of `{profile.executor}`"
            found.append(warned("jobs", what))
        return found, []
    console.say("asking SLURM for its partitions (`sinfo`)")
    try:
        offered = partitions()
    except SlurmError as error:
        return [*found, failed("SLURM", error.message, error.hint)], []
    found.append(ok("SLURM", f"answers; partitions: {', '.join(partition.name for partition in offered)}"))
    asked = checks.requests(profile, models, offered)
    found += checks.on_slurm(profile, asked)
    bad = {finding.name for finding in found if finding.status == "fail"}
    fine = {name: asks for name, asks in asked.items() if name not in bad and name != "driver"}
    if bad - set(asked):
        fine = {}
    if submit and fine:
        tried = list(checks.on_nodes(fine))
        bad |= {kind for finding in tried if finding.status == "fail" for kind in [finding.name.partition(" job")[0]]}
        found += tried
    if submit and (left := [name for name in asked if name not in fine and name != "driver"]):
        found.append(warned("job", f"not submitted for {', '.join(left)}, for the reasons above"))
    return found, [name for name in fine if name not in bad and "job" not in bad]


def _wants_gpu(names: str | None) -> dict[str, bool]:
    """Models by name, and whether their jobs want a GPU."""
    if names is None:
        return {}
    from mira_cli.catalogue.lookup import find_models, load_catalogue

    catalogue = load_catalogue([])
    rows = find_models([name.strip() for name in names.split(",") if name.strip()], catalogue)
    return {name: catalogue.image_of(row) != "host" for name, row in rows.items()}


def _print(found: list[Finding]) -> None:
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    for wraps in (False, False, True):
        table.add_column(no_wrap=not wraps, overflow="fold")
    for finding in found:
        colour = _COLOURS[finding.status]
        table.add_row(f"[{colour}]{finding.status}[/]", escape(finding.name), escape(finding.message))
        if finding.hint:
            table.add_row("", "", f"[cyan]hint:[/] {escape(finding.hint)}")
    console.stdout().print(table)
