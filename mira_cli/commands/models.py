"""`mira models`: what can be asked, and what each answer will mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mira_cli import console
from mira_cli.commands.check import check
from mira_cli.commands.complete import complete_model
from mira_cli.commands.help import Group
from mira_cli.commands.lock import lock
from mira_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mira_cli.catalogue.rows import Catalogue, Model

app = typer.Typer(cls=Group, help="List the models; `mira models show NAME` says all about one.", no_args_is_help=False)
ModelsFile = Annotated[list[Path] | None, typer.Option("--models-file", help="YAML file with models of your own.")]
app.command()(check)
app.command()(lock)
Family = Annotated[str | None, typer.Option("--family", help="Only models of this family.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback(invoke_without_command=True)
def models(
    context: typer.Context, family: Family = None, models_file: ModelsFile = None, as_json: Json = False
) -> None:
    """List the models; `mira models show NAME` says all about one."""
    if context.invoked_subcommand is None:
        print_list(family=family, models_file=models_file, as_json=as_json)


@app.command("list")
def print_list(family: Family = None, models_file: ModelsFile = None, as_json: Json = False) -> None:
    """List the models."""
    from mira_cli.catalogue.lookup import load_catalogue

    catalogue = load_catalogue(models_file or [])
    wanted = _family(family, catalogue) if family is not None else None
    listed = {name: model for name, model in catalogue.models.items() if wanted in {None, model.family}}
    images = dict.fromkeys(catalogue.image_of(model) for model in listed.values())
    if as_json:
        facts = {image: image_facts(image) for image in images}
        rows = [describe(name, model, catalogue, facts) for name, model in listed.items()]
        console.print_json(rows)
        return
    built = {image: built_as(image) for image in images}
    table = [
        (
            name,
            model.level_of_theory or "",
            model.forces or "",
            weights_state(model),
            model.weights_licence or "",
            image := catalogue.image_of(model),
            built[image],
        )
        for name, model in listed.items()
    ]
    console.print_table(("model", "theory", "forces", "weights", "licence", "image", "built as"), table)
    console.say("NAME+d3 is a model with D3(BJ) dispersion added, where its functional has parameters")


def _family(word: str, catalogue: Catalogue) -> str:
    """The family that a word means, whatever its case and dashes."""
    from mira_cli.wording import nearest, suggestion

    known = {_letters(family): family for family in catalogue.families}
    if _letters(word) in known:
        return known[_letters(word)]
    meant = suggestion(nearest(word, catalogue.families))
    raise UsageError(f"there is no family `{word}`", hint=f"{meant}families: {', '.join(catalogue.families)}")


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of a model.", autocompletion=complete_model)],
    models_file: ModelsFile = None,
    as_json: Json = False,
    as_yaml: Annotated[
        bool, typer.Option("--yaml", help="Print the catalogue's row, to copy into a models file.")
    ] = False,
) -> None:
    """Show everything that is known about a model."""
    from mira_cli.catalogue.elements import format_elements
    from mira_cli.catalogue.lookup import find_models, load_catalogue

    catalogue = load_catalogue(models_file or [])
    ((name, model),) = find_models([name], catalogue).items()
    if as_yaml:
        import yaml

        row = model.model_dump(mode="json", exclude_defaults=True) | {
            "elements": format_elements(model.elements) if model.elements else None
        }
        text = yaml.safe_dump({"models": {name: row}}, sort_keys=False, allow_unicode=True)
        console.stdout().print(text, markup=False, end="")
        return
    image = catalogue.image_of(model)
    facts = describe(name, model, catalogue, {image: image_facts(image)})
    if as_json:
        console.print_json(facts)
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for key, value in facts.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
        table.add_row(key.replace("_", " "), escape(text))
    console.stdout().print(table)


def describe(
    name: str, model: Model, catalogue: Catalogue, images: Mapping[str, tuple[dict[str, str], str]]
) -> dict[str, Any]:
    """Facts of one row, with the state of its image (see `image_facts`) and its weights on this machine."""
    from mira_cli.catalogue.elements import format_elements

    family = catalogue.families[model.family]
    image = catalogue.image_of(model)
    versions, built = images[image]
    return {
        "model": name,
        "title": model.title,
        "family": model.family,
        "package": (model.of_file.package if model.of_file else f"{family.package} {versions.get(family.package, '')}")
        .replace("==", " ")
        .rstrip(),
        "options": [f"{key}={value}" for key, value in model.options.items()],
        "options_to_name": [option for option in model.user_options if option not in model.options],
        "dtype": model.dtype or family.dtypes[0],
        "training_data": model.training_data,
        "level_of_theory": model.level_of_theory,
        "energy_correction": model.energy_correction,
        "dispersion": model.dispersion,
        "forces": model.forces,
        "stress": model.stress,
        "elements": format_elements(model.elements) if model.elements else None,
        "code_licence": model.code_licence,
        "weights_licence": model.weights_licence,
        "gated": model.gated,
        "citation": model.citation,
        "aliases": model.aliases,
        "image": image,
        "built": built,
        "weights": weights_state(model),
        **({"file": model.of_file.origin, "kept in": model.checkpoint.path} if model.of_file else {}),
    }


def image_facts(name: str) -> tuple[dict[str, str], str]:
    """Versions of an image's packages, and as what it is built on this machine."""
    from mira_cli.images.recipe import find_images, pinned_versions

    return {} if name == "host" else pinned_versions(find_images([name])[0]), built_as(name)


def built_as(name: str) -> str:
    """As what an image is built on this machine."""
    from mira_cli.images import apptainer, venv
    from mira_cli.images.recipe import find_images

    if name == "host":
        return "–"
    (image,) = find_images([name])
    built = {"apptainer": apptainer.built_sif(image), "venv": venv.built_venv(image)}
    return ", ".join(runtime for runtime, record in built.items() if record) or "no"


def weights_state(model: Model) -> str:
    """Say where weights are: `bundled`, `here`, `missing`, `gated` (missing, and asked for first), or `none`."""
    from mira_cli.weights.store import find_stored

    if model.checkpoint.path is not None:
        return "here" if Path(model.checkpoint.path).exists() else "missing"
    if model.checkpoint.fetch is not None:
        here = find_stored(model.family, model.checkpoint.fetch) is not None
        return "here" if here else "gated" if model.gated else "missing"
    return "none" if model.weights_licence == "none" else "bundled"
