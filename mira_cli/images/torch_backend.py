"""Another PyTorch than the lock's: built for older drivers, or without CUDA, as `uv --torch-backend` finds it."""

from __future__ import annotations

import re
import shutil
import sys
from typing import TYPE_CHECKING

import uv

from mira_cli import console, files
from mira_cli.errors import EnvironmentNotReadyError, UsageError
from mira_cli.images import building, choices, recipe, site_settings
from mira_cli.own_files.locked import WHEELS_ONLY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mira_cli.images.building import Workshop
    from mira_cli.images.recipe import Image

DEFAULT = "default"  # the lock as it is
_KNOWN = re.compile(r"default|auto|cpu|xpu|cu\d{2,3}|rocm\d+(\.\d+)+")
# what a PyTorch brings for its own CUDA; all other pins of a lock hold for every backend
_OF_TORCH = re.compile(r"torch$|triton$|pytorch-triton|nvidia-|cuda-")
# packages of kernels are built for one major version of CUDA each, which is in their names and in those of extras
_KERNELS = re.compile(r"^cuequivariance-ops-torch-cu\d+\b.*\n|\[cueq\d+\]", re.MULTILINE)
_KERNELS_CUDA = re.compile(r"(?<=cueq)\d+(?=\])|(?<=-cu)\d+\b")


def retarget(images: Sequence[Image], backend: str) -> list[Image]:
    """Images with another PyTorch; those without PyTorch stay as they are, and are named.

    Raises
    ------
    UsageError
        There is no such backend, or no image with PyTorch among them.
    EnvironmentNotReadyError
        `auto` cannot be found out.
    """
    if not _KNOWN.fullmatch(backend):
        raise UsageError(
            f"there is no PyTorch backend `{backend}`", hint="there are `cu126`, `cu128`, `cpu`, `auto`, `default`, …"
        )
    without = [image.name for image in images if "torch" not in recipe.locked_versions(image)]
    if len(without) == len(images):
        has = "TensorFlow and no" if all(image.home is None for image in images) else "no"
        raise UsageError(
            f"--torch-backend does not apply to {' '.join(without)}, which holds {has} PyTorch",
            hint=f"`mira images build {' '.join(without)}`; containers/README.md says which drivers it runs with",
        )
    for name in without:
        console.say(f"image {name} holds no PyTorch: --torch-backend does not apply, it stays as it is")
    if backend == "auto":
        backend = detect(next(image for image in images if image.name not in without))
    chosen = {"torch_backend": None if backend == DEFAULT else backend}
    return [image if image.name in without else image.model_copy(update=chosen) for image in images]


def remember_backend(image: Image) -> None:
    """Let every later command in this cache use the PyTorch that an image has here."""
    if choices.read(recipe.BACKENDS).get(image.name) != image.torch_backend:
        choices.update(recipe.BACKENDS, image.name, image.torch_backend)


def resolve(image: Image, shop: Workshop, stage: Callable[[str], None]) -> None:
    """Make the lock of a re-targeted image if it is not there: the image's own, but for PyTorch and its CUDA.

    Raises
    ------
    EnvironmentNotReadyError
        PyTorch's index cannot be reached, or has no such build.
    """
    lock = recipe.recipe_files(image)["requirements.lock"]
    if not image.torch_backend or lock.exists():
        return
    stage(f"resolving PyTorch for {image.torch_backend}")
    asked = with_kernels((image.folder / "requirements.in").read_text(encoding="utf-8"), image.torch_backend)
    text = _compile(image, image.torch_backend, asked, shop)
    version = recipe.parse_pins(text)["torch"]
    if not version.endswith(f"+{image.torch_backend}"):
        wanted = f"one for {image.torch_backend}"
        raise EnvironmentNotReadyError(f"PyTorch {version} was found in place of {wanted}", log=shop.log_path)
    with files.replacing(lock) as stream:
        stream.write(text)


def with_kernels(requirements: str, backend: str) -> str:
    """Ask for kernels of the same CUDA as PyTorch's, or for none where it has none."""
    cuda = re.fullmatch(r"cu(\d+)\d", backend)

    def of_backend(kernels: re.Match[str]) -> str:
        return _KERNELS_CUDA.sub(cuda[1], kernels[0]) if cuda else ""

    return _KERNELS.sub(of_backend, requirements)


def detect(image: Image) -> str:
    """Backend that fits this machine's driver; `default` where that is what the lock holds or newer.

    Raises
    ------
    EnvironmentNotReadyError
        PyTorch's index cannot be reached.
    """
    pins = recipe.locked_versions(image)
    with building.workshop(f"{image.name}-torch-auto") as shop:
        text = _compile(image, "auto", f"torch=={pins['torch']}\n", shop, alone=True)
    _, _, found = recipe.parse_pins(text)["torch"].partition("+")
    if found == "cpu":
        console.warn(
            "no NVIDIA driver is seen on this machine, so `auto` means a PyTorch without GPU",
            hint="name the backend, as in `--torch-backend cu126`, or the driver, as in UV_CUDA_DRIVER_VERSION=560.35",
        )
    own = re.match(r"(\d+)\.(\d+)", pins.get("nvidia-cuda-runtime", ""))
    newer = own and re.fullmatch(r"cu\d+", found) and int(found[2:]) >= int(own[1] + own[2])
    backend = DEFAULT if newer or not found else found
    console.say(f"PyTorch for this machine: {backend}")
    return backend


def _compile(image: Image, backend: str, asked: str, shop: Workshop, *, alone: bool = False) -> str:
    """Resolve requirements with a backend; `alone` leaves out what they depend on."""
    place = shop.folder / "resolving"
    place.mkdir()
    (place / "requirements.in").write_text(asked, encoding="utf-8")
    kept = {n: v for n, v in recipe.locked_versions(image).items() if n == "torch" or not _OF_TORCH.match(n)}
    pins = [f"{n}=={v}\n" for n, v in kept.items()]
    pins += [with_kernels(pin, backend) for pin in pins if _KERNELS.match(pin)]
    (place / "constraints.txt").write_text("".join(pins), encoding="utf-8")
    shutil.copy(recipe.containers() / "build.lock", place)
    version = recipe.load(recipe.containers()).python
    command = [uv.find_uv_bin(), "pip", "compile", "--torch-backend", backend, "--generate-hashes", "--no-header"]
    command += ["--python", sys.executable, "--no-python-downloads", "--python-version", version]
    command += ["--python-platform", "x86_64-manylinux_2_28", "--build-constraints", "build.lock"]
    command += ["--constraints", "constraints.txt", "requirements.in", "--output-file", "requirements.lock"]
    if image.home:  # of a family in a file, whose lock is of wheels alone
        command += ["--emit-build-options", *WHEELS_ONLY.split()]
    if alone:
        command += ["--no-deps"]
    if (overrides := image.folder / "overrides.txt").exists():
        shutil.copy(overrides, place)
        command += ["--override", "overrides.txt"]
    shop.run(
        command,
        env=site_settings.uv_environment(),
        cwd=place,
        failure=f"PyTorch for {backend} cannot be resolved for image {image.name}",
        hint="it needs PyTorch's own index, download.pytorch.org, or UV_OFFLINE=1 and its wheels in UV_FIND_LINKS",
    )
    return (place / "requirements.lock").read_text(encoding="utf-8")
