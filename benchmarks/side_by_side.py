"""SevenNet-0 by whole programs: janus-core, a torch-sim script, `sevenn inference`, an ASE script and MIRA.

    .venv/bin/python benchmarks/side_by_side.py            # 100 crystals
    .venv/bin/python benchmarks/side_by_side.py --full     # 1,000 crystals

Each reads one extxyz file of many frames, and ends with a file of energies, forces and stresses; all have all cores.
Each is run on one crystal as well, twice: the second time is its start-up. torch-sim's batch size and neighbour list
are tuned before, which is not counted. janus-core gets an environment of its own in the cache, from `janus.lock`, with
the very torch and sevenn of MIRA's image (so there is next to nothing to download); its carbon tracker and its progress
bar are off.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import uv
from ase.io import write
from crystals import LARGEST, SMALLEST, crystals
from processes import HERE, Took, answers, apart, columns, cpu, last_json, mira_run, pythons, timed
from results import write_section

from mira_cli import paths

if TYPE_CHECKING:
    from collections.abc import Callable

    from processes import Answers

KBAR = 1602.1766208  # in an eV/Å³
LOCK = HERE / "janus.lock"
MODEL, BUNDLED = "sevennet-0", "7net-0"
JANUS_KEYS = ("sevennet_energy", "sevennet_forces", "sevennet_stress")


class Program(NamedTuple):
    """How a program is called on a file, in a folder of its own, and how its answers are read there.

    `mira run` has no call here.
    """

    command: Callable[[Path], list[Any]] | None
    read: Callable[[Path], Answers]


def main() -> None:
    asked = arguments()
    janus = janus_environment()
    structures = crystals(asked.structures)
    with tempfile.TemporaryDirectory(prefix="mira-bench-") as scratch:
        folder = Path(scratch)
        many, sample, one = (folder / f"{name}.extxyz" for name in ("crystals", "sample", "one"))
        for file, those in ((many, structures), (sample, structures[:24]), (one, structures[:1])):
            write(file, those)
        ways = programs(janus, sample)
        # twice, as the first has to read the packages from the disk
        start = [{name: took for name, (took, _) in take_turn(0, ways, one, folder).items()} for _ in range(2)][-1]
        turns = [take_turn(i + 1, ways, many, folder) for i in range(asked.repeat)]
    atoms = sum(map(len, structures))
    text = f"{len(structures):,} crystals of {SMALLEST} to {LARGEST} atoms ({atoms:,} atoms) × {MODEL}, {cpu()}, "
    text += f"load {os.getloadavg()[0]:.1f} at the end; medians of {asked.repeat} turn(s).\n\n"
    text += "\n".join(table(start, turns, len(structures)))
    print(text)
    write_section("side-by-side", "Side by side with other programs", text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--structures", type=int, default=100)
    parser.add_argument("--full", action="store_true", help="1,000 structures")
    parser.add_argument("--repeat", type=int, default=1, help="turns of each program")
    asked = parser.parse_args()
    if asked.full:
        asked.structures = 1000
    return asked


def janus_environment() -> Path:
    """Return the interpreter of janus-core's environment; made once, by hard links from uv's cache."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    place = paths.cache_dir() / "benchmarks" / f"janus-{digest}"
    python = place / "bin" / "python"
    if (place / "complete").exists():
        return python
    program = uv.find_uv_bin()
    shutil.rmtree(place, ignore_errors=True)
    base = pythons(["fairchem-sevennet"])["fairchem-sevennet"]
    sync = [program, "pip", "sync", "--quiet", "--compile-bytecode", "--python", python, LOCK]
    for command in ([program, "venv", "--quiet", "--python", base, place], sync):
        subprocess.run(command, check=True)
    (place / "complete").touch()
    # of its own: what uv's cache holds too has more than one name
    own = [s.st_blocks * 512 for file in place.rglob("*") if (s := file.lstat()).st_nlink == 1]
    print(f"{place}: made, {sum(own) / 1e6:,.0f} MB of disk", file=sys.stderr)
    return python


