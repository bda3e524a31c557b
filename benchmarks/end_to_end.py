"""`mira run` from its start to its tables, against the scripts that a user writes. Needs the images, in both runtimes.

    .venv/bin/python benchmarks/end_to_end.py                        # 200 crystals, SevenNet-0 and CHGNet-0.3.0
    .venv/bin/python benchmarks/end_to_end.py --full                 # 2,000 crystals
    .venv/bin/python benchmarks/end_to_end.py -n 20000 --ways venv   # how much of a long run is evaluation

The scripts (`ase_script.py`): one process a model, one after the other, each with all cores, an ASE loop, the model
loaded once, results written once. With `--ways …,at-once` also all of them at once, the cores shared out among them.
Each way first does next to nothing once, so that none pays for reading packages from the disk; then all take turns, in
another order each time. What MIRA answers is compared with what the scripts have written; where its time went is read
from what the run says of itself.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import run_times
from ase.io import write
from crystals import LARGEST, SMALLEST, crystals
from processes import (
    HERE,
    MODELS,
    Took,
    answers,
    apart,
    children_cpu_s,
    columns,
    cores,
    cpu,
    last_json,
    mira_run,
    pythons,
    timed,
)
from results import write_section

LONG_S = 1200.0  # a run long enough for start-up not to matter
WARM_UP = 4  # crystals
NAMES = {
    "scripts": "scripts",
    "at-once": "scripts at once",
    "venv": "`mira run`, venv",
    "apptainer": "`mira run`, Apptainer",
}


def main() -> None:
    asked = arguments()
    structures = crystals(asked.structures)
    atoms = sum(map(len, structures))
    turns: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="mira-bench-", dir=asked.scratch) as scratch:
        given = Path(scratch) / "crystals.extxyz"
        write(given, structures)
        write(few := Path(scratch) / "few.extxyz", structures[:WARM_UP])
        little = one_turn(0, few, asked)
        for turn in range(asked.repeat):
            turns.append(one_turn(turn, given, asked))
            print(f"turn {turn + 1}: {turns[-1]['took']}", file=sys.stderr)
    text = (
        f"{len(structures):,} crystals of {SMALLEST} to {LARGEST} atoms ({atoms:,} atoms) × {', '.join(asked.models)}, "
        f"{cpu()}; whole processes, wall time (and CPU time) in s.\n\n"
    )
    text += "\n".join(
        [*walls([little, *turns], asked.ways), "", *budget(turns), "", *jobs(turns), "", *words(turns, little, atoms)]
    )
    print(text)
    key = "end-to-end" if "scripts" in asked.ways else "long-run"
    title = "`mira run` against scripts" if "scripts" in asked.ways else "What a long run spends its time on"
    write_section(key, title, text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--structures", type=int, default=200)
    parser.add_argument("--full", action="store_true", help="2,000 structures")
    parser.add_argument("--models", type=lambda text: text.split(","), default=["sevennet-0", "chgnet-0.3.0"])
    parser.add_argument(
        "--ways", type=lambda text: text.split(","), default=["scripts", "venv", "apptainer"], help=", ".join(NAMES)
    )
    parser.add_argument("--repeat", type=int, default=1, help="turns of each way")
    parser.add_argument("--scratch", type=Path, help="where to put what is made meanwhile")
    asked = parser.parse_args()
    if asked.full:
        asked.structures = 2000
    for given, known in ((asked.models, MODELS), (asked.ways, NAMES)):
        if unknown := set(given) - set(known):
            parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    return asked


def one_turn(turn: int, given: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Let each way do all the work once; say what it took, what it answered, and what the runs say of themselves."""
    found: dict[str, Any] = {"load": os.getloadavg()[0], "took": {}, "runs": {}, "slots": {}, "counts": {}}
    answered: dict[str, dict[str, Any]] = {}
    folder = given.parent / f"{given.stem}-{turn}"
    folder.mkdir()
    shift = turn % len(asked.ways)
    for way in asked.ways[shift:] + asked.ways[:shift]:
        if way == "at-once":
            found["took"][way] = at_once(given, folder, asked.models)
        elif way == "scripts":
            found["took"][way], found["stages"] = scripts(given, folder, asked.models)
            answered[way] = {name: answers(folder / f"{name}.extxyz") for name in asked.models}
        else:
            root = folder / way
            found["took"][way], began = mira_run(given, asked.models, root, way)
            found["runs"][way] = run_times.read_run(root, began, found["took"][way].wall_s)
            found["slots"][way] = run_times.slots(root, cores())
            found["counts"][way] = run_times.counted(root)
            answered[way] = {name: answers(root / "results.extxyz", columns(name)) for name in asked.models}
    if "scripts" in answered:
        found["apart"] = {
            way: {name: apart(answered[way][name], answered["scripts"][name]) for name in asked.models}
            for way in answered
            if way != "scripts"
        }
    return found


def scripts(given: Path, folder: Path, models: list[str]) -> tuple[Took, dict[str, dict[str, float]]]:
    """Run the scripts one after the other; return what they took together, and where the time of each went."""
    total, stages = Took(0.0, 0.0), {}
    for name in models:
        took, said = timed(script(name, given, folder / f"{name}.extxyz"), folder)
        total = Took(total.wall_s + took.wall_s, total.cpu_s + took.cpu_s)
        stages[name] = last_json(said)
    return total, stages


