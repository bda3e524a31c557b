"""Take weights that were brought by hand: a file, a folder, or a copy of another machine's store."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mira_cli import console, paths
from mira_cli.catalogue import sniff
from mira_cli.catalogue.rows import slug
from mira_cli.errors import EnvironmentNotReadyError, UsageError
from mira_cli.images import building, run_in_image
from mira_cli.weights import download_process, store
from mira_cli.weights.install import staged, store_staged
from mira_cli.weights.manifest import Origin, list_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from mira_cli.catalogue.rows import Model
    from mira_cli.images.building import Workshop
    from mira_cli.images.prepare import ReadyImage
    from mira_cli.weights.store import Stored
    from mira_cli.weights.units import Unit

LOAD_S = 900.0
_DATE = re.compile(r"[-_]\d{8}$")


@dataclass(frozen=True)
class LoadTest:
    """What it takes to load weights: a model that uses them, and its image, None as yet unbuilt."""

    row: Model
    dtype: str
    image: ReadyImage | None
    built: bool


def copies(path: Path) -> list[Path]:
    """Units in a folder that is a unit, a family's, or a whole store of another machine; empty if it is none."""
    patterns = ("", "*/", "*/*/")
    return next((found for p in patterns if (found := [m.parent for m in sorted(path.glob(p + store.MANIFEST))])), [])


def guess(path: Path, units: Iterable[Unit], aliases: Iterable[tuple[str, str]] = ()) -> Unit:
    """Find the one unit that a file is named after: by its downloader's name, or by that of a model.

    Parameters
    ----------
    aliases
        Other names of models: alias, model.

    Raises
    ------
    UsageError
        There is none, or there are several.
    """
    stem = _plain(_DATE.sub("", path.name if path.is_dir() else path.stem))
    others: dict[str, set[str]] = {}
    for alias, model in aliases:
        others.setdefault(model, set()).add(_plain(alias))
    fits = [unit for unit in units if stem in _names(unit).union(*(others.get(model, ()) for model in unit.models))]
    if len(fits) != 1:
        told = f"could be {' or '.join(unit.title for unit in fits)}" if fits else "is not named after any model"
        raise UsageError(f"`{path.name}` {told}", hint=f"`mira weights import {path} --model NAME` says what it is")
    return fits[0]


def _names(unit: Unit) -> set[str]:
    # `mace_mp:small-0b` is a loader and what it calls its weights
    return {_plain(name) for name in (unit.name, unit.name.rpartition(":")[2], *unit.models)}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def import_copy(place: Path, units: Sequence[Unit], *, force: bool = False) -> Stored | None:
    """Take a unit of another machine's store, if its files are those of its manifest; None if no model uses it.

    Raises
    ------
    EnvironmentNotReadyError
        They are not, or the store cannot be written to.
    UsageError
        Others are here already, and `force` is false.
    """
    brought = store.read(place)
    if brought is None:
        raise EnvironmentNotReadyError(f"{place / store.MANIFEST} makes no sense", hint="copy that folder again")
    told = brought.manifest
    if (told.family, told.name) not in {(unit.family, unit.name) for unit in units}:
        console.warn(f"no model uses {told.family} {told.name}: {place} is left out")
        return None
    here = None if force else store.find_stored(told.family, told.name)
    if here and here.sha256 == told.sha256:
        return here
    _refuse_replacing(here)
    with _workshop(told.family, told.name, place) as shop:
        shutil.copytree(place / store.FILES, staged(shop), dirs_exist_ok=True, copy_function=shutil.copyfile)
        if problems := store.verify_weights(store.Stored(staged(shop).parent, told)):
            raise EnvironmentNotReadyError(f"{place} is damaged: {problems[0]}", hint="copy that folder again")
        origin = Origin(**told.model_dump(include=set(Origin.model_fields)))
        return store_staged(shop, told.family, told.name, told.main, origin)


