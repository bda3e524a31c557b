"""Runs in a family's image: relaxations by MIRA's worker, and by what the package's manual says.

`relaxed.py MODEL.json FOUND.json`: what each made of a few strained and rattled crystals. The current folder holds what
is written.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "workflow"), str(HERE.parents[1])]
SETTINGS = {
    "cell": "full", "pressure_gpa": 0.0, "symmetry": "free", "fmax_ev_per_ang": 0.005, "smax_gpa": 0.02,
    "max_steps": 300, "optimizer": "lbfgs", "keep": "last",
}  # fmt: skip
THEIR_FMAX = 0.003  # of forces, and of the rows that stand for the cell


def crystals() -> dict:
    """A metal, a semiconductor, a salt and an oxide."""
    import numpy as np
    from ase.build import bulk

    found = {
        "Cu": bulk("Cu", a=3.6, cubic=True),
        "Si": bulk("Si", a=5.5),
        "NaCl": bulk("NaCl", "rocksalt", a=5.6),
        "ZnO": bulk("ZnO", "wurtzite", a=3.25, c=5.2),
    }
    random = np.random.default_rng(5)
    for atoms in found.values():
        atoms.rattle(0.05, rng=random)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + random.normal(0, 0.01, (3, 3))), scale_atoms=True)
    return found


def by_worker(model: dict, structures: list) -> list[dict]:
    """Energy, volume, largest force and stress left, by a job of MIRA's worker and by the package at its geometry."""
    import numpy as np

    import worker.__main__ as worker
    from tests.unit.worker.jobs import hash_of, read_records, write_job

    folder = Path.cwd()  # the worker goes elsewhere
    write_job(folder, structures, model=model, task={"name": "relax", "settings": SETTINGS, "version": 1})
    assert worker.main(["job.json", "--records", "records", "--done", "done.json", "--threads", "1"]) == 0
    records = read_records(folder)
    places, cells = (np.fromfile(folder / f"records/{name}.f64").reshape(-1, 3) for name in ("positions", "cell"))
    found = []
    for k, start in enumerate(structures):
        record, end = records[hash_of(k)], start.copy()
        end.cell[:] = cells[record["cell_row"] :][:3]
        end.positions[:] = places[record["positions_row"] :][: len(start)]
        end.calc = calculator(model)
        told = {name: record[name] for name in ("status", "n_atoms", "n_evaluations")}
        found.append(told | {"volume_ang3": end.get_volume(), **left(end)})
    return found


def calculator(model: dict):
    """The package's own calculator."""
    if model["family"] == "sevennet":
        from sevenn.calculator import SevenNetCalculator

        return SevenNetCalculator(model["checkpoint"]["bundled"], device="cpu")
    from chgnet.model.dynamics import CHGNetCalculator

    return CHGNetCalculator(use_device="cpu")


def left(atoms) -> dict:
    """Energy, and largest force and stress, of a structure with a calculator."""
    import numpy as np
    from ase.units import GPa

    fmax = np.linalg.norm(atoms.get_forces(), axis=1).max()
    return {
        "energy_ev": float(atoms.get_potential_energy()),
        "fmax_ev_per_ang": float(fmax),
        "smax_gpa": float(np.abs(atoms.get_stress()).max() / GPa),
    }


def by_package(model: dict, structures: list) -> list[dict]:
    """Energy and volume by CHGNet's `StructOptimizer`, or by ASE with SevenNet's calculator."""
    if model["family"] == "chgnet":
        from chgnet.model.dynamics import StructOptimizer
        from pymatgen.io.ase import AseAtomsAdaptor

        relaxer, ends = StructOptimizer(use_device="cpu"), []
        for start in structures:
            given = AseAtomsAdaptor.get_structure(start)
            ended = relaxer.relax(given, fmax=THEIR_FMAX, steps=500, verbose=False)
            ends.append(AseAtomsAdaptor.get_atoms(ended["final_structure"]))
    else:
        from ase.filters import FrechetCellFilter
        from ase.optimize import BFGS

        ends = [start.copy() for start in structures]
        for end in ends:
            end.calc = calculator(model)
            BFGS(FrechetCellFilter(end), logfile=None).run(fmax=THEIR_FMAX, steps=500)
    for end in ends:
        end.calc = calculator(model)
    return [{"volume_ang3": end.get_volume(), **left(end)} for end in ends]


def main() -> None:
    model_file, out = sys.argv[1:]
    model, given = json.loads(Path(model_file).read_text()), crystals()
    result = Path(out).absolute()
    ours = by_worker(model, list(given.values()))
    theirs = by_package(model, list(given.values()))
    found = {name: {"ours": a, "theirs": b} for name, a, b in zip(given, ours, theirs, strict=True)}
    result.write_text(json.dumps(found, default=float))


if __name__ == "__main__":
    main()
