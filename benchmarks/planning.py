"""What the host side costs as input grows: reading, planning, planning again, adding, collecting. No model is run.

    .venv/bin/python benchmarks/planning.py                        # 100,000 structures in one file × 8 models
    .venv/bin/python benchmarks/planning.py -n 1000000 -m 1 --made-up  # how it grows: an index without input
    .venv/bin/python benchmarks/planning.py --files 1000           # the same structures in 1,000 files
    .venv/bin/python benchmarks/planning.py --against ../other     # also with the code of another checkout

Every step is a process of its own; time and memory are what the kernel says of it and its children. Crystals have 2 to
16 atoms. The records are made up, in the files and under the keys that the plan wants; like a worker's they lie by
falling size. What starts is started three times in turn with Snakemake on an empty workflow, and the fastest is told.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from results import write_section

HERE = Path(__file__).resolve().parents[1]
SPECIES = np.array(["Al", "Cu", "Ni", "Au", "Ag", "Pd", "Pt", "O", "N", "C"])
FAMILY = "ase_builtin"
NOTHING, EMPTY = "mira run, nothing to do", "snakemake, empty workflow"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--structures", type=int, default=100_000)
    parser.add_argument("-m", "--models", type=int, default=8)
    parser.add_argument("--files", type=int, default=1, help="into how many files the structures go")
    parser.add_argument("--made-up", action="store_true", help="structures that were not read from files")
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--folder", type=Path, help="where to leave what was made [default: nowhere]")
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="mira-bench-"))
    checkouts = [HERE] if args.against is None else [args.against.resolve(), HERE]
    try:
        rows = [row for checkout in checkouts for row in measure(checkout, folder / checkout.name, args)]
    finally:
        if args.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    if args.json:
        print("\n".join(map(json.dumps, rows)))
        return
    what = "made-up structures" if args.made_up else f"structures in {args.files:,} file(s)"
    lines = [f"{args.structures:,} {what} × {args.models} models", ""]
    lines += ["| checkout | step | wall s | CPU s | peak MB | per s |", "|---|---|---:|---:|---:|---:|"]
    for row in rows:
        rate = f"{row['items'] / row['wall_s']:,.0f} {row['unit']}" if row["items"] else ""
        lines.append(
            f"| {row['checkout']} | {row['step']} | {row['wall_s']:.1f} | {row['cpu_s']:.1f} | {row['peak_mb']:.0f} "
            f"| {rate} |"
        )
    for checkout in checkouts:
        own = {row["step"]: row for row in rows if row["checkout"] == checkout.name}
        idle, empty = own[NOTHING], own[EMPTY]
        parts = ", ".join(f"{name} {cpu_s:.1f}" for name, cpu_s in own["collect"]["parts"].items())
        ratios = [f"{idle[unit] / empty[unit]:.2f}" for unit in ("wall_s", "cpu_s")]
        told = f"{ratios[0]} × the start of Snakemake alone ({ratios[1]} × by CPU time)"
        lines += ["", f"{checkout.name}: `mira run` with nothing to do takes {told}. Collecting, CPU s: {parts}."]
    text = "\n".join(lines)
    print(text)
    key = f"planning-{args.structures}-{args.models}-{args.files}{'-made-up' if args.made_up else ''}"
    write_section(key, f"Planning and collecting, {args.structures:,} × {args.models}", text)


def measure(checkout: Path, folder: Path, args: argparse.Namespace) -> list[dict]:
    """Rows of the table for one checkout, each step in a process of its own."""
    source, run, models = folder / "in", folder / "run", folder / "models.json"
    names = [f"lj-{i}" for i in range(args.models)]
    folder.mkdir(parents=True)
    models.write_text(json.dumps({"models": {name: _model(i) for i, name in enumerate(names)}}))
    write_structures(source, 1 if args.made_up else args.structures, args.files)
    me = Path(__file__).resolve()
    made_up = args.structures if args.made_up else 0
    plan = [me.with_name("planning_step.py"), source, run, models, ",".join(names), made_up]
    mira = ["-m", "mira_cli", "run", source, "-m", ",".join(names), "--models-file", models, "-o", run]
    records = args.structures * args.models
    rows = []

    def step(name: str, command: list[object], items: int = 0, unit: str = "", *, parts: bool = False) -> None:
        file = folder / "parts.json"
        wrapped = [me.with_name("planning_parts.py"), file] if parts else []
        wall_s, cpu_s, peak_mb = timed([sys.executable, *map(str, [*wrapped, *command])], checkout)
        found = {"step": name, "wall_s": wall_s, "cpu_s": cpu_s, "peak_mb": peak_mb, "items": items, "unit": unit}
        rows.append({"checkout": checkout.name, **found, "parts": json.loads(file.read_text()) if parts else {}})

    step("plan, cold", plan, args.structures, "structures")
    make_records(run)
    step("collect", [run], records, "records", parts=True)
    step("plan, nothing new", plan)
    (folder / "Snakefile").write_text("rule all:\n")
    snakemake = ["-m", "snakemake", "--snakefile", folder / "Snakefile", "--directory", folder, "--cores", 1]
    for _ in range(3):
        step(NOTHING, mira)
        step(EMPTY, snakemake)
    starts = [row for row in rows if row["step"] in {NOTHING, EMPTY}]
    rows = [row for row in rows if row not in starts]
    rows += [min((row for row in starts if row["step"] == n), key=lambda row: row["wall_s"]) for n in (NOTHING, EMPTY)]
    if args.made_up:
        return rows
    write_structures(source, 100, 1, first=args.structures, name="a100")
    step("plan, one more file of 100", plan)
    with (source / "000000.extxyz").open("a") as stream:
        stream.writelines(frames(100, seed=2))
    step("plan, 100 appended", plan)
    step("collect, 200 without record", ["-m", "mira_cli", "collect", run], records, "records")
    return rows


def timed(command: list[str], checkout: Path) -> tuple[float, float, float]:
    """Run to the end; wall and CPU seconds, and the largest memory of any of its processes in MB."""
    begin = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    process = subprocess.Popen(
        command, cwd=checkout, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    words = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{words}")
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3


def write_structures(folder: Path, n: int, files: int, *, first: int = 0, name: str = "") -> None:
    folder.mkdir(exist_ok=True)
    share = -(-n // files)
    for i in range(files):
        with (folder / f"{name}{i:06d}.extxyz").open("w") as stream:
            stream.writelines(frames(min(share, n - i * share), seed=first + i))


def frames(n: int, seed: int):
    """Text of crystals of 2 to 16 atoms, on a grid with some disorder: none are too near."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        size = int(rng.integers(2, 17))
        cell = np.eye(3) * (24 * size) ** (1 / 3) + rng.uniform(-0.2, 0.2, (3, 3))
        edge = 2 if size <= 8 else 3
        places = np.array(np.unravel_index(rng.permutation(edge**3)[:size], (edge,) * 3)).T / edge
        positions = ((places + rng.uniform(-0.02, 0.02, (size, 3))) @ cell).tolist()
        lattice = " ".join(f"{x:.8f}" for x in cell.ravel())
        head = f'{size}\nLattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T T"\n'
        species = SPECIES[rng.integers(0, len(SPECIES), size)]
        yield head + "".join(
            f"{s:2} {x:16.8f} {y:16.8f} {z:16.8f}\n" for s, (x, y, z) in zip(species, positions, strict=True)
        )