def at_once(given: Path, folder: Path, models: list[str]) -> Took:
    """Run the scripts at the same time, each with its share of the cores."""
    began, before = time.perf_counter(), children_cpu_s()
    env = os.environ | {"OMP_NUM_THREADS": str(max(1, cores() // len(models)))}
    commands = [script(name, given, folder / f"{name}-at-once.extxyz") for name in models]
    running = [subprocess.Popen(c, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for c in commands]
    codes = [one.wait() for one in running]
    if any(codes):
        sys.exit("error: the scripts fail when they run at once")
    return Took(time.perf_counter() - began, children_cpu_s() - before)


def script(name: str, given: Path, out: Path) -> list[str]:
    family, bundled, image = MODELS[name]
    return [str(word) for word in (pythons([image])[image], HERE / "ase_script.py", family, bundled, given, out)]


def walls(turns: list[dict[str, Any]], ways: list[str]) -> list[str]:
    runs = [way for way in ways if way in {"venv", "apptainer"}]
    against = [f"scripts ÷ {NAMES[way]}" for way in runs if "scripts" in ways]
    lines = [f"| turn | {' | '.join([NAMES[way] for way in ways] + against)} | load before |"]
    lines.append("|---:|" + "---:|" * (len(ways) + len(against) + 1))
    for i, turn in enumerate(turns):
        cells = [f"{turn['took'][way].wall_s:.1f} ({turn['took'][way].cpu_s:.1f})" for way in ways]
        cells += [f"{turn['took']['scripts'].wall_s / turn['took'][way].wall_s:.2f}" for way in runs if against]
        lines.append(f"| {i or f'{WARM_UP} crystals'} | {' | '.join(cells)} | {turn['load']:.1f} |")
    return lines


def budget(turns: list[dict[str, Any]]) -> list[str]:
    """Write a table of the shares of wall time × cores."""
    runs = [(i, way, run, turn["slots"][way]) for i, turn in enumerate(turns) for way, run in turn["runs"].items()]
    parts = run_times.shares(*runs[0][2:])
    lines = [
        "Wall time × jobs at once, in %:",
        "",
        f"| turn | runtime | {' | '.join(parts)} | overhead over evaluation |",
        "|---:|---|" + "---:|" * (len(parts) + 1),
    ]
    for i, way, run, slots in runs:
        share = run_times.shares(run, slots)
        cells = [f"{100 * seconds / (run.wall * slots):.1f}" for seconds in share.values()]
        lines.append(f"| {i + 1} | {way} | {' | '.join(cells)} | {100 * run_times.overhead(run, slots):.1f} % |")
    return lines


def jobs(turns: list[dict[str, Any]]) -> list[str]:
    """Write a table of the jobs: what each spends before it computes, and at what rate it computes."""
    lines = [
        "Jobs of all turns:",
        "",
        "| model | runtime | jobs | start-up s a job | evaluation s | around it s | structures/s, evaluation |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    found: dict[tuple[str, str], list[run_times.Job]] = {}
    for turn in turns:
        for way, run in turn["runs"].items():
            for job in run.jobs:
                found.setdefault((job.model, way), []).append(job)
    for (model, way), those in sorted(found.items()):
        evaluation = sum(job.evaluation for job in those)
        lines.append(
            f"| {model} | {way} | {len(those)} | {statistics.median(job.start_up for job in those):.1f} "
            f"| {evaluation:.1f} | {sum(job.around for job in those):.1f} "
            f"| {sum(job.structures for job in those) / evaluation:.1f} |"
        )
    return lines


def words(turns: list[dict[str, Any]], little: dict[str, Any], atoms: int) -> list[str]:
    """Say in sentences what the tables mean."""
    lines = []
    both = [turn["runs"] for turn in turns if {"venv", "apptainer"} <= turn["runs"].keys()]
    if both:
        beyond = [
            [sum(j.evaluation + j.around for j in runs[way].jobs) for way in ("apptainer", "venv")] for runs in both
        ]
        more = statistics.median(a / b for a, b in beyond)
        start = [
            [statistics.mean(j.start_up for j in runs[way].jobs) for way in ("apptainer", "venv")] for runs in both
        ]
        later = statistics.median(a - b for a, b in start)
        lines.append(
            f"* Apptainer against venv: {more:.2f} × the time of jobs beyond their start-up, "
            f"and {later:+.1f} s of start-up a job; whole runs "
            f"{statistics.median(runs['apptainer'].wall / runs['venv'].wall for runs in both):.2f} ×."
        )
    for way, run in turns[-1]["runs"].items():
        slots, counts = turns[-1]["slots"][way], turns[-1]["counts"][way]
        guess = run_times.stretched(run, little["runs"][way], slots, LONG_S, atoms)
        said = (
            f"* {way}: {', '.join(f'{n:,} {status}' for status, n in sorted(counts.items()))}; wall {run.wall:.0f} s = "
        )
        said += f"{run.planning:.1f} planning + {run.snakemake:.1f} Snakemake's start + {run.computing:.1f} jobs + "
        said += f"{run.collecting:.1f} collecting + {run.rest:.1f} rest."
        if run.wall < LONG_S:
            said += (
                f" Stretched to {LONG_S / 60:.0f} minutes (estimated), overhead over evaluation {100 * guess:.1f} %."
            )
        lines.append(said)
    for way, models in turns[-1].get("apart", {}).items():
        lines += [f"* {way} against the scripts, at most: {name} {found}." for name, found in models.items()]
    for name, stages in turns[-1].get("stages", {}).items():
        lines.append(f"* script of {name}: " + ", ".join(f"{k[:-2]} {s:.1f} s" for k, s in stages.items()) + ".")
    return lines


if __name__ == "__main__":
    main()
