"""`mira export`: one model's answers as a file of labelled structures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mira_cli import console
from mira_cli.commands.complete import complete_model
from mira_cli.errors import UsageError
from mira_cli.options import new_extxyz
from mira_cli.statuses import ANSWERED, OK

if TYPE_CHECKING:
    from mira_cli.answers.load import LoadedRun, ModelResults


def export(
    run: Annotated[
        Path | None, typer.Argument(help="Run directory [default: the nearest, else the newest].", metavar="RUN")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Whose answers [default: the only model].",
            autocompletion=complete_model,
            metavar="MODEL",
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The extxyz file to write.", metavar="FILE")] = Path(
        "labels.extxyz"
    ),
    everything: Annotated[
        bool, typer.Option("--all", help="Also where atoms did not come to rest, with the geometry of the end.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write one model's energies, forces and stresses as labels, under ASE's own keys.

    Structures are in input order, without those that have no answer; of a relaxation, it is the relaxed ones.
    """
    from mira_cli.answers.load import load_run
    from mira_cli.files import replacing
    from mira_cli.results.labelled_frames import write_labelled
    from mira_cli.watching.choose import choose_run

    new_extxyz(output, force=force)
    loaded = load_run(choose_run(run))
    chosen = _chosen(loaded, model)
    why = f"`mira table {console.quoted(loaded.run.root)} -m {console.quoted(chosen.name)}` says why"
    with replacing(output, "wb") as stream:
        written, left_out = write_labelled(stream, loaded, chosen, statuses=ANSWERED if everything else (OK,))
        if not written:
            fit = "" if everything else " that is `ok`"
            raise UsageError(f"`{chosen.name}` has no answer{fit} in `{loaded.run.root}`", hint=why)
    console.say(f"{console.count(written, 'structure')} of {chosen.name} in {output}")
    if left_out:
        console.warn(
            f"{console.count(left_out, 'structure')} without an answer left out",
            hint=why,
        )


def _chosen(loaded: LoadedRun, typed: str | None) -> ModelResults:
    """The model of a name, as `--models` or the slugs of its files have it; the only one where none is named."""
    from mira_cli.commands.typed_models import name_in_run
    from mira_cli.wording import did_you_mean

    models, names = loaded.models, [model.name for model in loaded.models]
    listed = f"its models: {', '.join(names)}"
    if typed is None:
        if len(models) != 1:
            raise UsageError(f"this run has {console.count(len(models), 'model')}", hint=f"name one, `-m`; {listed}")
        return models[0]
    name = typed if typed in {one.slug for one in models} else name_in_run(typed, loaded.run)
    for one in models:
        if name in {one.name, one.slug}:
            return one
    raise UsageError(f"`{typed}` is not a model of this run", hint=f"{did_you_mean(name, names)}{listed}")
