"""Fetch weights: the family's own downloader, in the family's image, into MIRA's store."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from mira_cli import console, paths
from mira_cli.catalogue.rows import slug
from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.images import building, progress, run_in_image
from mira_cli.images import prepare as images
from mira_cli.weights import download_process, download_progress, store, tokens
from mira_cli.weights.install import staged, store_staged
from mira_cli.weights.manifest import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mira_cli.images.building import Workshop
    from mira_cli.images.prepare import ReadyImage
    from mira_cli.images.recipe import Runtime
    from mira_cli.weights.store import Stored
    from mira_cli.weights.tokens import Token
    from mira_cli.weights.units import Unit

STALL_S = 120.0
FREE_GB = 0.3  # of weights whose size nobody knows before
# exit codes of `worker.fetch`
NOT_FOUND, NO_NETWORK, DISK_FULL, NOT_PERMITTED = 66, 69, 74, 77
_CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")


class NoNetworkError(EnvironmentNotReadyError):
    """None of a family's hosts can be reached."""


class NoImageError(EnvironmentNotReadyError):
    """The image that downloads is not there and cannot be built."""


@dataclass(frozen=True)
class Errand:
    """One download: what, where, and with whose permission."""

    unit: Unit
    image: ReadyImage | None
    token: Token | None


def ensure(units: Iterable[Unit], runtime: Runtime, *, fetch: bool = True) -> dict[tuple[str, str], Stored]:
    """Make weights ready, by family and name; fetches those that are missing, with progress on stderr.

    Raises
    ------
    EnvironmentNotReadyError
        Some are missing and `fetch` is false, are gated and there is no token, or cannot be fetched.
    """
    units = list(units)
    found = {(unit.family, unit.name): store.find_stored(unit.family, unit.name) for unit in units}
    missing = [unit for unit in units if found[unit.family, unit.name] is None]
    if missing and not fetch:
        models = " ".join(unit.title for unit in missing)
        raise EnvironmentNotReadyError(f"weights are not here: {models}", hint=f"`mira weights fetch {models}`")
    for unit in missing:
        permission(unit)
    for unit in missing:
        found[unit.family, unit.name] = fetch_unit(unit, runtime)
    return {key: stored for key, stored in found.items() if stored}


def permission(unit: Unit) -> Token | None:
    """Token for a unit; None if it needs none.

    Raises
    ------
    EnvironmentNotReadyError
        It is gated, and there is no token.
    """
    if not unit.gated:
        return None
    if token := tokens.find_token():
        return token
    raise EnvironmentNotReadyError(
        f"the weights of {unit.title} are gated, and there is no token of a user who may have them",
        hint=f"accept the licence at {_page(unit)}, then set HF_TOKEN or call `hf auth login`, and try again",
    )


def fetch_unit(unit: Unit, runtime: Runtime, *, force: bool = False) -> Stored:
    """Fetch one unit; where another process has done so meanwhile, take that one.

    Raises
    ------
    EnvironmentNotReadyError
        No token, image, network or space; or the download fails.
    """
    token = permission(unit)
    image = _image(unit, runtime)
    try:
        lacking, remedy = f"the weights of {unit.title} are", f"mira weights fetch {unit.title}"
        key = f"weights-{unit.family}-{slug(unit.name)}"
        with building.workshop(key, doing="fetches", lacking=lacking, remedy=remedy) as shop:
            if not force and (found := store.find_stored(unit.family, unit.name)):
                return found
            building.require_space(
                paths.cache_dir(),
                FREE_GB,
                what=f"fetching {unit.title}",
                hint="free some space, or set MIRA_CACHE to a folder with more",
            )
            if not force and store.weights_folder(unit.family, unit.name).exists():
                console.warn(f"the weights of {unit.title} here are not as they arrived: they are fetched again")
            stored = _download(shop, Errand(unit, image, token))
    except OSError as error:
        raise _refused(unit, error) from error
    console.say(f"weights of {unit.title} are ready: {progress.size(stored.bytes)}, {stored.path}")
    return stored


def _image(unit: Unit, runtime: Runtime) -> ReadyImage | None:
    if unit.image == "host":
        return None
    try:
        return images.prepare_images([unit.image], runtime)[unit.image]
    except EnvironmentNotReadyError as error:
        raise NoImageError(error.message, hint=error.hint, log=error.log) from error


