"""The recipes of images: what `containers/` says, and the short hash that names what is built from it."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from mira_cli import paths
from mira_cli.errors import UsageError
from mira_cli.files import read_yaml
from mira_cli.images import choices
from mira_cli.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

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

    @property
    def folder(self) -> Path:
        """Folder of the image's requirements, lock and smoke test."""
        return containers() / self.name


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
    """All images, in the file's order, with the PyTorch that was chosen for them in this cache."""
    chosen = choices.read(BACKENDS)
    return tuple(i.model_copy(update={"torch_backend": chosen.get(i.name)}) for i in load(containers()).images)


def find_images(names: Iterable[str]) -> list[Image]:
    """Images by name, each once, in the order given; `all` stands for every one.

    Raises
    ------
    UsageError
        There is no image of that name.
    """
    known = {image.name: image for image in all_images()}
    wanted = dict.fromkeys(name for given in names for name in (known if given == "all" else [given]))
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
