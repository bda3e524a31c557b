"""What batches must not cost: a structure's own numbers, its neighbours' mishaps, or the records of a killed worker."""

import json
import multiprocessing
import signal
import tempfile
import time
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.lj import LennardJones
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.worker.jobs import hash_of, read_records, write_job, write_pack
from worker import session
from worker.batching import Budget
from worker.evaluate import evaluate_all
from worker.families.base import Result
from worker.job import Checkpoint, Model, PackRows, read_job
from worker.journal import Journal
from worker.records import RecordFiles, read_ledger
from worker.stopping import Stop
from worker.structures import read_structures
from worker.tasks import singlepoint

KILLS = 50
N_STRUCTURES = 1000
LJ = {"epsilon": 0.1, "sigma": 2.2, "rc": 4.0}
LJ_MODEL = {"name": "lj", "checkpoint": {"bundled": "lj"}, "options": LJ}

HEALTHY, RAISES, NAN, SPREADING_NAN, UNKNOWN, TOO_LARGE = 1, 2, 3, 4, 5, 6  # what an atom of that number does
STATUS = {
    HEALTHY: "ok",
    RAISES: "failed",
    NAN: "nonfinite",
    SPREADING_NAN: "nonfinite",
    UNKNOWN: "unsupported_element",
    TOO_LARGE: "oom",
}


class Poisonable:
    """Answers with the x of the first atom; breaks as its structures say; fits `capacity` atoms."""

    cutoff_ang, elements, takes_charge, gives_stress = 1.0, frozenset({1, 2, 3, 4, 6}), False, True

    def __init__(self, capacity):
        self.capacity = capacity

    def evaluate(self, batch):
        poisons = [int(atoms.numbers[0]) for atoms in batch]
        if TOO_LARGE in poisons or sum(len(atoms) for atoms in batch) > self.capacity:
            raise MemoryError
        if RAISES in poisons:
            raise ValueError("on purpose")
        nan = [SPREADING_NAN in poisons or poison == NAN for poison in poisons]
        return [self._answer(atoms, broken) for atoms, broken in zip(batch, nan, strict=True)]

    def _answer(self, atoms, broken):
        number = np.nan if broken else atoms.positions[0, 0]
        return Result(number, np.full((len(atoms), 3), number), np.zeros(6))


kinds = st.sampled_from([HEALTHY] * 6 + [RAISES, NAN, SPREADING_NAN, UNKNOWN, TOO_LARGE])


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    given_=st.lists(st.tuples(kinds, st.integers(1, 9)), min_size=1, max_size=30),
    batch_atoms=st.integers(1, 60),
    capacity=st.integers(9, 60),
)
def test_a_poisoned_structure_costs_itself_only(given_, batch_atoms, capacity):
    structures = [
        Atoms([kind] * n, positions=np.full((n, 3), 1 + 0.1 * i), cell=[50] * 3, pbc=True)
        for i, (kind, n) in enumerate(given_)
    ]
    with tempfile.TemporaryDirectory() as place:
        records = evaluated(Path(place), structures, Poisonable(capacity), batch_atoms)
    assert len(records) == len(structures)
    for i, (kind, n) in enumerate(given_):
        record = records[hash_of(i)]
        assert record["status"] == STATUS[kind]
        if kind == HEALTHY:
            assert record["energy_ev"] == structures[i].positions[0, 0]
            np.testing.assert_array_equal(record["forces"], np.full((n, 3), record["energy_ev"]))


def evaluated(folder, structures, potential, batch_atoms):
    write_pack(folder / "p.npz", structures)
    found = read_structures([PackRows(folder / "p.npz", tuple(range(len(structures))))])
    records = RecordFiles(folder, singlepoint.VALUES, singlepoint.ARRAYS)
    evaluate_all(
        found,
        lambda structure: singlepoint.steps(structure.atoms(), {}),
        Budget(batch_atoms, batch_atoms),
        Model("fake", "fake", Checkpoint("x", None), {}, "float64", None, stress=True),
        potential,
        records=records,
        journal=Journal(folder, records.ledger.statuses),
        stop=Event(),
    )
    records.close()
    (folder / "records").mkdir()
    for name in ("records.jsonl", "forces.f64"):
        (folder / name).rename(folder / "records" / name)
    return read_records(folder)


