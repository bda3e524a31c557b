"""How fast MIRA evaluates, against an ASE loop and the library's own batches. Needs the images as environments.

    .venv/bin/python benchmarks/evaluation.py                    # 120 crystals of 2 to 32 atoms
    .venv/bin/python benchmarks/evaluation.py --full             # 600 crystals

For every model in one process: the ways take turns on portions of the same structures, so that a busy machine is as
unfair to one as to the others. Loading the model is not counted. The libraries' batches are those of the size (and of
torch-sim's neighbour list) that was the fastest on a sample, in a tuning that is not counted either; MIRA chooses by
itself, and its part goes from packed structures to records on the disk.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from ase.io import write
from crystals import LARGEST, SMALLEST, crystals
from processes import HERE, MODELS, cores, cpu, model_row, pythons, timed
from results import write_section


def main() -> None:
    asked = arguments()
    structures = crystals(asked.structures)
    atoms = sum(map(len, structures))
    with tempfile.TemporaryDirectory(prefix="mira-bench-") as scratch:
        write(Path(scratch) / "crystals.extxyz", structures)
        found = [compared(name, Path(scratch), asked) for name in asked.models]
    text = (
        f"{len(structures):,} crystals of {SMALLEST} to {LARGEST} atoms ({atoms:,} atoms), {cpu()}, {asked.threads} "
        f"threads; ratios are medians of {asked.portions} portions, and their range.\n\n"
    )
    text += "\n".join(table(found, len(structures)))
    print(text)
    write_section("evaluation", "Evaluation, the worker alone", text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--structures", type=int, default=120)
    parser.add_argument("--full", action="store_true", help="600 structures")
    parser.add_argument("--models", type=lambda text: text.split(","), default=["sevennet-0", "chgnet-0.3.0"])
    parser.add_argument("--portions", type=int, default=6, help="turns of each way")
    parser.add_argument("--threads", type=int, default=cores())
    asked = parser.parse_args()
    if asked.full:
        asked.structures = 600
    if unknown := set(asked.models) - set(MODELS):
        parser.error(f"no such model here: {', '.join(unknown)}; there are {', '.join(MODELS)}")
    return asked


def compared(name: str, folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Run `evaluation_ways.py` in a model's environment."""
    image, file, out = MODELS[name][2], folder / f"{name}.model.json", folder / f"{name}.json"
    file.write_text(json.dumps(model_row(name)))
    command = [pythons([image])[image], HERE / "evaluation_ways.py", file, folder / "crystals.extxyz", out]
    timed([*command, asked.threads, asked.portions], folder, {"OMP_NUM_THREADS": str(asked.threads)})
    return {"name": name, **json.loads(out.read_text())}


def table(found: list[dict[str, Any]], n: int) -> list[str]:
    """Write a table: seconds over all portions, and the median of the portions' ratios to the loop with their range."""
    lines = [
        "| model | way | wall s | CPU s | structures/s | × loop, CPU | × loop, wall | worst ΔE/atom, ΔF |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for row in found:
        times = row["times"]
        for way, name in named(row).items():
            wall, cpu_s, worst = times[way]["wall_s"], times[way]["cpu_s"], row["worst"][way]
            apart = (
                f"{worst['energy_ev_per_atom']:.0e} eV, {worst['force_ev_per_ang']:.0e} eV/Å" if way != "loop" else ""
            )
            lines.append(
                f"| {row['name']} | {name} | {sum(wall):.1f} | {sum(cpu_s):.1f} | {n / sum(wall):.1f} "
                f"| {ratio(times, way, 'loop', 'cpu_s')} | {ratio(times, way, 'loop', 'wall_s')} | {apart} |"
            )
    lines.append("")
    for row in found:
        lines += [
            f"* {row['name']}: MIRA's worker against {library} {ratio(row['times'], 'mira', library, 'cpu_s')} by CPU "
            f"time, {ratio(row['times'], 'mira', library, 'wall_s')} by wall time."
            for library in row["libraries"]
        ]
        start = row["start"]
        lines.append(
            f"* {row['name']}: the worker imports in {start['import_s']:.1f} s, loads in {start['load_s']:.1f} s."
        )
    return lines


def named(row: dict[str, Any]) -> dict[str, str]:
    """Name the ways of a model, with the batches that each library's tuning has chosen."""
    names = {"loop": "ASE loop"}
    for library, what in row["libraries"].items():
        neighbours = f", `{what['neighbours']}`" if what.get("neighbours") else ""
        names[library] = f"{library}, {what['batch']} {what['unit']} a batch{neighbours}"
    return names | {"mira": f"MIRA's worker, {row['accelerator'] or 'no accelerator'}"}


def ratio(times: dict[str, Any], way: str, to: str, unit: str) -> str:
    each = [b / a for a, b in zip(times[way][unit], times[to][unit], strict=True)]
    return f"{statistics.median(each):.2f} ({min(each):.2f}–{max(each):.2f})"


if __name__ == "__main__":
    main()
