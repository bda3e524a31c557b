"""Runs in a family's image: MIRA's worker and the family's own ASE calculator on the same structures.

Called with a model's part of JOB.json and a file for the findings; the current folder becomes a run directory.
It only reports; what is good enough is said in the tests.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "workflow"), str(REPOSITORY / "tests/unit")]

# for central differences of fourth order; smaller steps lose single precision, larger ones CHGNet's kinks
STEP_ANG = 0.01
STRAIN = 0.0015


def structures() -> dict[str, tuple]:
    """Return by name what MIRA is given, and the same physics in a form that no calculator gets wrong."""
    from ase import Atoms
    from ase.build import bulk, fcc111, molecule

    def rattled(atoms, seed=1):
        atoms.rattle(0.06, seed=seed)
        return atoms

    def boxed(atoms, length=22.0):
        box = Atoms(atoms.numbers, atoms.positions, cell=[length] * 3, pbc=True)
        box.center()
        return box

    def changed(atoms, **changes):
        copy = atoms.copy()
        for name, value in changes.items():
            setattr(copy, name, value)
        return copy

    salt = rattled(bulk("NaCl", "rocksalt", a=5.5, cubic=True))
    strained = rattled(bulk("Cu", cubic=True), 2)
    strained.set_cell(strained.cell.array @ [[1.02, 0.03, 0], [0, 0.98, 0.05], [0.01, 0, 1.01]], scale_atoms=True)
    iron_oxide = rattled(bulk("FeO", "rocksalt", a=4.3) * (2, 1, 1), 3)
    silicon = rattled(bulk("Si", cubic=True), 4)
    slab = rattled(fcc111("Pt", (1, 1, 4), vacuum=9.0, periodic=True), 5)
    tight = changed(slab, pbc=(True, True, False))
    tight.cell[2] = [0, 0, 1.0]
    wire = rattled(Atoms("Au4", [[0, 0, 0], [2.6, 0.4, 0], [5.2, 0, 0.3], [7.8, 0.3, 0]]), 6)
    wire.set_cell([10.4, 20, 20])
    wire.pbc = True
    water, hydrogen, single = molecule("H2O"), molecule("H2"), Atoms("Ni")
    skew = np.array([[1, 0, 0], [2, 1, 0], [-1, 3, 1]])
    far = changed(salt, positions=salt.positions + [[300], [-700], [0], [11]] * 2 @ salt.cell.array[:1] * 1.0)
    return {
        "salt": (salt, salt),
        "strained copper": (strained, strained),
        "iron oxide": (iron_oxide, iron_oxide),
        "silicon": (silicon, silicon),
        "left-handed": (changed(strained, cell=strained.cell.array[[1, 0, 2]]), strained),
        "skewed": (changed(salt, cell=skew @ salt.cell.array), salt),
        "unwrapped by hundreds of cells": (far, salt),
        "slab": (tight, slab),
        "wire": (changed(wire, pbc=(True, False, False), cell=[10.4, 0, 0]), wire),
        "water": (changed(water, positions=water.positions - 9e3), boxed(water)),
        "hydrogen": (hydrogen, boxed(hydrogen)),
        "isolated atom": (single, boxed(single)),
    }


def troublemakers() -> dict:
    """Return by name what must not get a number."""
    from ase import Atoms
    from ase.build import bulk

    coincident = bulk("Cu", cubic=True)
    coincident.positions[1] = coincident.positions[0]
    return {
        "americium": bulk("Am", "fcc", a=4.9),
        "ytterbium": bulk("Yb", "fcc", a=5.5),
        "polonium": bulk("Po", "sc", a=3.3),
        "coincident atoms": coincident,
        "no atoms": Atoms(cell=[4, 4, 4], pbc=True),
        "flat cell": Atoms("Cu", cell=[3, 3, 0], pbc=True),
        "charged": Atoms("Na", info={"charge": 1.0}),
    }


def own_calculator(model: dict):
    """Return the family's own calculator, loaded as its manual says."""
    name = model["checkpoint"]["bundled"]
    if model["family"] == "sevennet":
        from sevenn.calculator import SevenNetCalculator

        return SevenNetCalculator(name, device="cpu", modal=model["options"].get("modal"))
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    network = CHGNet.load(model_name=name, use_device="cpu", verbose=False)
    return CHGNetCalculator(network, use_device="cpu", on_isolated_atoms="ignore")


def answers(calculator, atoms) -> dict:
    """Ask an ASE calculator."""
    atoms = atoms.copy()
    atoms.calc = calculator
    return {
        "energy_ev": float(atoms.get_potential_energy()),
        "forces": atoms.get_forces().astype(float).tolist(),
        "stress_ev_per_ang3": atoms.get_stress().astype(float).tolist(),
    }


