"""`mira models check`: whether a model is right here, with this checkpoint, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mira_cli import console
from mira_cli.commands.complete import complete_model
from mira_cli.console import count
from mira_cli.errors import ExitCode, MiraError
from mira_cli.options import TrustCheckpoint, TrustFile  # noqa: TC001  (typer reads it at run time)

if TYPE_CHECKING:
    from rich.table import Table

    from mira_cli.catalogue.rows import Catalogue, Model
    from mira_cli.checking.run import Report, Subject
    from mira_cli.config import RunConfig
    from mira_cli.images.recipe import Runtime
    from mira_cli.verdicts.judge import Verdict

COLOURS = {"ok": "green", "failed": "bold red", "direct": "yellow", "approximate": "yellow", "skipped": "dim"}


def check(
    names: Annotated[
        list[str],
        typer.Argument(
            help="Names of models, `family:/path` for weights, or `all`.",
            metavar="MODEL...",
            autocompletion=complete_model,
        ),
    ],
    runtime: Annotated[Literal["auto", "apptainer", "venv"], typer.Option(help="How images run.")] = "auto",
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where models run.")] = "auto",
    dtype: Annotated[
        Literal["default", "float32", "float64"], typer.Option(help="Precision; default: each model's own.")
    ] = "default",
    models_file: Annotated[
        list[Path] | None, typer.Option("--models-file", help="YAML file with models of your own.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write JSON to this file too.")] = None,
    trust_checkpoint: TrustCheckpoint = False,
    trust_file: TrustFile = False,
) -> None:
    """Measure whether a model's numbers hold: gradients, symmetries, batches, its own calculator.

    Needs the image and the weights, and no structures of yours. Exit code 1 if anything fails.
    """
    from mira_cli.catalogue.lookup import load_catalogue
    from mira_cli.config import RunConfig
    from mira_cli.files import write_json
    from mira_cli.images.prepare import choose_runtime

    catalogue, everything = load_catalogue(models_file or []), names == ["all"]
    rows = _rows(names, catalogue)
    config = RunConfig(
        structures=["-"], models=list(rows), device=device, dtype=dtype, trust_checkpoints=trust_checkpoint,
        trust_files=trust_file,
    )  # fmt: skip
    chosen, why = choose_runtime(runtime)
    console.say(f"images run in {why}")
    reports = _reports(rows, catalogue, config, chosen, skip=everything)
    data = [report.as_json() for report in reports]
    if output:
        write_json(output, data)
    if as_json:
        console.print_json(data)
    else:
        console.stdout().print(details(reports[0]) if len(reports) == 1 else overview(reports))
    if any(report.status == "failed" for report in reports):
        raise typer.Exit(ExitCode.FAILURES)


def _rows(names: list[str], catalogue: Catalogue) -> dict[str, Model]:
    from mira_cli.catalogue.lookup import find_models

    if names != ["all"]:
        return find_models(names, catalogue)
    return {name: row for name, row in catalogue.models.items() if row.checkpoint.bundled != "faulty"}


def _reports(
    rows: dict[str, Model], catalogue: Catalogue, config: RunConfig, runtime: Runtime, *, skip: bool
) -> list[Report]:
    """Check model after model; with `skip`, those that cannot run here are only reported."""
    from mira_cli.checking import run
    from mira_cli.planning.machine import this_machine

    ready: dict[str, Subject | MiraError] = {}
    for name, row in rows.items():
        try:
            ready[name] = run.subject(name, row, catalogue, config, runtime)
        except MiraError as error:
            if not skip:
                raise
            ready[name] = error
    machine, reports = this_machine(device=config.device, cluster=False), []
    subjects = [name for name, what in ready.items() if not isinstance(what, MiraError)]
    for name, what in ready.items():
        if isinstance(what, MiraError):
            reports.append(run.Report(name, "skipped", reason=", ".join(filter(None, (what.message, what.hint)))))
            continue
        console.say(f"checking {name} ({subjects.index(name) + 1} of {len(subjects)})")
        reports.append(run.check(what, device=config.device, machine=machine))
    return reports


def details(report: Report) -> Table:
    """One line for each measure of a model."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=escape(report.model), title_justify="left")
    for column in ("measure", "verdict", "deviation", "allowed", "where"):
        table.add_column(column, overflow="fold")
    if not report.verdicts:
        table.add_row("", _coloured(report.status, report.status), "", "", escape(report.reason or ""))
    for v in report.verdicts:
        limit = "" if v.allowed is None else f"{v.allowed:.1e}"
        where = ": ".join(filter(None, (v.case, v.reason)))
        table.add_row(v.measure, _coloured(v.status, v.status), _number(v), limit, escape(where))
    return table


def overview(reports: list[Report]) -> Table:
    """One line for each model, one column for each measure: the deviation that comes closest to its limit."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    from mira_cli.verdicts.judge import MEASURES

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("model", "verdict", *MEASURES):
        table.add_column(column, no_wrap=column == "model", overflow="fold")
    skipped = [report for report in reports if report.status == "skipped"]
    if skipped:
        console.say(f"{count(len(skipped), 'model')} skipped, as their image or their weights are not here:")
        console.lines(f"{report.model}: {report.reason}" for report in skipped)
    for report in reports:
        if report in skipped:
            continue
        cells = [_coloured(v.status, _number(v) or v.status) for v in report.verdicts]
        if not cells and report.reason:
            console.say(f"{report.model} {report.status}: {report.reason}")
        table.add_row(escape(report.model), _coloured(report.status, report.status), *cells)
    return table


def _number(verdict: Verdict) -> str:
    return "" if verdict.deviation is None else f"{verdict.deviation:.1e} {verdict.unit}"


def _coloured(status: str, text: str) -> str:
    from rich.markup import escape

    return f"[{COLOURS[status]}]{escape(text)}[/]"
