"""How fast MIRA computes properties, against matcalc with the model's own calculator. Needs the images as environments.

    .venv/bin/python benchmarks/properties.py                       # 20 known crystals
    .venv/bin/python benchmarks/properties.py -n 8 --tasks eos,elastic

matcalc gets an environment of its own in the cache, from `matcalc.lock`, with the torch and the models of MIRA's
images. Its settings are its own, but for the length of supercells, displacements and time steps, which are MIRA's: what
MIRA does beyond them (relaxed ions at each volume and strain, tighter minima) is part of its time. Each portion of the
structures is a process a way, in turn; loading the model and its first evaluation are not counted. `md` is the
constant-energy part alone, of cells of about 64 atoms. Of tasks that take long, fewer structures are computed.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import uv
from ase.io import write
from compounds import prototypes
from processes import HERE, MODELS, cores, cpu, model_row, pythons, timed
from results import write_section

from mira_cli import paths, tasks

if TYPE_CHECKING:
    from ase import Atoms

LOCK = HERE / "matcalc.lock"
WAYS = ("matcalc", "MIRA's worker")
SETTINGS: dict[str, dict[str, Any]] = {
    "eos": {}, "elastic": {}, "phonons": {},
    "md": {"equilibration_ps": 0, "duration_ps": 0.2, "timestep_fs": 2.0, "min_length_ang": 0, "sample_fs": 20.0,
           "max_drift_ev_per_atom_per_ps": 100},
}  # fmt: skip
MOST_ATOMS, MD_ATOMS = 8, 64
MOST_STRUCTURES = {"phonons": 8, "md": 2}  # in matcalc's way, each takes up to a minute
DIFFERENCES = """\
What both ways do is not the same; matcalc's settings are its own. `eos`: matcalc has 11 volumes from 73 to 133 % of
that of a minimum to 0.1 eV/Å, MIRA 7 within 6 % of that of one to 0.001 eV/Å and 0.02 GPa, with the space group
checked; over the wider range B₀ is another one. `elastic`: matcalc has 24 strains of up to 6 % in shear, with clamped
ions; MIRA has those of 0.5 and 1 % that symmetry leaves, and relaxes ions in each; compared is the modulus of clamped
ions. `phonons`: matcalc repeats the given cell until its edges are long enough, MIRA takes the smallest supercell whose
images are as far apart, and computes it at rest too; none is compared where modes are imaginary. `md`: the same steps.

