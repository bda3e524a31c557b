"""Whole processes and what they cost, models by name and the interpreters of their images; shared by the benchmarks."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    Answers = list[tuple[float, np.ndarray, np.ndarray]]  # energy (eV), forces (n, 3), stress (6,), of one structure

HERE = Path(__file__).resolve().parent
MODELS = {  # name -> family, what the family calls it, image
    "sevennet-0": ("sevennet", "7net-0", "fairchem-sevennet"),
    "sevennet-l3i5": ("sevennet", "7net-l3i5", "fairchem-sevennet"),
    "chgnet-0.3.0": ("chgnet", "0.3.0", "matgl"),
}


class Took(NamedTuple):
    """What a process and all that it waited for have cost."""

    wall_s: float
    cpu_s: float


def timed(command: Sequence[object], folder: Path, env: dict[str, str] | None = None) -> tuple[Took, str]:
    """Run a command in a folder; return what it took and its standard output, or end with the end of its errors."""
    before, began = children_cpu_s(), time.perf_counter()
    done = subprocess.run(
        [str(word) for word in command], check=False, capture_output=True, text=True, cwd=folder,
        env=dict(os.environ) | (env or {}),
    )  # fmt: skip
    took = Took(time.perf_counter() - began, children_cpu_s() - before)
    if done.returncode != 0:
        sys.exit(f"error: {' '.join(str(word) for word in command)}\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    return took, done.stdout


def children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def pythons(images: Sequence[str]) -> dict[str, Path]:
    """Return the interpreters of images that are built as environments; end with a hint where one is not."""
    built = {row["image"]: row["venv"] for row in _listed()}
    missing = [image for image in images if not built.get(image)]
    if missing:
        hint = f"mira images build {' '.join(missing)} --runtime venv"
        sys.exit(f"error: not built as an environment: {', '.join(missing)}\n  hint: {hint}")
    return {image: Path(built[image]["path"]) / "bin" / "python" for image in images}


@cache
def _listed() -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "mira_cli", "images", "list", "--json"]
    found: list[dict[str, Any]] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def model_row(name: str) -> dict[str, Any]:
    """Name a model as MIRA's jobs do."""
    family, bundled, _ = MODELS[name]
    return {
        "name": name, "family": family, "checkpoint": {"bundled": bundled}, "options": {}, "dtype": "float32",
        "elements": None, "stress": True,
    }  # fmt: skip


def mira_run(given: Path, models: Sequence[str], place: Path, runtime: str) -> tuple[Took, float]:
    """Do a run; return what it took, and when it began (seconds since 1970).

    What neighbouring runs have computed is not taken over: it would be nothing to time.
    """
    began = time.time()
    command = [sys.executable, "-m", "mira_cli", "run", given, "-m", ",".join(models), "-o", place]
    took, _ = timed([*command, "--runtime", runtime, "--set", "device=cpu", "--no-reuse"], given.parent)
    return took, began


def answers(file: Path, keys: tuple[str, str, str] | None = None) -> Answers:
    """Read energy, forces and stress of every frame: those under some keys, or else a calculator's."""
    from ase.io import read

    if keys is None:
        return [(one.get_potential_energy(), one.get_forces(), one.get_stress()) for one in read(file, ":")]
    energy, forces, stress = keys
    return [(one.info[energy], one.arrays[forces], one.info[stress]) for one in read(file, ":")]


def columns(model: str) -> tuple[str, str, str]:
    """Return the keys of a model in `results.extxyz`."""
    slug = re.sub(r"[^a-z0-9]+", "_", model)
    return f"energy_{slug}", f"forces_{slug}", f"stress_{slug}"


def apart(some: Answers, others: Answers) -> str:
    """Word the largest differences between two lists of answers to the same structures."""
    import numpy as np

    energy = max(abs(a[0] - b[0]) / len(b[1]) for a, b in zip(some, others, strict=True))
    force, stress = (max(float(np.abs(a[i] - b[i]).max()) for a, b in zip(some, others, strict=True)) for i in (1, 2))
    return f"{energy:.0e} eV/atom, {force:.0e} eV/Å, {stress:.0e} eV/Å³"


def cpu() -> str:
    """Name the processor and its cores."""
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{cores()} cores of {names[0] if names else os.uname().machine}"


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def last_json(output: str) -> dict[str, Any]:
    """Read the last line of an output."""
    found: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return found
