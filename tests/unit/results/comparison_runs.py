"""Runs whose records are written here, for tests of what is made of them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write

from mira_cli.catalogue.rows import slug
from mira_cli.files import write_json
from mira_cli.run.directory import RunDirectory, open_run
from mira_cli.structures.find import find_sources
from mira_cli.structures.packs import load_structures

Answer = tuple[float, np.ndarray] | tuple[float, np.ndarray, list[float]] | None  # energy, forces, stress; None: failed


def made_run(
    folder: Path,
    frames: Sequence[Atoms],
    answers: Mapping[str, Sequence[Answer]],
    *,
    theory: Mapping[str, str] | None = None,
    name: str = "in.extxyz",
) -> RunDirectory:
    """A run that is over but not collected: what each model says of each structure; `theory` by model."""
    (folder / "in").mkdir(parents=True)
    write(folder / "in" / name, list(frames))
    run = open_run(folder / "run")
    index = load_structures(run.structures, find_sources([str(folder / "in")]).sources)
    models = []
    for model, given in answers.items():
        row = {"title": model, "family": "ase_builtin", "checkpoint": {"bundled": "emt"}}
        if theory and model in theory:
            row |= {"level_of_theory": theory[model], "dispersion": "none"}
        models.append({"name": model, "slug": slug(model), "key": "key", "image": "i", "package": "p==1"})
        models[-1] |= {"dtype": "float64", "row": row}
        _write_records(run.records(slug(model), "key") / "job", index.column("hash"), given)
    write_json(run.wanted, {"models": models, "structures": index.sources})
    return run


def _write_records(job: Path, hashes: Sequence[str], given: Sequence[Answer]) -> None:
    job.mkdir(parents=True)
    forces, lines, start = [np.zeros((0, 3))], ['{"kind": "attempt"}'], 0
    for digest, answer in zip(hashes, given, strict=True):
        record = {"kind": "record", "structure": digest, "status": "failed", "error": "no", "energy_ev": None}
        record |= {"stress_ev_per_ang3": None, "n_atoms": 1, "forces_row": None, "wall_s": 0.1, "batch_size": 1}
        if answer is not None:
            own = np.asarray(answer[1], float)
            record |= {"status": "ok", "error": None, "energy_ev": answer[0], "n_atoms": len(own), "forces_row": start}
            record |= {"stress_ev_per_ang3": answer[2] if len(answer) > 2 else None}
            forces.append(own)
            start += len(own)
        lines.append(json.dumps(record))
    (job / "records.jsonl").write_text("".join(f"{line}\n" for line in lines))
    np.concatenate(forces).tofile(job / "forces.f64")
