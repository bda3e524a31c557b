"""The GPUs and their driver, and which images they are too old or too new for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mira_cli.doctor.finding import ok, warned
from mira_cli.images import prepare, recipe
from mira_cli.slurm import commands as ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mira_cli.doctor.finding import Finding
    from mira_cli.images.recipe import Image

# NVIDIA's rule: a driver runs everything of the CUDA that it came with, and of older ones. First driver of each.
FIRST_DRIVER = {11: 450, 12: 525, 13: 580}
_FIELDS = ("name", "memory.total", "driver_version", "compute_cap")


@dataclass(frozen=True)
class Gpus:
    """What `nvidia-smi` says."""

    names: tuple[str, ...]
    memory_mb: tuple[int, ...]
    driver: str
    cuda: tuple[int, int]  # newest that the driver can
    capabilities: tuple[float, ...]  # empty if an old nvidia-smi does not say


def gpus() -> Iterator[Finding]:
    """GPUs, driver, and images against them."""
    if not shutil.which("nvidia-smi"):
        if has_card(Path("/sys")):
            yield warned(
                "GPU", "there is an NVIDIA card, but no nvidia-smi", "install NVIDIA's driver; jobs run on CPUs"
            )
        else:
            there = (
                "; `mira profiles check --submit` looks at one of a node"
                if ask.has_slurm() and "SLURM_JOB_ID" not in os.environ
                else ""
            )
            yield ok("GPU", f"no GPU on this machine{there}")
        return
    found = query()
    if isinstance(found, str):
        if has_card(Path("/sys")):
            yield warned("GPU", f"nvidia-smi: {found}", "ask an administrator to load the driver; jobs run on CPUs")
        else:
            yield ok("GPU", f"no GPU on this machine (nvidia-smi: {found})")
        return
    kinds = {name: found.names.count(name) for name in found.names}
    what = ", ".join(f"{number} x {name}" for name, number in kinds.items())
    memory = f"{min(found.memory_mb) / 1024:.0f} GiB"
    yield ok("GPU", f"{what}, {memory}, driver {found.driver} for CUDA {found.cuda[0]}.{found.cuda[1]}")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in {"", "-1"}:
        yield warned("visible GPUs", "CUDA_VISIBLE_DEVICES hides them all", "`unset CUDA_VISIBLE_DEVICES`")
    elif visible is not None:
        yield ok("visible GPUs", f"CUDA_VISIBLE_DEVICES={visible}")
    yield from _fitting(found)


def has_card(sysfs: Path) -> bool:
    """True if the machine has an NVIDIA display controller, driver or not."""
    for device in sysfs.glob("bus/pci/devices/*"):
        try:
            vendor, kind = ((device / file).read_text(encoding="ascii").strip() for file in ("vendor", "class"))
        except OSError:
            continue
        if vendor == "0x10de" and kind.startswith("0x03"):
            return True
    return False


def query() -> Gpus | str:
    """Return what GPUs there are, or why `nvidia-smi` says nothing."""
    for fields in (_FIELDS, _FIELDS[:3]):
        done = _run(f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits")
        rows = [[word.strip() for word in line.split(",")] for line in done.stdout.splitlines() if line.count(",")]
        if done.returncode == 0 and rows:
            break
    else:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        return said[0].rstrip(".") if said else f"exit code {done.returncode}"
    driver = rows[0][2]
    stated = re.search(r"CUDA(?: UMD)? Version\s*:\s*(\d+)\.(\d+)", _run().stdout)
    return Gpus(
        names=tuple(row[0] for row in rows),
        memory_mb=tuple(int(row[1]) if row[1].isdigit() else 0 for row in rows),
        driver=driver,
        cuda=(int(stated[1]), int(stated[2])) if stated else (_major(driver), 0),
        capabilities=tuple(float(row[3]) for row in rows if len(row) > 3 and re.fullmatch(r"\d+\.\d+", row[3])),
    )


def _run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["nvidia-smi", *options], capture_output=True, text=True, errors="replace", check=False)


def _major(driver: str) -> int:
    number = int(re.sub(r"\D.*", "", driver) or 0)
    return max((cuda for cuda, first in FIRST_DRIVER.items() if number >= first), default=0)


def cuda_of(image: Image) -> tuple[int, int] | None:
    """CUDA that an image holds, as found in it, or as its lock will bring; None for none."""
    record = prepare.record_of(image, "apptainer") or prepare.record_of(image, "venv")
    pins = recipe.pinned_versions(image)
    runtime = pins.get("nvidia-cuda-runtime") or pins.get("nvidia-cuda-runtime-cu12") or ""
    said = record.versions.get("cuda", "none") if record else runtime
    if not record and (chosen := re.fullmatch(r"cu(\d\d)(\d)", image.torch_backend or "")):
        said = f"{chosen[1]}.{chosen[2]}"
    match = re.match(r"(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else None


def misfit(cuda: tuple[int, int] | None, *, torch: bool, found: Gpus) -> str | None:
    """Return why an image with this CUDA cannot use these GPUs; None if it can."""
    if cuda is None:
        return "without CUDA, so that jobs run on CPUs"
    if cuda[0] > found.cuda[0]:
        first = FIRST_DRIVER.get(cuda[0])
        return f"CUDA {cuda[0]}.{cuda[1]} wants {f'driver {first} or newer' if first else 'a newer driver'}"
    if torch and found.capabilities and cuda >= (12, 8) and min(found.capabilities) < 7.5:
        return f"PyTorch for CUDA {cuda[0]}.{cuda[1]} has no code for these GPUs, which are too old for it"
    if torch and found.capabilities and cuda < (12, 8) and max(found.capabilities) >= 10:
        return f"PyTorch for CUDA {cuda[0]}.{cuda[1]} has no code for these GPUs, which are too new for it"
    return None


def _fitting(found: Gpus) -> Iterator[Finding]:
    bad: dict[tuple[str, bool], list[str]] = {}
    for image in recipe.all_images():
        torch, cuda = "torch" in recipe.locked_versions(image), cuda_of(image)
        if (image.torch_backend or "").startswith(("rocm", "xpu")):
            continue
        if why := misfit(cuda, torch=torch, found=found):
            bad.setdefault((why, torch), []).append(image.name)
    for (why, torch), names in bad.items():
        yield warned("images' CUDA", f"{' '.join(names)}: {why}", _remedy(names, torch=torch, found=found))
    if not bad:
        yield ok("images' CUDA", "driver and GPUs fit all images")


def _remedy(names: list[str], *, torch: bool, found: Gpus) -> str:
    if not torch or found.cuda[0] < 12:
        return "ask an administrator for a newer driver; `--device cpu` computes without it"
    old = found.cuda[0] < 13 or bool(found.capabilities and min(found.capabilities) < 7.5)
    new = bool(found.capabilities and max(found.capabilities) >= 10)
    backend = "default" if not old else "cu128" if new else "cu126"
    return f"`mira images build {' '.join(names)} --torch-backend {backend}`"