def import_files(path: Path, unit: Unit, trial: LoadTest, *, force: bool = False) -> Stored:
    """Take a file or a folder as a unit, if it is of its family and, where that can be tried, loads.

    Raises
    ------
    EnvironmentNotReadyError
        It is something else, does not load, or the store cannot be written to.
    UsageError
        Such weights are here already, and `force` is false.
    """
    _refuse_replacing(None if force else store.find_stored(unit.family, unit.name))
    with _workshop(unit.family, unit.name, path) as shop:
        if path.is_dir():
            shutil.copytree(path, staged(shop), dirs_exist_ok=True, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(path, staged(shop) / path.name)
        main = _main(staged(shop), path, unit)
        _check(shop, main, path, unit, trial)
        return store_staged(shop, unit.family, unit.name, main, Origin(how="imported", source=(str(path.absolute()),)))


def _refuse_replacing(here: Stored | None) -> None:
    if here:
        raise UsageError(f"weights are here already: {here.path}", hint="with `--force` they are replaced")


@contextmanager
def _workshop(family: str, name: str, source: Path) -> Iterator[Workshop]:
    """Work on a unit alone, with space for what is brought."""
    try:
        with building.workshop(f"weights-{family}-{slug(name)}", doing="brings") as shop:
            needed_gb = (download_process.size_of(source) if source.is_dir() else source.stat().st_size) / 1e9
            hint = "free some space, or set MIRA_CACHE to a folder with more"
            building.require_space(paths.cache_dir(), needed_gb, what=f"importing {source}", hint=hint)
            yield shop
    except OSError as error:
        # `copytree` collects: (from, to, why)
        why = error.args[0][0][2] if isinstance(error, shutil.Error) else f"{error.filename}: {error.strerror}"
        what = f"{source} cannot be imported: {why}"
        raise EnvironmentNotReadyError(what, hint="free space or permissions there, and try again") from error


def _main(folder: Path, path: Path, unit: Unit) -> str:
    """What a model is to be loaded from: the file, the one file of the family in a folder, or the folder."""
    if not path.is_dir():
        return path.name
    if sniff.look(folder).family == unit.family:
        return "."
    fits = [file for file in list_files(folder) if sniff.look(file).family == unit.family]
    return fits[0].relative_to(folder).as_posix() if len(fits) == 1 else "."


def _check(shop: Workshop, main: str, path: Path, unit: Unit, trial: LoadTest) -> None:
    looks = sniff.look(staged(shop) / main)
    # what looks like nothing known may still load
    if looks.family != unit.family and (looks.family or not trial.built):
        hint = None if looks.family else f"`mira images build {unit.image}`, so that loading it can be tried"
        raise EnvironmentNotReadyError(f"{path} is {looks.why}: not what {unit.title} loads", hint=hint)
    if not trial.built:
        console.say(f"{path.name} is {looks.why}; that it loads is not tried, as image {unit.image} is not built")
        return
    console.say(f"{path.name} is {looks.why}; loading it")
    if why := _load(shop, main, unit, trial):
        raise EnvironmentNotReadyError(f"{path} does not load as {unit.title}: {why}")


def _load(shop: Workshop, main: str, unit: Unit, trial: LoadTest) -> str | None:
    """Load staged weights in their image; return why that fails."""
    model = {
        "name": unit.title,
        "family": unit.family,
        "checkpoint": {"path": str(staged(shop) / main)},
        "options": trial.row.options,
        "dtype": trial.dtype,
        "elements": None,
        "stress": None,
    }
    asked, facts = shop.folder / "model.json", shop.folder / "facts.json"
    asked.write_text(json.dumps(model), encoding="utf-8")
    try:
        done = run_in_image.run_module(
            trial.image, "probe", [str(asked), str(facts)], folders={shop.folder: True}, timeout_s=LOAD_S
        )
    except subprocess.TimeoutExpired:
        return f"that takes more than {LOAD_S:.0f} s"
    if not done.returncode:
        return None
    said = [line for line in done.stderr.splitlines() if line.strip()]
    return next((line for line in reversed(said) if line.startswith(download_process.ERROR)), *said[-1:]).removeprefix(
        download_process.ERROR
    )
