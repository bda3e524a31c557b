"""Jobs for the worker as the planner writes them, and a way to run it. Numpy and ASE only: images use it too."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

WORKFLOW = Path(__file__).resolve().parents[3] / "workflow"


def hash_of(index: int) -> str:
    return hashlib.sha256(str(index).encode()).hexdigest()[:32]


def write_pack(file: Path, structures: list) -> list[str]:
    """Write a pack; the hashes stand for the order of the structures only."""
    hashes = [hash_of(i) for i in range(len(structures))]
    np.savez(
        file,
        hash=np.array(hashes, dtype="S32"),
        natoms=np.array([len(a) for a in structures], dtype=np.int32),
        numbers=np.concatenate([a.numbers for a in structures] or [[]]).astype(np.int16),
        positions=np.concatenate([a.positions for a in structures] or [np.zeros((0, 3))]),
        cell=np.array([np.asarray(a.cell) for a in structures], dtype=float).reshape(-1, 3, 3),
        pbc=np.array([a.pbc for a in structures], dtype=bool).reshape(-1, 3),
        charge=np.array([a.info.get("charge", np.nan) for a in structures], dtype=float),
        spin=np.array([a.info.get("spin", np.nan) for a in structures], dtype=float),
    )
    return hashes


def write_job(folder: Path, structures: list, /, *, model: dict | None = None, **changes) -> list[str]:
    """Write job.json and its pack into a run directory, for `emt` if nothing else is said."""
    (folder / "work").mkdir(exist_ok=True)
    hashes = write_pack(folder / "work/00000.npz", structures)
    emt = {
        "name": "emt",
        "family": "ase_builtin",
        "checkpoint": {"bundled": "emt"},
        "options": {},
        "dtype": "float64",
        "elements": None,
        "stress": True,
    }
    job = {
        "schema": 1,
        "job": "ab12",
        "model": emt | (model or {}),
        "model_key": "cd34",
        "task": {"name": "singlepoint", "settings": {}},
        "device": "cpu",
        "gpus": [],
        "batch_atoms": None,
        "image": {"name": "host", "recipe": "none", "runtime": "host"},
        "structures": [{"file": "work/00000.npz", "rows": list(range(len(structures)))}],
    } | changes
    (folder / "job.json").write_text(json.dumps(job))
    return hashes


def one_step(structure) -> list:
    """The only step of a structure, as a single point has it, with atoms of no meaning."""
    from ase import Atoms

    from worker.story import Step, Story

    return [Step(Story(structure, iter(())), 0, Atoms(f"H{structure.n_atoms}"))]


def faulty(**options) -> dict:
    return {"name": "faulty", "checkpoint": {"bundled": "faulty"}, "options": options}


def start_worker(folder: Path, *more: str, python: str = sys.executable, **popen) -> subprocess.Popen:
    """Start the worker in a run directory."""
    command = [python, "-m", "worker", "job.json", "--records", "records", "--done", "done.json", *more]
    environment = {**os.environ, "PYTHONPATH": str(WORKFLOW), **popen.pop("env", {})}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **popen
    )


def run_worker(folder: Path, *more: str, timeout_s: float = 120, **popen) -> subprocess.CompletedProcess:
    """Run the worker to its end."""
    process = start_worker(folder, *more, **popen)
    out, err = process.communicate(timeout=timeout_s)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def read_lines(folder: Path, kind: str = "record") -> list[dict]:
    """Return the lines of a kind from records.jsonl, in order."""
    log = folder / "records/records.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [line for line in lines if line["kind"] == kind]


def read_records(folder: Path) -> dict[str, dict]:
    """Return the records by hash, with their forces; fail if a structure has two."""
    rows = np.fromfile(folder / "records/forces.f64", dtype="<f8").reshape(-1, 3)
    records: dict[str, dict] = {}
    for record in read_lines(folder):
        assert record["structure"] not in records, "a structure has two records"
        if (row := record["forces_row"]) is not None:
            record["forces"] = rows[row : row + record["n_atoms"]]
        records[record["structure"]] = record
    return records