def _download(shop: Workshop, errand: Errand) -> Stored:
    unit, image = errand.unit, errand.image
    spec, result = shop.folder / "spec.json", shop.folder / "result.json"
    places = {"folder": staged(shop), "home": shop.folder / "home", "result": result}
    asked = {"family": unit.family, "name": unit.name, **{key: str(place) for key, place in places.items()}}
    spec.write_text(json.dumps(asked), encoding="utf-8")
    secrets, certificate = download_environment(errand.token)
    folders = {shop.folder: True} | ({certificate: False} if certificate else {})
    command = run_in_image.command(image, "fetch", [str(spec)], folders=folders, network=True)
    console.say(f"fetching the weights of {unit.title}")
    try:
        with download_progress.show_download(unit.title) as tell:
            code, reason = download_process.run_download(
                command,
                shop,
                env=run_in_image.image_environment(image, token=secrets),
                clean=lambda line: tokens.scrub(line, errand.token),
                tell=tell,
                stall_s=STALL_S,
            )
    except download_process.StalledError as error:
        what = f"fetching {unit.title} was given up: nothing has arrived for {STALL_S:.0f} s"
        raise EnvironmentNotReadyError(what, hint=_again(unit), log=shop.log_path) from error
    if code or not result.is_file():
        _fail(errand, code, reason, shop.log_path)
    return _accept(shop, errand, json.loads(result.read_text(encoding="utf-8")))


def _accept(shop: Workshop, errand: Errand, told: Mapping[str, Any]) -> Stored:
    """Take what has arrived into the store."""
    unit, image = errand.unit, errand.image
    origin = Origin(
        how="fetched",
        source=tuple(told["hosts"]),
        package=next((f"{name}=={version}" for name, version in told["versions"].items()), None),
        image=image.name if image else None,
        recipe=image.recipe if image else None,
    )
    try:
        return store_staged(shop, unit.family, unit.name, str(told["main"]), origin)
    except EnvironmentNotReadyError as error:
        what = f"what arrived for {unit.title} is not used: {error.message}"
        raise EnvironmentNotReadyError(what, hint=_again(unit), log=shop.log_path) from error


def download_environment(token: Token | None) -> tuple[dict[str, str], Path | None]:
    """Variables for the one process that downloads, and the site's file of certificates, which it must see."""
    variables = {"HF_TOKEN": token.value} if token else {}
    certificate = next((os.environ[name] for name in _CERTIFICATES if os.environ.get(name)), None)
    if certificate is None or not Path(certificate).is_file():
        return variables, None
    # every library reads another one
    return variables | dict.fromkeys(_CERTIFICATES, certificate), Path(certificate).absolute()


def _fail(errand: Errand, code: int, reason: str, log: Path) -> NoReturn:
    """Word an exit code of the worker's."""
    unit = errand.unit
    if code == NO_NETWORK:
        raise NoNetworkError(f"{unit.title}: {reason}", hint=how_to_bring(unit))
    if code == NOT_PERMITTED:
        given = f"with the token of {errand.token.place}" if errand.token else "without a token"
        raise EnvironmentNotReadyError(
            f"{unit.title}: the server does not give these weights {given}",
            hint=f"accept the licence at {_page(unit)} with that account; its tokens may need to be renewed",
            log=log,
        )
    if code == DISK_FULL:
        what = f"the disk of {paths.cache_dir()} has filled up while fetching {unit.title}"
        raise EnvironmentNotReadyError(what, hint="free some space, or set MIRA_CACHE to a folder with more", log=log)
    if code == NOT_FOUND:
        raise EnvironmentNotReadyError(f"{unit.title}: {reason}", hint=how_to_bring(unit), log=log)
    how = f"ended by signal {-code}" if code < 0 else reason or f"it ended with code {code}"
    raise EnvironmentNotReadyError(f"{unit.title}: {how}", hint=_again(unit), log=log)


def _refused(unit: Unit, error: OSError) -> EnvironmentNotReadyError:
    where = error.filename or paths.cache_dir()
    return EnvironmentNotReadyError(
        f"{unit.title}: cannot write {where}: {(error.strerror or str(error)).lower()}",
        hint="free space or permissions there, or set MIRA_CACHE to another folder",
    )


def _page(unit: Unit) -> str:
    return unit.licence_page or "the model's page"


def _again(unit: Unit) -> str:
    return f"`mira weights fetch {unit.title}` tries again"


def how_to_bring(unit: Unit) -> str:
    """Say how to get weights to a machine that cannot fetch them."""
    return (
        f"fetch on a machine with network and copy {store.weights_folder(unit.family, unit.name)} from there, "
        f"or `mira weights import PATH --model {unit.title}`"
    )