def mixed(n):
    """Crystals, slabs, molecules and cells of one atom, each another one."""
    kinds = [bulk("Cu", cubic=True), fcc111("Cu", (1, 1, 2), vacuum=4), molecule("H2O"), bulk("Al")]
    found = [kinds[i % len(kinds)].copy() for i in range(n)]
    for i, atoms in enumerate(found):
        atoms.rattle(0.05, seed=i)
        if atoms.cell.rank == 3:
            atoms.set_cell(atoms.cell.array * (1 + 1e-4 * i), scale_atoms=True)
    return found


@pytest.mark.slow
def test_killed_at_fifty_moments(tmp_path, monkeypatch):
    """SIGKILL while reading, evaluating and writing: what is there after each is true, and in the end all is there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLURM_JOB_ID", "1")  # a job that is started again: its deaths are no structure's fault
    structures = mixed(N_STRUCTURES)
    write_job(tmp_path, structures, model=LJ_MODEL, batch_atoms=12)
    truth = [answer(atoms) for atoms in structures]
    random, kept, grown = np.random.default_rng(0), 0, 0
    for kill in range(KILLS):
        worker = multiprocessing.get_context("fork").Process(target=work, args=(tmp_path,))
        worker.start()
        if kill % 3:  # among its records
            wait_for_growth(tmp_path / "records/records.jsonl", random.integers(4_000))
            worker.join(random.uniform(0, 0.003))
        else:  # anywhere, mostly at its start
            worker.join(random.uniform(0, 0.1))
        worker.kill()
        worker.join()
        assert worker.exitcode == -signal.SIGKILL, "there is too little work to be killed at it"
        found = believed(tmp_path, truth)
        assert found >= kept, "a death has cost a record"
        grown += found > kept
        kept = found
    assert grown > KILLS // 2, "it was killed before it could do anything"
    work(tmp_path)
    assert believed(tmp_path, truth) == N_STRUCTURES
    assert json.loads((tmp_path / "done.json").read_text())["counts"] == {"ok": N_STRUCTURES}
    assert not (tmp_path / "records/inflight.json").exists()


def wait_for_growth(file, n_bytes: int) -> None:
    """Wait until somebody has appended so much, and at least something."""
    size = file.stat().st_size if file.exists() else 0
    deadline = time.monotonic() + 60
    while not file.exists() or file.stat().st_size <= size + n_bytes:
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.0005)


def work(folder) -> None:
    job = read_job(folder / "job.json")
    session.run_session(job, folder / "records", folder / "done.json", threads=1, network="open", stop=Stop())


def answer(atoms) -> tuple[float, np.ndarray]:
    same = atoms.copy()
    same.calc = LennardJones(**LJ)
    return same.get_potential_energy(), same.get_forces()


def believed(folder, truth) -> int:
    """Count the records that the next worker would keep, after comparing each with the truth."""
    log, forces = folder / "records/records.jsonl", folder / "records/forces.f64"
    if not (log.exists() and forces.exists()):
        return 0
    rows = np.fromfile(forces, count=forces.stat().st_size // 24 * 3).reshape(-1, 3)
    ledger = read_ledger(log.read_bytes(), singlepoint.ARRAYS, {"forces": len(rows)})
    lines = map(json.loads, log.read_bytes()[: ledger.log_bytes].splitlines())
    records = [line for line in lines if line["kind"] == "record"]
    by_hash = {hash_of(i): i for i in range(len(truth))}
    for record in records:
        energy, expected = truth[by_hash[record["structure"]]]
        assert record["status"] == "ok"
        np.testing.assert_allclose(record["energy_ev"], energy, atol=1e-9)
        begin = record["forces_row"]
        np.testing.assert_allclose(rows[begin : begin + record["n_atoms"]], expected, atol=1e-8)
    assert len({record["structure"] for record in records}) == len(records)
    return len(records)
