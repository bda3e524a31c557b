"""Toy tasks, a model whose answers say what it was asked, and the loop around them."""

from threading import Event

import numpy as np
import pytest
from ase import Atoms

from tests.unit.worker.jobs import hash_of, read_records, write_pack
from worker.batching import Budget
from worker.contract import Layout, Outcome
from worker.evaluate import evaluate_all
from worker.families.base import Result
from worker.job import Checkpoint, Model, PackRows
from worker.journal import Journal
from worker.records import RecordFiles
from worker.structures import read_structures

VALUES, ARRAYS = ("energy_ev", "evaluations"), {"forces": Layout(), "means": Layout(width=1, rows=2)}


class Potential:
    """Answers with what only the configuration knows: its energy is the sum of x, its forces are its positions."""

    cutoff_ang, elements, takes_charge, checkpoint_sha256, gives_stress = 1.0, None, False, None, True

    def __init__(self, capacity=10**9, misbehave=lambda batch: None):
        self.capacity, self.misbehave, self.batches = capacity, misbehave, []

    def evaluate(self, batch):
        self.batches.append([len(atoms) for atoms in batch])
        if sum(self.batches[-1]) > self.capacity:
            raise MemoryError("out of memory")
        self.misbehave(batch)
        return [Result(_energy(atoms), atoms.positions.copy(), np.zeros(6)) for atoms in batch]

    @property
    def evaluated(self) -> int:
        return sum(map(len, self.batches))


class InTwoSteps(Potential):
    """The same, whose input a thread can make."""

    def graphs(self, batch):
        return [atoms.positions.sum() for atoms in batch]

    def answer(self, batch, graphs):
        assert graphs == [atoms.positions.sum() for atoms in batch], "another batch's input"
        return self.evaluate(batch)


def _energy(atoms) -> float:
    return float("nan") if (atoms.positions[:, 1] > 8).any() else float(atoms.positions[:, 0].sum())


def structure(size: int, mark: float) -> Atoms:
    return Atoms(f"H{size}", positions=np.full((size, 3), mark), cell=[10] * 3, pbc=True)


def outcome(atoms, answers) -> Outcome:
    energies = [answer.energy_ev for answer in answers] or [0.0]
    means = np.array([np.mean(energies), np.max(energies)])
    forces = answers[-1].forces_ev_per_ang if answers else np.zeros((len(atoms), 3))
    return Outcome("ok", values={"energy_ev": sum(energies), "evaluations": len(answers)},
                   arrays={"forces": forces, "means": means})  # fmt: skip


def walk(atoms, k):
    """Tell k steps, each 0.01 Å farther along x."""
    answers = []
    for _ in range(k):
        answers.append((yield atoms))
        atoms.positions[:, 0] += 0.01
    return outcome(atoms, answers)


def walk1(atoms):
    return walk(atoms, 1)


def walk_of(size, mark, k) -> float:
    return sum(size * (mark + 0.01 * i) for i in range(k))


def strains(atoms, lists):
    """Ask for lists of configurations, as long as `lists` says."""
    answers = []
    for n in lists:
        several = [atoms.copy() for _ in range(n)]
        for i, one in enumerate(several):
            one.positions[:, 0] += 0.001 * i
        answers += yield several
    return outcome(atoms, answers)


def told(
    folder,
    structures,
    story,
    potential,
    *,
    atoms=10,
    stop=None,
    ahead=False,
    budget=None,
    values=VALUES,
    kept=None,
    progress=None,
):
    write_pack(folder / "p.npz", [structure(*one) if isinstance(one, tuple) else one for one in structures])
    found = read_structures([PackRows(folder / "p.npz", tuple(range(len(structures))))])
    model = Model("fake", "fake", Checkpoint("x", None), {}, "float64", potential.elements, stress=True)
    (folder / "records").mkdir(exist_ok=True)
    records = RecordFiles(folder / "records", values, ARRAYS)
    journal = Journal(folder / "records", records.ledger.statuses)
    todo = [one for one in found if one.hash not in records.ledger.statuses]
    try:
        evaluate_all(todo, lambda one: story(one.atoms()), budget or Budget(atoms, atoms), model, potential,
                     records=records, journal=journal, stop=stop or Event(), ahead=ahead, under_way=kept,
                     progress=progress)  # fmt: skip
        journal.close()
    finally:
        records.close()
    by_hash = read_records(folder)
    means = np.fromfile(folder / "records/means.f64", dtype="<f8").reshape(-1, 2)
    for record in by_hash.values():
        if record["means_row"] is not None:
            record["means"] = means[record["means_row"] // 2]
    return [by_hash.get(hash_of(i)) for i in range(len(structures))]


def length(atoms) -> int:
    """The length of a structure's story, which its mark says: 0.25 is 25 steps."""
    return round(100 * atoms.positions[0, 2])


def own(record, size, mark, k) -> None:
    assert record["status"] == "ok"
    assert record["energy_ev"] == pytest.approx(walk_of(size, mark, k), abs=1e-9)
    assert record["evaluations"] == k
    np.testing.assert_allclose(record["forces"][:, 0], mark + 0.01 * (k - 1), atol=1e-12)
    each = [size * (mark + 0.01 * i) for i in range(k)]
    np.testing.assert_allclose(record["means"], [np.mean(each), max(each)], atol=1e-9)
