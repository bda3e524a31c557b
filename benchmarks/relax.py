"""How fast MIRA relaxes, against an ASE loop and the libraries' own relaxers. Needs the images as environments.

    .venv/bin/python benchmarks/relax.py                    # 300 known crystals of 2 to 32 atoms
    .venv/bin/python benchmarks/relax.py -n 60

For every model in one process: the ways take turns on portions of the same structures, strained and rattled crystals
(`compounds.py`). All are to end with forces of at most 0.01 eV/Å and stresses of at most 0.1 GPa, which a fresh
calculator of the model's package judges; CHGNet's `StructOptimizer` has a criterion of its own. Where ways end in other
minima, the structures are named. Loading the model is not counted. Ways that take one structure after the other are
slow: they take the first portions only, each of which spans all sizes, and ratios are of the same portions.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from pathlib import Path
from typing import Any

from ase.io import write
from compounds import LARGEST, SMALLEST, compounds
from processes import HERE, MODELS, cores, cpu, model_row, pythons, timed
from results import write_section

APART_EV, APART = 1e-4, 1e-3  # an atom, and of the volume
NAMED = 12  # structures a list


def main() -> None:
    asked = arguments()
    structures = compounds(asked.structures, seed=asked.seed)
    with tempfile.TemporaryDirectory(prefix="mira-bench-") as scratch:
        write(Path(scratch) / "crystals.extxyz", structures)
        found = {name: compared(name, Path(scratch), asked) for name in asked.models}
    text = (
        f"{len(structures):,} known crystals of {SMALLEST} to {LARGEST} atoms ({sum(map(len, structures)):,} atoms), "
        f"strained and rattled, {cpu()}, {asked.threads} thread{'s' if asked.threads > 1 else ''}, to 0.01 eV/Å and "
        f"0.1 GPa; ratios are medians of {asked.portions} portions, and their range.\n\n"
    )
    text += "\n".join(table(found, len(structures)))
    print(text)
    write_section("relax", "Relaxations", text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--structures", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--models", type=lambda text: text.split(","), default=["sevennet-0", "chgnet-0.3.0"])
    parser.add_argument("--portions", type=int, default=12, help="turns of each way")
    parser.add_argument("--looped", type=int, default=2, help="portions for the ways that take structures one by one")
    parser.add_argument("--threads", type=int, default=cores())
    asked = parser.parse_args()
    if unknown := set(asked.models) - set(MODELS):
        parser.error(f"no such model here: {', '.join(unknown)}; there are {', '.join(MODELS)}")
    return asked


def compared(name: str, folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Run `relax_ways.py` in a model's environment."""
    image, file, out = MODELS[name][2], folder / f"{name}.model.json", folder / f"{name}.json"
    file.write_text(json.dumps(model_row(name)))
    python = pythons([image])[image]
    numbers = (asked.threads, asked.portions, asked.looped)
    timed([python, HERE / "relax_ways.py", file, folder / "crystals.extxyz", out, *numbers], folder)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def table(found: dict[str, dict[str, Any]], n: int) -> list[str]:
    """Lines of Markdown: a row a way, and what stands out."""
    lines = [
        "| model | way | crystals | wall s | CPU s | evaluations | converged | as slow as MIRA, CPU | elsewhere |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    notes: list[str] = []
    for model, one in found.items():
        mine, lowest = one["ways"]["MIRA's worker"]["cpu_s"], minima(one["ways"], n)
        for way, row in one["ways"].items():
            ratios = [a / b for a, b in zip(row["cpu_s"], mine, strict=False)]  # of the portions that it took
            ends = dict(row["ends"])
            apart = [k for k in sorted(ends) if is_apart(ends[k], lowest[k])]
            lines.append(
                f"| {model} | {way} | {len(ends)} | {sum(row['wall_s']):.1f} | {sum(row['cpu_s']):.1f} "
                f"| {sum(row['evaluations']):,} | {sum(bool(e and e['converged']) for e in ends.values())} "
                f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) | {len(apart)} |"
            )
            if apart:
                named = ", ".join(f"{one['names'][k]} ({difference(ends[k], lowest[k])})" for k in apart[:NAMED])
                more = f" and {len(apart) - NAMED} more" if len(apart) > NAMED else ""
                notes.append(f"* {model}, {way}, elsewhere than the lowest of all: {named}{more}.")
            if row["said"]:
                notes.append(f"* {model}, {way}: {'; '.join(row['said'][:NAMED])}.")
    return [*lines, "", *notes]


def minima(ways: dict[str, Any], n: int) -> list[dict[str, float]]:
    """The lowest end of each structure."""
    ends = [dict(row["ends"]) for row in ways.values()]
    nowhere = {"ev": math.nan, "ang3": math.nan}
    found = ([one[k] for one in ends if one.get(k)] for k in range(n))
    return [min(these, key=lambda end: float(end["ev"]), default=nowhere) for these in found]


def is_apart(end: dict[str, float] | None, lowest: dict[str, float]) -> bool:
    """Whether a way ended in another minimum, or not as deep in it."""
    return end is None or end["ev"] - lowest["ev"] > APART_EV or abs(end["ang3"] / lowest["ang3"] - 1) > APART


def difference(end: dict[str, float] | None, lowest: dict[str, float]) -> str:
    """How far above the lowest end in energy, and off in volume."""
    if end is None:
        return "nowhere"
    return f"{1e3 * (end['ev'] - lowest['ev']):+.2f} meV/atom, {100 * (end['ang3'] / lowest['ang3'] - 1):+.2f} % V"


if __name__ == "__main__":
    main()
