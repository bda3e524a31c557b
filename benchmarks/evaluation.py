"""How fast MIRA evaluates, against an ASE loop and the library's own batches. Needs the images as environments.

    .venv/bin/python benchmarks/evaluation.py                    # 300 crystals of 2 to 32 atoms, a few minutes
    .venv/bin/python benchmarks/evaluation.py --full             # 2,000 crystals
    .venv/bin/python benchmarks/evaluation.py --end-to-end       # `mira run` against one script a model, instead

By itself, for every model in one process: the three ways take turns on portions of the same structures, so that a busy
machine is as unfair to one as to the others. Loading the model is not counted. MIRA's part goes from packed structures
to records on the disk, and is run in this process with as many threads as the others. With `--end-to-end`, whole
processes: the scripts one after the other, with all threads, against `mira run` from its start to its table.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ase.io import write
from crystals import LARGEST, SMALLEST, crystals
from results import write_section

HERE = Path(__file__).resolve().parent
MODELS = {
    "sevennet-0": ("sevennet", "7net-0", "fairchem-sevennet"),
    "sevennet-l3i5": ("sevennet", "7net-l3i5", "fairchem-sevennet"),
    "chgnet-0.3.0": ("chgnet", "0.3.0", "matgl"),
}
NAMES = {"loop": "ASE loop", "mira": "MIRA's worker"}


def main() -> None:
    asked = arguments()
    pythons = environments()
    structures = crystals(asked.structures)
    atoms = sum(map(len, structures))
    text = f"{len(structures):,} crystals of {SMALLEST} to {LARGEST} atoms ({atoms:,} atoms), {cpu()}, "
    with tempfile.TemporaryDirectory(prefix="mira-bench-") as scratch:
        folder = Path(scratch)
        write(folder / "crystals.extxyz", structures)
        if asked.end_to_end:
            key, title = "end-to-end", "Evaluation, end to end"
            lines = end_to_end(pythons, folder, asked)
        else:
            key, title = "evaluation", "Evaluation, the worker alone"
            lines = table([compared(name, pythons, folder, asked) for name in asked.models], len(structures))
            text += f"{asked.threads} threads; ratios are medians of {asked.portions} portions, and their range.\n\n"
    text += "\n".join(lines)
    print(text)
    write_section(key, title, text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--structures", type=int, default=300)
    parser.add_argument("--full", action="store_true", help="2,000 structures")
    parser.add_argument("--models", type=lambda text: text.split(","), default=["sevennet-0", "chgnet-0.3.0"])
    parser.add_argument("--portions", type=int, default=6, help="turns of each way")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--end-to-end", action="store_true", help="whole processes")
    parser.add_argument("--repeat", type=int, default=2, help="how often, end to end")
    parser.add_argument("--runtime", choices=("venv", "apptainer"), default="venv", help="of `mira run`")
    asked = parser.parse_args()
    if asked.full:
        asked.structures = 2000
    if unknown := set(asked.models) - set(MODELS):
        parser.error(f"no such model here: {', '.join(unknown)}; there are {', '.join(MODELS)}")
    return asked


def environments() -> dict[str, Path]:
    """Return the interpreters of the images that are built as environments."""
    listed = subprocess.run(
        [sys.executable, "-m", "mira_cli", "images", "list", "--json"], check=True, capture_output=True, text=True
    )
    built = {row["image"]: row["venv"] for row in json.loads(listed.stdout)}
    return {image: Path(place["path"]) / "bin" / "python" for image, place in built.items() if place}


def compared(name: str, pythons: dict[str, Path], folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    out = folder / f"{name}.json"
    inside(
        name, pythons, "compare", folder / "crystals.extxyz", out, str(asked.threads), str(asked.portions),
        threads=asked.threads,
    )  # fmt: skip
    return {"name": name, **json.loads(out.read_text())}


def inside(name: str, pythons: dict[str, Path], what: str, *more: object, threads: int | None = None) -> None:
    """Run `evaluation_ways.py` in a model's environment."""
    family, bundled, image = MODELS[name]
    if image not in pythons:
        sys.exit(
            f"error: image {image} is not built as an environment\n  hint: mira images build {image} --runtime venv"
        )
    row = {
        "name": name, "family": family, "checkpoint": {"bundled": bundled}, "options": {}, "dtype": "float32",
        "elements": None, "stress": True,
    }  # fmt: skip
    file = Path(str(more[0])).with_name(f"{name}.model.json")
    file.write_text(json.dumps(row))
    environment = dict(os.environ) | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
    command = [pythons[image], HERE / "evaluation_ways.py", what, file, *more]
    done = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"error: {name}: {done.stderr[-2000:]}")


def table(found: list[dict[str, Any]], n: int) -> list[str]:
    """Write a table: seconds over all portions, and the median of the portions' ratios to the loop with their range."""
    lines = [
        "| model | way | wall s | CPU s | structures/s | × loop, CPU | × loop, wall | worst ΔE/atom, ΔF |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for row in found:
        times = row["times"]
        for way, name in (NAMES | {"library": f"{row['library']}, {row['batch']} a batch"}).items():
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
        start = row["start"]
        lines.append(
            f"* {row['name']}: MIRA's worker against the library's batches "
            f"{ratio(row['times'], 'mira', 'library', 'cpu_s')} by CPU time, "
            f"{ratio(row['times'], 'mira', 'library', 'wall_s')} by wall time; "
            f"start of the worker: import {start['import_s']:.1f} s, load {start['load_s']:.1f} s."
        )
    return lines


def ratio(times: dict[str, Any], way: str, to: str, unit: str) -> str:
    each = [b / a for a, b in zip(times[way][unit], times[to][unit], strict=True)]
    return f"{statistics.median(each):.2f} ({min(each):.2f}–{max(each):.2f})"


def end_to_end(pythons: dict[str, Path], folder: Path, asked: argparse.Namespace) -> list[str]:
    given = folder / "crystals.extxyz"
    lines = [
        f"{', '.join(asked.models)}, runtime {asked.runtime}:",
        "",
        "| turn | scripts, wall s | `mira run`, wall s | ratio | load before, after |",
        "|---:|---:|---:|---:|---|",
    ]
    for turn in range(asked.repeat):
        load = os.getloadavg()[0]
        took = {}
        for way in ("scripts", "mira")[:: 1 if turn % 2 == 0 else -1]:
            began = time.perf_counter()
            if way == "scripts":
                for name in asked.models:
                    inside(name, pythons, "loop", given, folder / f"{name}-{turn}.extxyz")
            else:
                run(folder / f"run-{turn}", given, asked)
            took[way] = time.perf_counter() - began
        lines.append(
            f"| {turn + 1} | {took['scripts']:.1f} | {took['mira']:.1f} | {took['scripts'] / took['mira']:.2f} "
            f"| {load:.1f}, {os.getloadavg()[0]:.1f} |"
        )
    return lines


def run(place: Path, given: Path, asked: argparse.Namespace) -> None:
    command = [
        sys.executable, "-m", "mira_cli", "run", str(given), "-m", ",".join(asked.models), "-o", str(place),
        "--runtime", asked.runtime,
    ]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: mira run: {done.stderr[-2000:]}")


def cpu() -> str:
    """Name the processor and its cores."""
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{len(os.sched_getaffinity(0))} cores of {names[0] if names else os.uname().machine}"


if __name__ == "__main__":
    main()
