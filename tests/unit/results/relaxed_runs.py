"""Runs of relaxations whose records are written here."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write

from mira_cli import tasks
from mira_cli.catalogue.rows import slug
from mira_cli.files import write_json
from mira_cli.run.directory import RunDirectory, open_run
from mira_cli.structures.find import find_sources
from mira_cli.structures.packs import load_structures

RELAX = tasks.find_task("relax")
ASKED = tasks.asked(RELAX, RELAX.settings())


@dataclass
class End:
    """Where a model ended, as its record says it."""

    atoms: Atoms
    energy: float = -1.0
    status: str = "ok"
    error: str | None = None
    values: dict = field(default_factory=dict)


def relaxed_run(
    folder: Path,
    starts: Sequence[Atoms],
    ends: Mapping[str, Sequence[End | None]],
    *,
    theory: Mapping[str, str] | None = None,
    reference: Sequence[Atoms] | None = None,
    suffix: str = "extxyz",
) -> RunDirectory:
    """A run that is over but not collected; None: the model has failed."""
    (folder / "in").mkdir(parents=True)
    write(folder / "in" / f"in.{suffix}", list(starts))
    run = open_run(folder / "run")
    index = load_structures(run.structures, find_sources([str(folder / "in")]).sources, moves_atoms=True)
    models = []
    for model, given in ends.items():
        row = {"title": model, "family": "ase_builtin", "checkpoint": {"bundled": "emt"}}
        if theory and model in theory:
            row |= {"level_of_theory": theory[model], "dispersion": "none", "training_data": ["one"]}
            row |= {"energy_correction": "none"}
        models.append({"name": model, "slug": slug(model), "key": "key", "image": "i", "package": "p==1"})
        models[-1] |= {"dtype": "float64", "row": row}
        _write_records(run.records(slug(model), "key") / "job", index.column("hash"), given)
    wanted = {"models": models, "structures": index.sources, "task": ASKED}
    if reference is not None:
        write(folder / "reference.extxyz", list(reference))
        found = find_sources([str(folder / "reference.extxyz")]).sources
        wanted["reference"] = load_structures(run.reference, found).sources
    write_json(run.wanted, wanted)
    return run


def _write_records(job: Path, hashes: Sequence[str], given: Sequence[End | None]) -> None:
    job.mkdir(parents=True)
    lines, rows = ['{"kind": "attempt"}'], dict.fromkeys(RELAX.arrays, 0)
    arrays = {name: [np.zeros((0, 3))] for name in RELAX.arrays}
    for digest, end in zip(hashes, given, strict=True):
        record = {"kind": "record", "structure": digest, "status": "failed", "error": "no", "n_atoms": 1}
        record |= dict.fromkeys(RELAX.values) | {f"{name}_row": None for name in RELAX.arrays}
        record |= {"wall_s": 0.1, "batch_size": 1}
        if end is not None:
            own = {
                "positions": end.atoms.positions,
                "cell": end.atoms.cell.array,
                "forces": 0.001 * end.atoms.positions,
            }
            record |= {"status": end.status, "error": end.error, "n_atoms": len(end.atoms), "energy_ev": end.energy}
            record |= {"start_energy_ev": end.energy + 0.1, "enthalpy_ev": end.energy, "fmax_ev_per_ang": 0.004}
            record |= {"smax_gpa": 0.01, "n_steps": 7, "n_evaluations": 8, "stopped_by": "converged"}
            record |= {"cell_relaxed": "full", "max_displacement_ang": 0.2, "n_fixed": 0}
            record |= {"stress_ev_per_ang3": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6] if end.atoms.pbc.all() else None}
            record |= end.values
            for name, array in own.items():
                record[f"{name}_row"] = rows[name]
                rows[name] += len(array)
                arrays[name].append(array)
        lines.append(json.dumps(record))
    (job / "records.jsonl").write_text("".join(f"{line}\n" for line in lines))
    for name, pieces in arrays.items():
        np.concatenate(pieces).tofile(job / f"{name}.f64")