def programs(janus: Path, sample: Path) -> dict[str, Program]:
    """Return the programs by name, torch-sim's batches tuned on a sample."""
    python = pythons(["fairchem-sevennet"])["fairchem-sevennet"]
    _, said = timed([python, HERE / "torchsim_script.py", BUNDLED, sample, "--tune"], sample.parent)
    best = last_json(said)
    batches = [best["batch"], best["neighbours"]]
    alone = ["--arch", "sevennet", "--model", BUNDLED, "--device", "cpu", "--no-tracker", "--no-progress-bar"]
    out = "out.extxyz"
    return {
        "ASE script": Program(
            lambda given: [python, HERE / "ase_script.py", "sevennet", BUNDLED, given, out],
            lambda own: answers(own / out),
        ),
        "janus-core singlepoint": Program(
            lambda given: [janus.with_name("janus"), "singlepoint", *alone, "--struct", given, "--out", out],
            lambda own: answers(own / out, JANUS_KEYS),
        ),
        "torch-sim script, {} atoms a batch, `{}`".format(*batches): Program(
            lambda given: [python, HERE / "torchsim_script.py", BUNDLED, given, out, *batches],
            lambda own: answers(own / out),
        ),
        "`sevenn inference`, 4 structures a batch": Program(
            lambda given: [python.with_name("sevenn"), "inference", BUNDLED, given, "-d", "cpu", "-au", "-o", "out"],
            lambda own: inferred(own / "out"),
        ),
        "`mira run`, venv": Program(None, lambda own: answers(own / "run" / "results.extxyz", columns(MODEL))),
    }


def inferred(folder: Path) -> Answers:
    """Read what `sevenn inference` has written."""
    with (folder / "per_graph.csv").open() as stream:
        graphs = list(csv.DictReader(stream))
    with (folder / "per_atom.csv").open() as stream:
        atoms = [[float(row[f"inferred_force_{axis}"]) for axis in "xyz"] for row in csv.DictReader(stream)]
    found, row = [], 0
    for graph in graphs:
        n = int(float(graph["num_atoms"]))
        stress = [-float(graph[f"inferred_stress_{pair}"]) / KBAR for pair in ("xx", "yy", "zz", "yz", "zx", "xy")]
        found.append((float(graph["inferred_total_energy"]), np.array(atoms[row : row + n]), np.array(stress)))
        row += n
    return found


def take_turn(turn: int, ways: dict[str, Program], given: Path, folder: Path) -> dict[str, tuple[Took, Answers]]:
    """Let each program do the work once, in another order each turn."""
    found = {}
    names = list(ways)
    shift = turn % len(names)
    for name in names[shift:] + names[:shift]:
        command, read = ways[name]
        with tempfile.TemporaryDirectory(dir=folder) as own:
            if command:
                took, _ = timed(command(given), Path(own))
            else:
                took, _ = mira_run(given, [MODEL], Path(own) / "run", "venv")
            found[name] = took, read(Path(own))
    return found


def table(start: dict[str, Took], turns: list[dict[str, tuple[Took, Answers]]], n: int) -> list[str]:
    lines = [
        "| program | wall s | CPU s | start-up s | structures/s beyond it | × janus, wall | × janus, CPU | apart |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    reference = turns[-1]["ASE script"][1]
    median = {
        name: Took(*(statistics.median(turn[name][0][i] for turn in turns) for i in range(2))) for name in turns[0]
    }
    janus = median["janus-core singlepoint"]
    for name, first in start.items():
        took, alone = median[name], first.wall_s
        said = apart(turns[-1][name][1], reference) if name != "ASE script" else ""
        rate = f"{(n - 1) / (took.wall_s - alone):.1f}" if took.wall_s > alone else "too few to tell"
        lines.append(
            f"| {name} | {took.wall_s:.1f} | {took.cpu_s:.1f} | {alone:.1f} | {rate} "
            f"| {janus.wall_s / took.wall_s:.2f} | {janus.cpu_s / took.cpu_s:.2f} | {said} |"
        )
    fastest, quickest = (min(of, key=lambda name: of[name].wall_s) for of in (median, start))
    last = f"Fastest: {fastest}. Quickest to start: {quickest}. Apart: from the ASE script's answers, at most."
    return [*lines, "", last]


if __name__ == "__main__":
    main()