def make_records(run: Path) -> None:
    """Write what workers would have written for every job of the plan."""
    rng = np.random.default_rng(0)
    packs: dict[str, tuple] = {}
    for job in run.glob("work/jobs/*/*.json"):
        spec = json.loads(job.read_text())
        folder = run / "work" / "records" / job.parent.name / spec["model_key"] / job.stem
        folder.mkdir(parents=True)
        lines = [json.dumps({"kind": "attempt", "started": "2000", "device": "cpu", "image": spec["image"]})]
        row = 0
        for source in spec["structures"]:
            if source["file"] not in packs:
                with np.load(run / source["file"]) as pack:
                    packs[source["file"]] = pack["hash"].astype(str).tolist(), pack["natoms"].tolist()
            hashes, natoms = packs[source["file"]]
            numbers = rng.normal(size=(len(source["rows"]), 8)).round(16).tolist()
            falling = sorted(source["rows"], key=lambda row: -natoms[row])
            for i, (energy, seconds, *stress) in zip(falling, numbers, strict=True):
                record = {
                    "kind": "record",
                    "structure": hashes[i],
                    "status": "ok",
                    "error": None,
                    "energy_ev": energy,
                    "stress_ev_per_ang3": stress,
                    "n_atoms": natoms[i],
                    "forces_row": row,
                    "batch_size": 64,
                    "wall_s": abs(seconds),
                    "max_rss_mb": 300.0,
                }
                lines.append(json.dumps(record))
                row += natoms[i]
        rng.normal(size=3 * row).astype("<f8").tofile(folder / "forces.f64")
        (folder / "records.jsonl").write_text("\n".join(lines) + "\n")
        done = run / "work" / "done" / job.parent.name / f"{job.stem}.json"
        done.parent.mkdir(parents=True, exist_ok=True)
        done.write_text("{}")


def _model(i: int) -> dict:
    options = {"sigma": 2.0 + 0.01 * i}
    return {"title": "Lennard-Jones", "family": FAMILY, "checkpoint": {"bundled": "lj"}, "options": options}


if __name__ == "__main__":
    main()
