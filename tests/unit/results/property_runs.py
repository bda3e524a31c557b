"""Runs of tasks that give properties, whose records are written here."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.eos import birchmurnaghan
from ase.io import write
from ase.units import GPa

from mira_cli import tasks
from mira_cli.catalogue.rows import slug
from mira_cli.driver.collect import collect
from mira_cli.files import write_json
from mira_cli.run.directory import RunDirectory, open_run
from mira_cli.structures.find import find_sources
from mira_cli.structures.packs import load_structures
from worker.contract import Outcome
from worker.properties.elasticity import averages, smallest_eigenvalue
from worker.tasks.elastic import MODULI

METALS = ("Cu", "Ni", "Al", "Ag", "Au")
WIEN2K = (
    (11.951, 141.3, 4.86),
    (10.888, 200.4, 5.0),
    (16.480, 78.1, 4.57),
    (17.847, 90.1, 5.42),
    (17.974, 139.1, 5.76),
)
ERRORS = {"a": (1.0, 1.02, 0.98), "b": (1.03, 0.9, 1.1), "c": (0.97, 1.2, 1.0)}  # of volume, modulus and derivative
NO_MINIMUM = "the lowest energy is at the largest volume of the range"


def property_run(
    folder: Path,
    name: str,
    said: Mapping[str, Sequence[Outcome | None]],
    sheet: Mapping[str, Sequence[object]] | None = None,
) -> RunDirectory:
    """A collected run of a task on metals; None: the model has failed. `sheet` has columns of references."""
    (folder / "in").mkdir(parents=True)
    task = tasks.find_task(name)
    number = max(map(len, said.values()))
    rows = {"structure_path": [f"{metal}.cif" for metal in METALS[:number]], **(sheet or {})}
    for metal in METALS[:number]:
        write(folder / "in" / f"{metal}.cif", bulk(metal, cubic=True))
    with (folder / "in" / "sheet.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([list(rows), *zip(*rows.values(), strict=True)])
    run = open_run(folder / "run")
    found = find_sources([str(folder / "in" / "sheet.csv")]).sources
    index = load_structures(run.structures, found, moves_atoms=task.moves_atoms)
    models = []
    for model, outcomes in said.items():
        row = {"title": model, "family": "ase_builtin", "checkpoint": {"bundled": "emt"}}
        models.append({"name": model, "slug": slug(model), "key": "key", "image": "i", "package": "p==1"})
        models[-1] |= {"dtype": "float64", "row": row}
        _write_records(run.records(slug(model), "key") / "job", task, index.column("hash"), outcomes)
    asked = tasks.asked(task, task.settings())
    write_json(run.wanted, {"models": models, "structures": index.sources, "task": asked})
    collect(run)
    return run


def _write_records(job: Path, task: tasks.Task, hashes: Sequence[str], outcomes: Sequence[Outcome | None]) -> None:
    job.mkdir(parents=True)
    lines, numbers = ['{"kind": "attempt"}'], {name: [np.zeros(0)] for name in task.arrays}
    ends = dict.fromkeys(task.arrays, 0)
    for digest, outcome in zip(hashes, outcomes, strict=True):
        record = {"kind": "record", "structure": digest, "status": "failed", "error": "no", "n_atoms": 4}
        record |= dict.fromkeys(task.values) | {f"{name}_row": None for name in task.arrays}
        record |= {f"{name}_frames": None for name, layout in task.arrays.items() if layout.frames}
        record |= {"wall_s": 0.1, "batch_size": 1}
        if outcome is not None:
            record |= {"status": outcome.status, "error": outcome.error, **outcome.values}
            for name, array in outcome.arrays.items():
                layout = task.arrays[name]
                record[f"{name}_row"] = ends[name]
                if layout.frames:
                    record[f"{name}_frames"] = array.size // (layout.width * layout.count(4))
                ends[name] += array.size // layout.width
                numbers[name].append(array.ravel())
        lines.append(json.dumps(record))
    (job / "records.jsonl").write_text("".join(f"{line}\n" for line in lines))
    for name, pieces in numbers.items():
        np.concatenate(pieces).tofile(job / f"{name}.f64")


def eos_run(folder: Path) -> RunDirectory:
    """Three models and references; a curve of one is none, and one failed."""
    said: dict[str, list[Outcome | None]] = {
        model: [eos_of(*(np.array(one) * factors)) for one in WIEN2K] for model, factors in ERRORS.items()
    }
    good = said["b"][1]
    assert good is not None
    points = {"n_points": 7, "n_evaluations": 7, "space_group": "Fm-3m (225)"}
    said["b"][1] = Outcome("invalid_result", NO_MINIMUM, points, good.arrays)
    said["c"][2] = None
    names = ("volume_per_atom_ang3", "bulk_modulus_gpa", "bulk_modulus_derivative")
    sheet = {
        f"reference_{name}": [*column[:4], ""] for name, column in zip(names, zip(*WIEN2K, strict=True), strict=True)
    }
    return property_run(folder, "eos", said, sheet)


def elastic_run(folder: Path) -> RunDirectory:
    """Two models, without references; one crystal of one is unstable, and a result is none."""
    return property_run(
        folder,
        "elastic",
        {
            "a": [elastic_of(170.0, 120.0, 75.0), elastic_of(250.0, 150.0, 120.0)],
            "b": [elastic_of(110.0, 120.0, 75.0), Outcome("invalid_result", "C is not symmetric: by 7 %")],
        },
    )


def elastic_of(c11: float, c12: float, c44: float) -> Outcome:
    """What the story `elastic` returns of a cubic crystal."""
    c = np.diag([*[c11 - c12] * 3, *[c44] * 3])
    c[:3, :3] += c12
    smallest = smallest_eigenvalue(c)
    values = dict(zip(MODULI, averages(c), strict=True)) | {
        "clamped_bulk_modulus_gpa": 100.0, "clamped_shear_modulus_gpa": 50.0, "smallest_eigenvalue_gpa": smallest,
        "is_stable": smallest > 0, "asymmetry_gpa": 0.01, "nonlinearity_gpa": 0.3, "symmetrized_by_gpa": 0.02,
        "residual_stress_gpa": 0.001, "n_evaluations": 25, "space_group": "Fm-3m (225)",
    }  # fmt: skip
    return Outcome("ok", None, values, {"stiffness_gpa": c, "clamped_stiffness_gpa": 1.1 * c})


def eos_of(volume: float, modulus: float, derivative: float, energy: float = -3.0) -> Outcome:
    """What the story `eos` returns of such a crystal."""
    volumes = np.linspace(0.94, 1.06, 7) * volume
    energies = birchmurnaghan(volumes, energy, modulus * GPa, derivative, volume)
    pressures = -np.gradient(energies, volumes, edge_order=2) / GPa
    values = {
        "v0_per_atom_ang3": volume, "e0_per_atom_ev": energy, "bulk_modulus_gpa": modulus,
        "bulk_modulus_derivative": derivative, "bulk_modulus_from_pressure_gpa": 1.01 * modulus,
        "bulk_modulus_spread_gpa": 0.3, "fit_rms_per_atom_ev": 1e-5, "n_points": 7, "n_evaluations": 7,
        "space_group": "Fm-3m (225)",
    }  # fmt: skip
    curves = ("curve_volume_per_atom_ang3", "curve_energy_per_atom_ev", "curve_pressure_gpa")
    return Outcome("ok", None, values, dict(zip(curves, (volumes, energies, pressures), strict=True)))


def phonons_of(lowest_thz: float) -> Outcome:
    """What the story `phonons` returns of a crystal with such a lowest frequency, and without curves."""
    zeros = {"real": 0.0, "whole": 1, "text": "x", "flag": True, "reals": [0.0]}
    values = {name: zeros[value.kind] for name, value in tasks.find_task("phonons").values.items() if value.needed}
    return Outcome("ok", None, values | {"lowest_frequency_thz": lowest_thz, "is_stable": lowest_thz > -0.1}, {})
