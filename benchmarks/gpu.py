"""What a GPU brings: many small crystals, one large cell, memory and recovery. Needs a GPU and the images.

    .venv/bin/python benchmarks/gpu.py                                     # 10,000 crystals, a cell of 10,000 atoms
    .venv/bin/python benchmarks/gpu.py --device cpu -n 8 --loop 4 --cell 8  # does the script itself work?

SevenNet-0 and CHGNet-0.3.0 with their weights, MACE and ORB of full size with random ones: an ASE loop (on some of the
crystals), the library's batches (torch-sim, its batcher finding what fits; CHGNet's own), and MIRA's worker. Then
MIRA's worker alone: the largest cell that fits, and a first batch far too large, whose structures must all have a
record in the end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ase.build import bulk
from ase.io import write
from crystals import LARGEST, SMALLEST, crystals
from processes import HERE, MODELS, cpu, model_row, pythons, timed
from results import write_section

RANDOM = {"mace-random": ("mace", "mace-orb"), "orb-random": ("orb", "mace-orb")}  # name -> family, image


def main() -> None:
    asked = arguments()
    structures = crystals(asked.structures)
    cell = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    cell = cell.repeat(max(1, round((asked.cell / len(cell)) ** (1 / 3))))
    cell.rattle(0.05, seed=0)
    with tempfile.TemporaryDirectory(prefix="mira-bench-") as scratch:
        write(Path(scratch) / "crystals.extxyz", structures)
        write(Path(scratch) / "cell.extxyz", cell)
        found = {name: measured(name, Path(scratch), asked) for name in asked.models}
    text = (
        f"{len(structures):,} crystals of {SMALLEST} to {LARGEST} atoms (the loop: {asked.loop:,} of them), one cell "
        f"of {len(cell):,} atoms, {device(asked.device)}; memory is the most that tensors took at once.\n\n"
    )
    text += "\n".join([*table(found), "", *words(found)])
    print(text)
    if asked.device == "cuda":
        write_section("gpu", "On a GPU", text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ["sevennet-0", "chgnet-0.3.0", *RANDOM]
    parser.add_argument("-n", "--structures", type=int, default=10_000)
    parser.add_argument("--loop", type=int, default=300, help="crystals of the ASE loop")
    parser.add_argument("--cell", type=int, default=10_000, help="about as many atoms in the large cell")
    parser.add_argument("--models", type=lambda text: text.split(","), default=names, help=", ".join(names))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    asked = parser.parse_args()
    if unknown := set(asked.models) - set(names):
        parser.error(f"no such model here: {', '.join(unknown)}; there are {', '.join(names)}")
    return asked


def measured(name: str, folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Run `gpu_ways.py` in a model's environment; a random model is made there."""
    image = RANDOM[name][1] if name in RANDOM else MODELS[name][2]
    file, out = folder / f"{name}.json", folder / f"{name}.out.json"
    file.write_text(json.dumps({"random": RANDOM[name][0]} if name in RANDOM else model_row(name)))
    timed([pythons([image])[image], HERE / "gpu_ways.py", file, folder, out, asked.device, asked.loop], folder)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def table(found: dict[str, dict[str, Any]]) -> list[str]:
    lines = [
        "| model | way | structures/s | × loop | memory MB | large cell, atoms/s | memory MB |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name, row in found.items():
        slow = row["small"]["ASE loop"].get("per_s")
        for way, small in row["small"].items():
            large = row["large"][way]
            times = f"{small['per_s'] / slow:.1f}" if slow and "per_s" in small else ""
            lines.append(
                f"| {name} | {way} | {rate(small, '.1f')} | {times} | {memory(small)} "
                f"| {rate(large, '.0f')} | {memory(large)} |"
            )
    return lines


def rate(measured: dict[str, Any], digits: str) -> str:
    return format(measured["per_s"], f",{digits}") if "per_s" in measured else measured["error"]


def memory(measured: dict[str, Any]) -> str:
    return f"{measured['peak_mb']:,.0f}" if measured.get("peak_mb") else ""


def words(found: dict[str, dict[str, Any]]) -> list[str]:
    lines = []
    for name, row in found.items():
        largest, recovery = row["largest"], row["recovery"]
        if largest:
            lines.append(f"* {name}: a cell of {largest['fits']:,} atoms fits, one of {largest['fails']:,} does not.")
        counts = ", ".join(f"{n:,} {status}" for status, n in sorted(recovery["counts"].items()))
        lines.append(
            f"* {name}: a first batch of {recovery['batch_atoms']:,} atoms: {recovery['halved']} times too large, "
            f"then {counts}, {recovery['per_s']:.1f} structures/s in all."
        )
    return lines


def device(kind: str) -> str:
    if kind == "cpu":
        return cpu()
    asked = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
