"""The recipes of images: what `containers/` says, and the short hash that names what is built from it."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from mira_cli import paths
from mira_cli.errors import UsageError
from mira_cli.files import read_yaml
from mira_cli.images import choices
from mira_cli.own_files.kept import kept_recipes
from mira_cli.own_files.locked import WORKERS
from mira_cli.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

Runtime = Literal["apptainer", "venv"]
BACKENDS = "torch-backends"  # kind of what is remembered: the PyTorch that was chosen for an image

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)", re.MULTILINE)


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cost(_Row):
    """What a first build takes, as measured: minutes, and gigabytes that stay and that must be free."""

    minutes: float
    gigabytes: float
    free_gigabytes: float


class Base(_Row):
    """What all images are built on."""

    cost: Cost


class Licence(_Row):
    """Terms that a user must accept before an image is built."""

    name: str
    url: str
    summary: str


class Image(_Row):
    """A set of dependencies that can live together: one row of `containers/images.yaml`."""

    name: str
    description: str
    families: tuple[str, ...]
    smoke: str
    cost: dict[Runtime, Cost]
    compiles: tuple[str, ...] = ()
    licence: Licence | None = None
    torch_backend: str | None = None  # not from the file: what PyTorch is built for, where that was chosen here
    home: Path | None = None  # of an image that is not in the file: the folder of its recipe

    @property
    def folder(self) -> Path:
        """Folder of the image's requirements, lock and smoke test."""
        return self.home or containers() / self.name


class ImagesFile(_Row):
    """`containers/images.yaml`."""

    python: str
    base: Base
    images: tuple[Image, ...]


def containers() -> Path:
    """Folder of the recipes."""
    return paths.assets() / "containers"


@cache
def load(folder: Path) -> ImagesFile:
    """`images.yaml` of a `containers/` folder, checked."""
    return ImagesFile.model_validate(read_yaml(folder / "images.yaml"))


def all_images() -> tuple[Image, ...]:
    """All images of the catalogue, in the file's order, with the PyTorch that was chosen for them in this cache."""
    chosen = choices.read(BACKENDS)
    return tuple(i.model_copy(update={"torch_backend": chosen.get(i.name)}) for i in load(containers()).images)


def images_of_files() -> tuple[Image, ...]:
    """Images whose recipes were made from the locks of families in files, as the cache keeps them."""
    chosen = choices.read(BACKENDS)
    return tuple(_image_of_lock(name, folder, chosen.get(name)) for name, folder in kept_recipes().items())


def _image_of_lock(name: str, folder: Path, backend: str | None) -> Image:
    pins = parse_pins((folder / "requirements.lock").read_text(encoding="utf-8"))
    heavy = [package for package in ("torch", "tensorflow", "jax") if package in pins]
    # measured with tblite, and with PyTorch as the images of the catalogue
    cost: dict[Runtime, Cost] = {
        "venv": Cost(minutes=1.5, gigabytes=6.5, free_gigabytes=7.5),
        "apptainer": Cost(minutes=2.5, gigabytes=3.6, free_gigabytes=11),
    } if heavy else {
        "venv": Cost(minutes=0.5, gigabytes=0.4, free_gigabytes=1),
        "apptainer": Cost(minutes=1, gigabytes=0.3, free_gigabytes=2),
    }  # fmt: skip
    own = (folder / "requirements.in").read_text(encoding="utf-8").partition(WORKERS)[0]
    asked = ", ".join(own.splitlines())
    return Image(
        name=name, description=f"of a family in a file: {asked}", families=("file",), smoke="smoke.py", cost=cost,
        torch_backend=backend, home=folder,
    )  # fmt: skip


def find_images(names: Iterable[str]) -> list[Image]:
    """Images by name, each once, in the order given; `all` stands for every one of the catalogue.

    Raises
    ------
    UsageError
        There is no image of that name.
    """
    names = list(names)
    known = {image.name: image for image in all_images()}
    if any(name.startswith("file-") for name in names):
        known |= {image.name: image for image in images_of_files()}
    everything = [name for name, image in known.items() if image.home is None]
    wanted = dict.fromkeys(name for given in names for name in (everything if given == "all" else [given]))
    for name in wanted:
        if name not in known:
            hint = did_you_mean(name, known, most=3).strip() or "`mira images list` shows them"
            raise UsageError(f"there is no image `{name}`", hint=hint)
    return [known[name] for name in wanted]


def recipe_files(image: Image) -> dict[str, Path]:
    """Files that an image is made from, by the name that `image.def` knows them by."""
    top, own = containers(), image.folder
    return {
        "image.def": top / "image.def",
        "build.lock": top / "build.lock",
        "describe.py": top / "describe.py",
        "requirements.in": own / "requirements.in",
        "requirements.lock": _retargeted(image) if image.torch_backend else own / "requirements.lock",
        "smoke.py": own / image.smoke,
    }


def recipe_hash(image: Image) -> str:
    """12 hexadecimal digits that name everything an image is made from."""
    sources = {"base.def": containers() / "base.def", **recipe_files(image.model_copy(update={"torch_backend": None}))}
    return _digest(sources, image.torch_backend or "")


def base_hash() -> str:
    """12 hexadecimal digits that name everything the common base is made from."""
    return _digest({"base.def": containers() / "base.def"})


def _retargeted(image: Image) -> Path:
    """Lock of an image with another PyTorch: made when it is first built (`torch_backend.resolve`)."""
    return paths.cache_dir() / "locks" / f"{image.name}-{recipe_hash(image)}.lock"


def _digest(parts: dict[str, Path], variant: str = "") -> str:
    digest = hashlib.sha256(load(containers()).python.encode())
    for name, path in sorted(parts.items()):
        content = path.read_bytes()
        digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
    digest.update(variant.encode())
    return digest.hexdigest()[:12]


def parse_pins(lock: str) -> dict[str, str]:
    """Versions that the text of a lock pins, by package name."""
    return {re.sub(r"[-_.]+", "-", m["name"]).lower(): m["version"] for m in _PIN.finditer(lock)}


def locked_versions(image: Image) -> dict[str, str]:
    """Versions that an image's lock in `containers/` pins, by package name."""
    return parse_pins((image.folder / "requirements.lock").read_text(encoding="utf-8"))


def pinned_versions(image: Image) -> dict[str, str]:
    """Versions that an image is built with, by package name; PyTorch's own may change until it is first built."""
    lock = recipe_files(image)["requirements.lock"]
    return parse_pins(lock.read_text(encoding="utf-8")) if lock.exists() else locked_versions(image)
