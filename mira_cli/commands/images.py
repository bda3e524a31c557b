"""`mira images`: which images there are, building them ahead of a run, and checking what is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from mira_cli import console
from mira_cli.commands.complete import complete_image
from mira_cli.commands.help import Group

if TYPE_CHECKING:
    from mira_cli.images.recipe import Image, Runtime

app = typer.Typer(cls=Group, help="List, build and verify images.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Wanted = Annotated[Literal["auto", "apptainer", "venv"], typer.Option(help="How images run.")]


@app.command("list")
def print_list(as_json: Json = False) -> None:
    """List the images, and as what each is built."""
    from mira_cli.images.recipe import all_images, images_of_files

    rows = [_facts(image) for image in (*all_images(), *images_of_files())]
    if as_json:
        console.print_json(rows)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("image", "apptainer", "venv", "recipe", "holds"):
        table.add_column(column, no_wrap=column in {"image", "recipe"})
    for row in rows:
        table.add_row(row["image"], _state(row, "apptainer"), _state(row, "venv"), _recipe(row), row["description"])
    console.stdout().print(table)


def _facts(image: Image) -> dict[str, Any]:
    from mira_cli.images import prepare, recipe

    facts: dict[str, Any] = {
        "image": image.name,
        "description": image.description,
        "families": list(image.families),
        "recipe": recipe.recipe_hash(image),
        "torch_backend": image.torch_backend,
    }
    runtimes: tuple[Runtime, ...] = ("apptainer", "venv")
    for runtime in runtimes:
        found = prepare.record_of(image, runtime)
        facts[runtime] = found and {
            "path": str(prepare.place(image, runtime)),
            "built": found.built,
            "bytes": found.bytes,
            "sha256": found.sha256,
        }
    return facts


def _recipe(row: dict[str, Any]) -> str:
    return f"{row['recipe']} ({row['torch_backend']})" if row["torch_backend"] else str(row["recipe"])


def _state(row: dict[str, Any], runtime: str) -> str:
    from mira_cli.images.progress import size

    return size(row[runtime]["bytes"]) if row[runtime] else "not built"


@app.command()
def build(
    names: Annotated[list[str], typer.Argument(help="Names of images, or `all`.", autocompletion=complete_image)],
    runtime: Wanted = "auto",
    force: Annotated[
        bool, typer.Option("--force", help="Build again what is built; jobs that run in an environment will fail.")
    ] = False,
    backend: Annotated[
        str | None,
        typer.Option(
            "--torch-backend",
            metavar="NAME",
            help="Another PyTorch than the lock's, for these images from now on: `cu126`, `cu128` for older drivers, "
            "`cpu`, `auto`; `default` goes back.",
        ),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licences of these images, where they want that.")
    ] = False,
    bootstrap: Annotated[
        Literal["auto", "docker", "debootstrap"],
        typer.Option(help="Where a base image comes from: a container registry, or a Debian mirror."),
    ] = "auto",
) -> None:
    """Build images ahead of a run, on a machine that has a network."""
    from mira_cli.images import licences, parallel_builds, prepare, recipe, torch_backend

    images = recipe.find_images(names)
    chosen, reason = prepare.choose_runtime(runtime)
    console.say(f"runtime: {chosen} ({reason})")
    if backend:
        images = torch_backend.retarget(images, backend)
    present = [] if force else [image for image in images if prepare.is_built(image, chosen)]
    for image in present:
        torch_backend.remember_backend(image)
        console.say(f"image {image.name} is built already: {prepare.place(image, chosen)}")
    missing = [image for image in images if image not in present]
    refused = licences.without_licence(missing, accept=accept)
    allowed = [image for image in missing if image not in refused]
    failed = {image.name: licences.licence_refusal(image) for image in refused}
    parallel_builds.raise_for(prepare.build_images(allowed, chosen, force=force, via=bootstrap) | failed, chosen)


@app.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Names of images; default: all that are built.", autocompletion=complete_image),
    ] = None,
    runtime: Wanted = "auto",
    as_json: Json = False,
) -> None:
    """Check what is built: its recipe, its content, and that it computes, without network."""
    from mira_cli.errors import EnvironmentNotReadyError
    from mira_cli.images import prepare, recipe, verification

    chosen, reason = prepare.choose_runtime(runtime)
    console.say(f"runtime: {chosen} ({reason})")
    images = recipe.find_images(
        names or [i.name for i in (*recipe.all_images(), *recipe.images_of_files()) if prepare.is_built(i, chosen)]
    )
    results = []
    for image in images:
        console.say(f"checking {prepare.place(image, chosen)}")
        results.append(result := verification.verify_image(image, chosen))
        if not as_json:
            for word in result["problems"] or [result["smoke"]]:
                mark = "[red]bad[/]" if result["problems"] else "[green]ok[/]"
                console.stdout().print(f"{mark} {image.name}: {escape(word)}")
    if as_json:
        console.print_json(results)
    bad = " ".join(result["image"] for result in results if result["problems"])
    if bad:
        raise EnvironmentNotReadyError(
            f"not as built: {bad}", hint=f"`mira images build {bad} --force --runtime {chosen}`"
        )
    if not images:
        raise EnvironmentNotReadyError(f"no image is built for {chosen}", hint="`mira images build all`")
