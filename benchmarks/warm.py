"""What a model costs as `mira_cli.calculator`, behind a socket, against the library's own calculator in one process.

    .venv/bin/python benchmarks/warm.py                          # some minutes

Both answer in turns, the same structures, with the same threads; each is timed by the process that waits for it. The
calculator is there twice: as it is, and with the plain network (`accelerators="off"`), which is what the library has.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from ase.build import bulk
from crystals import crystals
from processes import cpu
from results import write_section
from warm_library import evaluated, relaxed

from mira_cli import calculator
from mira_cli.images.prepare import prepare_images

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms

    from mira_cli.warm.calculator import WarmCalculator

HERE = Path(__file__).parent
MODELS = {  # by MIRA's names: image, family, name in the family's package
    "sevennet-0": ("fairchem-sevennet", "sevennet", "7net-0"),
    "chgnet-0.3.0": ("matgl", "chgnet", "0.3.0"),
}


class Library:
    """The library's own calculator in its environment."""

    def __init__(self, model: str, threads: int) -> None:
        image, family, name = MODELS[model]
        python = prepare_images([image], "venv", build=False)[image].python
        command = [python, str(HERE / "warm_library.py"), family, name]
        numbers = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **numbers}
        )
        self._answer()

    def ask(self, atoms: Atoms, *, relax: bool = False) -> dict[str, float]:
        assert self.process.stdin is not None
        asked = {"numbers": atoms.numbers.tolist(), "positions": atoms.positions.tolist(), "relax": relax}
        self.process.stdin.write(json.dumps({**asked, "cell": atoms.cell.tolist()}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, float]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                return dict(json.loads(line))
        sys.exit("error: the library's process has ended")


def asks(calc: WarmCalculator, how: Callable[[Atoms], dict[str, float]]) -> Callable[[Atoms], dict[str, float]]:
    def ask(atoms: Atoms) -> dict[str, float]:
        atoms.calc = calc
        return how(atoms)

    return ask


def in_turns(ways: list[Callable[[Atoms], dict[str, float]]], structures: list[Atoms]) -> list[list[dict[str, float]]]:
    """Answers of each way about each structure; who is first changes from one to the next."""
    found: list[list[dict[str, float]]] = [[] for _ in ways]
    for n, atoms in enumerate(structures):
        for place in [*range(n % len(ways), len(ways)), *range(n % len(ways))]:
            found[place].append(ways[place](atoms.copy()))
    return found


def steps_of(atoms: Atoms, n: int) -> list[Atoms]:
    """Structures as an optimizer or dynamics would have them: each a little from the last."""
    found, random = [atoms], np.random.default_rng(0)
    for _ in range(n - 1):
        found.append(found[-1].copy())
        found[-1].positions += random.normal(0, 0.005, (len(atoms), 3))
    return found


def start_s(script: str, python: str, *arguments: str) -> float:
    """Seconds from the start of a script to its first answer."""
    began = time.perf_counter()
    subprocess.run([python, "-c", script, *arguments], check=True, capture_output=True, cwd=HERE)
    return time.perf_counter() - began


OWN = """
import sys; sys.path.insert(0, '.')
from ase.build import bulk; from warm_library import own_calculator
atoms = bulk('Cu'); atoms.calc = own_calculator(*sys.argv[1:3]); atoms.get_forces()
"""
WARM = """
import sys; sys.path.insert(0, '..')
from ase.build import bulk; from mira_cli import calculator
atoms = bulk('Cu'); atoms.calc = calculator(sys.argv[1], runtime='venv'); atoms.get_forces()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=lambda text: text.split(","), default=list(MODELS))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--crystals", type=int, default=10)
    parser.add_argument("--starts", type=int, default=3)
    asked = parser.parse_args()
    hundred = bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat((3, 2, 2))[:96]
    hundred.rattle(0.05, seed=1)
    lines = [
        "| model | what | library | `calculator()` | plain network | ratio | plain, ratio | plain, difference |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    starts = ["| model | library, s | `calculator()`, s |", "|---|---:|---:|"]
    for model in asked.models:
        library = Library(model, asked.threads)
        with (
            calculator(model, runtime="venv", threads=asked.threads, device="cpu") as fast,
            calculator(model, runtime="venv", threads=asked.threads, device="cpu", accelerators="off") as plain,
        ):
            kinds = {
                "Cu, 1 atom, ms": (evaluated, steps_of(bulk("Cu"), asked.calls)),
                "NaCl, 96 atoms, ms": (evaluated, steps_of(hundred, asked.calls)),
                f"relaxation of {asked.crystals} crystals, s": (relaxed, crystals(asked.crystals, seed=3)),
            }
            for what, (how, structures) in kinds.items():
                relax = how is relaxed
                ways = [partial(library.ask, relax=relax), asks(fast, how), asks(plain, how)]
                in_turns(ways, structures[:2])  # warm all up
                found = in_turns(ways, structures)
                took = [[one["s"] for one in way] for way in found]
                unit = 1.0 if relax else 1e3
                totals = [unit * (sum(way) if relax else median(way)) for way in took]
                ratios = [median(np.divide(way, took[0])) for way in took[1:]]
                differences = 1e3 * median(np.subtract(took[2], took[0]))
                lines.append(
                    f"| {model} | {what} | {totals[0]:.2f} | {totals[1]:.2f} | {totals[2]:.2f} "
                    f"| {ratios[0]:.2f} | {ratios[1]:.2f} | {differences:.2f} ms |"
                )
                print(lines[-1], flush=True)
        library.process.kill()
        image, family, name = MODELS[model]
        python = prepare_images([image], "venv", build=False)[image].python
        took_own, took_warm = [], []
        for _ in range(asked.starts):
            took_own.append(start_s(OWN, python, family, name))
            took_warm.append(start_s(WARM, sys.executable, model))
        starts.append(f"| {model} | {median(took_own):.2f} | {median(took_warm):.2f} |")
        print(starts[-1], flush=True)
    text = "\n".join([
        f"{asked.threads} threads, {cpu()}. Ratios and differences are medians over pairs, in turns.", "", *lines, "",
        f"From the start of a script to its first answer, median of {asked.starts}, in turns:", "", *starts,
    ])  # fmt: skip
    write_section("warm", "A model behind a socket", text)


if __name__ == "__main__":
    main()