def gradients(potential) -> dict:
    """Compare forces and stress with differences of the energy, along random directions and all strains."""
    from ase.build import bulk
    from ase.stress import voigt_6_to_full_3x3_stress

    from worker.prepare import prepare

    atoms = bulk("NaCl", "rocksalt", a=5.4) * (2, 1, 1)
    atoms.rattle(0.15, seed=7)
    atoms = prepare(atoms, potential.cutoff_ang).atoms
    (result,) = potential.evaluate([atoms])
    rng = np.random.default_rng(0)

    def slope(change, step: float) -> float:
        ends = [change(sign * step) for sign in (-2, -1, 1, 2)]
        e = [potential.evaluate([end])[0].energy_ev for end in ends]
        return (e[0] - 8 * e[1] + 8 * e[2] - e[3]) / (12 * step)

    forces = []
    for _ in range(4):
        direction = rng.normal(size=(len(atoms), 3))
        direction /= np.linalg.norm(direction)

        def moved(step, direction=direction):
            copy = atoms.copy()
            copy.positions += step * direction
            return copy

        analytic = -float((result.forces_ev_per_ang * direction).sum())
        forces.append([analytic, slope(moved, STEP_ANG)])
    stresses = []
    for i in range(6):
        strain = voigt_6_to_full_3x3_stress(np.eye(6)[i] * (1 if i < 3 else 0.5))

        def strained(step, strain=strain):
            copy = atoms.copy()
            copy.set_cell(copy.cell.array @ (np.eye(3) + step * strain), scale_atoms=True)
            return copy

        stresses.append([float(result.stress_ev_per_ang3[i]), slope(strained, STRAIN) / atoms.get_volume()])
    return {"forces": forces, "stress": stresses}


def alone_and_together(potential, given: list) -> dict:
    """Compare each structure's answer alone with its answer in one batch of all."""
    from worker.prepare import prepare

    batch = [prepare(atoms, potential.cutoff_ang).atoms for atoms in given]
    together, alone = potential.evaluate(batch), [potential.evaluate([atoms])[0] for atoms in batch]
    pairs = list(zip(together, alone, batch, strict=True))
    return {
        "energy_per_atom_ev": [abs(t.energy_ev - a.energy_ev) / len(s) for t, a, s in pairs],
        "forces_ev_per_ang": [float(np.abs(t.forces_ev_per_ang - a.forces_ev_per_ang).max()) for t, a, _ in pairs],
        "stress_ev_per_ang3": [float(np.abs(t.stress_ev_per_ang3 - a.stress_ev_per_ang3).max()) for t, a, _ in pairs],
    }


def unreachable() -> list[str]:
    """Try to reach the world, and return how that failed."""
    failures = []
    for address in (("192.0.2.1", 80), ("example.org", 80)):
        try:
            socket.create_connection(address, timeout=5).close()
        except OSError as error:
            failures.append(f"{type(error).__name__}: {error}")
    return failures


def main(model_file: str, findings_file: str | Path) -> None:
    """Run everything for one model in this one process."""
    import worker.__main__ as worker

    model, findings_file = json.loads(Path(model_file).read_text()), Path(findings_file).resolve()
    from worker import isolation

    isolation.set_environment(1, in_container=False)  # before numpy's and torch's threads are used
    network = isolation.leave_network()
    from worker_jobs import hash_of, read_lines, read_records, write_job

    here, given, trouble = Path.cwd(), structures(), troublemakers()
    write_job(here, [*(mira for mira, _ in given.values()), *trouble.values()], model=model)
    code = worker.main(["job.json", "--records", "records", "--done", "done.json", "--threads", "1"])
    records = read_records(here)
    named = {name: records[hash_of(i)] for i, name in enumerate([*given, *trouble])}
    for record in named.values():
        record["forces"] = record["forces"].tolist() if "forces" in record else None

    calculator = own_calculator(model)
    from worker.families import find
    from worker.job import read_job
    from worker.prepare import prepare

    potential = find(model["family"]).load(read_job(here / "job.json").model, "cpu", "float32")
    findings = {
        "code": code,
        "network": network,
        "unreachable": unreachable(),
        "attempt": read_lines(here, "attempt")[0],
        "records": named,
        "own": {name: answers(calculator, same) for name, (_, same) in given.items()},
        "gradients": gradients(potential),
        "alone_and_together": alone_and_together(potential, [mira for mira, _ in given.values()]),
        "stepping": answers(potential.calculator(), prepare(given["salt"][0], potential.cutoff_ang).atoms),
        "elements": sorted(potential.elements),
    }
    findings_file.write_text(json.dumps(findings))


if __name__ == "__main__":
    main(*sys.argv[1:])
