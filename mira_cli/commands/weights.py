"""`mira weights`: which weights are here, fetching them ahead of a run, checking them, bringing them by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from mira_cli import console
from mira_cli.commands.complete import complete_model
from mira_cli.commands.help import Group
from mira_cli.errors import EnvironmentNotReadyError, MiraError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mira_cli.catalogue.rows import Catalogue, Model
    from mira_cli.images.recipe import Runtime
    from mira_cli.weights.import_weights import LoadTest
    from mira_cli.weights.units import Unit

app = typer.Typer(cls=Group, help="List, fetch, verify and import weights.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Wanted = Annotated[Literal["auto", "apptainer", "venv"], typer.Option(help="How images run.")]
ModelsFile = Annotated[list[Path] | None, typer.Option("--models-file", help="YAML file with models of your own.")]


@app.command("list")
def print_list(models_file: ModelsFile = None, as_json: Json = False) -> None:
    """List the weights that models use, and whether they are here."""
    from mira_cli.images.progress import size
    from mira_cli.weights.availability import list_weights

    rows = list_weights(_catalogue(models_file))
    if as_json:
        console.print_json(rows)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("models", "state", "size", "family's name", "from"):
        table.add_column(column, no_wrap=column in {"state", "size"}, overflow="fold")
    for row in rows:
        n_bytes = "" if row["bytes"] is None else size(row["bytes"])
        name = f"{row['family']} {row['name']}"
        table.add_row(", ".join(row["models"]), row["state"], n_bytes, name, escape(", ".join(row["source"])))
    console.stdout().print(table)


@app.command()
def fetch(
    names: Annotated[
        list[str], typer.Argument(help="Names of models, or `all`.", metavar="MODEL...", autocompletion=complete_model)
    ],
    runtime: Wanted = "auto",
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is here.")] = False,
    models_file: ModelsFile = None,
) -> None:
    """Fetch weights ahead of a run, on a machine that has a network."""
    from mira_cli.weights import tokens

    catalogue = _catalogue(models_file)
    units = _units(names, catalogue)
    if names == ["all"] and not tokens.find_token():
        left = [unit.title for unit in units if unit.gated]
        units = [unit for unit in units if not unit.gated]
        if left:
            console.say(f"left out, as they are gated and there is no token: {', '.join(left)}")
    _each(units, runtime, force=force)


def _each(units: Sequence[Unit], runtime: Literal["auto", "apptainer", "venv"], *, force: bool) -> None:
    """Fetch units; one that fails does not stop the others."""
    from mira_cli.weights import fetch, store

    failed: list[str] = []
    hopeless: set[tuple[str, str]] = set()  # families without network, images that cannot be built
    for unit in units:
        if not force and (found := store.find_stored(unit.family, unit.name)):
            console.say(f"weights of {unit.title} are here already: {found.path}")
            continue
        if hopeless & {("family", unit.family), ("image", unit.image)}:
            console.say(f"{unit.title}: not tried, for the reason above")
            failed.append(unit.title)
            continue
        try:
            fetch.fetch_unit(unit, _runtime(unit, runtime), force=force)
        except EnvironmentNotReadyError as error:
            if len(units) == 1:
                raise
            console.fail(error)
            failed.append(unit.title)
            hopeless |= {("family", unit.family)} if isinstance(error, fetch.NoNetworkError) else set()
            hopeless |= {("image", unit.image)} if isinstance(error, fetch.NoImageError) else set()
    if failed:
        listed = " ".join(failed)
        raise EnvironmentNotReadyError(f"not fetched: {listed}", hint=f"`mira weights fetch {listed}` tries again")


@app.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Names of models; default: all that are here.", autocompletion=complete_model),
    ] = None,
    models_file: ModelsFile = None,
    as_json: Json = False,
) -> None:
    """Read all files again and compare them with the hashes that were noted when they arrived."""
    from mira_cli.weights.availability import check

    units = _units(names or ["all"], _catalogue(models_file))
    results = [check(unit) for unit in units]
    if not names:
        results = [result for result in results if result["problems"] != ["missing"]]
    if as_json:
        console.print_json(results)
    else:
        for result in results:
            for word in result["problems"] or [result["sha256"]]:
                mark = "[red]bad[/]" if result["problems"] else "[green]ok[/]"
                console.stdout().print(f"{mark} {result['models'][0]}: {escape(word)}")
    bad = " ".join(result["models"][0] for result in results if result["problems"])
    if bad:
        raise EnvironmentNotReadyError(f"not as they arrived: {bad}", hint=f"`mira weights fetch {bad} --force`")
    if not results:
        console.say("no weights are here but those in packages")


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="A file, a folder, or (a part of) another machine's store.")],
    name: Annotated[str | None, typer.Option("--model", help="Model whose weights these are.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is here.")] = False,
    runtime: Wanted = "auto",
    models_file: ModelsFile = None,
) -> None:
    """Take weights that were brought by hand, to a machine without network."""
    from mira_cli.weights import import_weights
    from mira_cli.weights.units import units

    if not path.exists():
        raise UsageError(f"there is no `{path}`")
    catalogue = _catalogue(models_file)
    known = units(catalogue.models, catalogue)
    if places := import_weights.copies(path) if path.is_dir() else []:
        if name:
            raise UsageError(f"`{path}` says itself what it is", hint=f"`mira weights import {path}`")
        stored = [found for place in places if (found := import_weights.import_copy(place, known, force=force))]
    else:
        aliases = [(alias, model) for model, row in catalogue.models.items() for alias in row.aliases]
        unit = _only(name, catalogue) if name else import_weights.guess(path, known, aliases)
        stored = [import_weights.import_files(path, unit, _trial(unit, catalogue, runtime), force=force)]
    for one in stored:
        console.say(f"weights {one.manifest.family} {one.manifest.name} are here: {one.path}, sha256 {one.sha256}")


def _catalogue(models_file: list[Path] | None) -> Catalogue:
    from mira_cli.catalogue.lookup import load_catalogue

    return load_catalogue(models_file or [])


def _units(names: Iterable[str], catalogue: Catalogue) -> list[Unit]:
    """Units of models by name; says of those without any why there is nothing to do."""
    from mira_cli.catalogue.lookup import find_models
    from mira_cli.weights.units import units

    if list(names) == ["all"]:
        return units(catalogue.models, catalogue)
    rows = find_models(list(names), catalogue)
    for name, row in rows.items():
        if row.checkpoint.fetch is None:
            console.say(f"{name}: {_nothing(row)}")
    known = {(unit.family, unit.name): unit for unit in units(catalogue.models, catalogue)}
    wanted = dict.fromkeys((row.family, row.checkpoint.fetch or "") for row in rows.values())
    # of the models that share weights, the one that was asked for is what messages name
    first = {key: sorted(known[key].models, key=lambda name: name not in rows) for key in wanted if key in known}
    return [replace(known[key], models=tuple(names)) for key, names in first.items()]


def _nothing(row: Model) -> str:
    if row.checkpoint.path is not None:
        return f"its weights are a path, {row.checkpoint.path}: nothing to fetch"
    return "it has no weights" if row.weights_licence == "none" else "its weights are in its package: nothing to fetch"


def _only(name: str, catalogue: Catalogue) -> Unit:
    if found := _units([name], catalogue):
        return found[0]
    raise UsageError(f"`{name}` takes no weights from outside", hint="`mira weights list` shows what does")


def _runtime(unit: Unit, wanted: Literal["auto", "apptainer", "venv"]) -> Runtime:
    """Choose how to run; where either would do, as what the image is built already."""
    from mira_cli.images import prepare, recipe

    if unit.image == "host":
        return "venv"
    chosen = prepare.choose_runtime(wanted)[0]
    (image,) = recipe.find_images([unit.image])
    is_other = wanted == "auto" and not prepare.is_built(image, chosen) and prepare.is_built(image, "venv")
    return "venv" if is_other else chosen


def _trial(unit: Unit, catalogue: Catalogue, wanted: Literal["auto", "apptainer", "venv"]) -> LoadTest:
    """What it takes to try weights; does not build an image for that."""
    from mira_cli.images import prepare
    from mira_cli.weights.import_weights import LoadTest

    row = catalogue.models[unit.title]
    dtype = row.dtype or catalogue.families[unit.family].dtypes[0]
    if unit.image == "host":
        return LoadTest(row, dtype, None, built=True)
    try:
        image = prepare.prepare_images([unit.image], _runtime(unit, wanted), build=False)[unit.image]
    except MiraError:
        return LoadTest(row, dtype, None, built=False)
    return LoadTest(row, dtype, image, built=True)