The ratios of CHGNet: of small cells, single evaluations by its package take 50 ms, batches 13 ms a crystal, a gain
of 4 (with SevenNet-0 it is 5 to 6), and these are two thirds of MIRA's time; of cells of hundreds of atoms, as
matcalc's for `phonons` are (KMgF3: 320), its package takes many seconds. Of 397 evaluations for `elastic`, 130 relax
ions in strained cells, which matcalc leaves out; of 259 for `eos`, 48 relax shapes that matcalc takes as they are, as
its threshold is 0.1 eV/Å.
"""


def main() -> None:
    asked = arguments()
    rows, notes = [], []
    with tempfile.TemporaryDirectory(prefix="mira-bench-") as scratch:
        for task, model in itertools.product(asked.tasks, asked.models):
            found = compared(model, task, chosen(asked, task), Path(scratch), asked)
            rows.append(row_of(model, task, found))
            notes.append(agreement(model, task, found))
            print(rows[-1], notes[-1], sep="\n", flush=True)
            # what an interrupted run has, it keeps
            parts = (head(asked) + "\n".join(rows), "\n".join(filter(None, notes)), DIFFERENCES)
            write_section("properties", "Properties", "\n\n".join(parts))


def head(asked: argparse.Namespace) -> str:
    """What was asked, and the head of the table."""
    return (
        f"Known crystals of up to {MOST_ATOMS} atoms (`md`: cells of about {MD_ATOMS}), {cpu()}, {asked.threads} "
        f"thread{'s' if asked.threads > 1 else ''}; ratios are medians of {asked.portions} "
        f"portion{'s, and their range' if asked.portions > 1 else ''}.\n\n"
        "| model | task | crystals | matcalc 0.7.0, CPU s | MIRA's worker, CPU s | matcalc ÷ MIRA, CPU | answers |\n"
        "|---|---|---:|---:|---:|---:|---:|\n"
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--structures", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--models", type=lambda text: text.split(","), default=["sevennet-0", "chgnet-0.3.0"])
    parser.add_argument("--tasks", type=lambda text: text.split(","), default=list(SETTINGS))
    parser.add_argument("--portions", type=int, default=1, help="turns of each way, with a part of the structures each")
    parser.add_argument("--threads", type=int, default=cores())
    asked = parser.parse_args()
    if unknown := {*asked.models} - {*MODELS} | {*asked.tasks} - {*SETTINGS}:
        parser.error(f"not known here: {', '.join(unknown)}")
    return asked


def chosen(asked: argparse.Namespace, task: str) -> list[Atoms]:
    """Known crystals, the same ones for a seed; repeated for `md`, with atoms off their places."""
    random = np.random.default_rng(asked.seed)
    known = {name: atoms for name, atoms in prototypes().items() if len(atoms) <= MOST_ATOMS}
    found = []
    n_structures = min(asked.structures, MOST_STRUCTURES.get(task, asked.structures))
    for name in random.permutation(list(known))[:n_structures]:
        atoms = known[str(name)].copy()
        if task == "md":
            n = max(1, round((MD_ATOMS / len(atoms)) ** (1 / 3)))
            atoms = atoms.repeat(n)
            atoms.rattle(0.02, rng=random)
        atoms.set_initial_magnetic_moments(None)
        for key in set(atoms.arrays) - {"numbers", "positions"}:
            del atoms.arrays[key]
        atoms.info = {"name": str(name)}
        found.append(atoms)
    return found


def compared(
    model: str, task: str, structures: list[Atoms], folder: Path, asked: argparse.Namespace
) -> dict[str, list[dict[str, Any]]]:
    """Way -> what each portion took, and its numbers."""
    image = MODELS[model][2]
    interpreters = dict(zip(WAYS, (matcalc_environment(), pythons([image])[image]), strict=True))
    twin = tasks.find_task(task)
    (folder / "asked.json").write_text(json.dumps(tasks.asked(twin, twin.settings.model_validate(SETTINGS[task]))))
    (folder / "model.json").write_text(json.dumps(model_row(model)))
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for turn in range(asked.portions):
        write(folder / "portion.extxyz", structures[turn :: asked.portions])
        for way in WAYS[:: 1 if turn % 2 else -1]:
            files = [folder / name for name in ("model.json", "asked.json", "portion.extxyz", "out.json")]
            timed([interpreters[way], HERE / "properties_ways.py", way, task, *files, asked.threads], folder)
            found[way].append(json.loads((folder / "out.json").read_text()))
    return found


def row_of(model: str, task: str, found: dict[str, list[dict[str, Any]]]) -> str:
    """A line of Markdown."""
    theirs, ours = ([one["cpu_s"] for one in found[way]] for way in WAYS)
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    answers = [f"{sum(x is not None for one in found[way] for x in one['numbers'])}" for way in WAYS]
    n = sum(len(one["numbers"]) for one in found[WAYS[0]])
    scatter = f" ({min(ratios):.2f}–{max(ratios):.2f})" if len(ratios) > 1 else ""
    return (
        f"| {model} | {task} | {n} | {sum(theirs):.1f} | {sum(ours):.1f} | {statistics.median(ratios):.2f}{scatter} "
        f"| {answers[0]}; {answers[1]} |"
    )


def agreement(model: str, task: str, found: dict[str, list[dict[str, Any]]]) -> str:
    """How far the numbers of both ways are apart, in per cent; nothing where they are of trajectories."""
    if task == "md":
        return ""
    theirs, ours = ([x for one in found[way] for x in one["numbers"]] for way in WAYS)
    apart = [100 * abs(a / b - 1) for a, b in zip(theirs, ours, strict=True) if a and b and math.isfinite(a)]
    if not apart:
        return f"* {model}, {task}: no number of both."
    return f"* {model}, {task}: apart by {statistics.median(apart):.2g} % (median), at most {max(apart):.2g} %."


def matcalc_environment() -> Path:
    """Return the interpreter of matcalc's environment; made once, by hard links from uv's cache."""
    place = paths.cache_dir() / "benchmarks" / f"matcalc-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    python = place / "bin" / "python"
    if (place / "complete").exists():
        return python
    shutil.rmtree(place, ignore_errors=True)
    program, base = uv.find_uv_bin(), pythons(["fairchem-sevennet"])["fairchem-sevennet"]
    subprocess.run([program, "venv", "--quiet", "--python", base, place], check=True)
    sync = [program, "pip", "sync", "--quiet", "--compile-bytecode", "--python", python, LOCK]
    subprocess.run(sync, check=True)
    (place / "complete").touch()
    print(f"{place}: made", file=sys.stderr)
    return python


if __name__ == "__main__":
    main()
