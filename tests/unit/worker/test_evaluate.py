"""The loop, with models that misbehave: nobody else's structure suffers."""

from threading import Event

import numpy as np
import pytest
from ase import Atoms

from tests.unit.worker.jobs import hash_of, read_records, write_pack
from worker.batching import Budget
from worker.errors import WorkerError
from worker.evaluate import evaluate_all
from worker.families.base import Result
from worker.job import Checkpoint, Model, PackRows
from worker.journal import Journal
from worker.records import RecordFiles
from worker.structures import read_structures
from worker.tasks import singlepoint

SIZES = [7, 3, 12, 1, 5, 2, 9, 4, 1, 6]


class FakePotential:
    """Answers with the number of atoms; fits `capacity` atoms; breaks as `misbehave` says."""

    cutoff_ang, elements, takes_charge, checkpoint_sha256 = 5.0, None, False, None

    def __init__(self, capacity=10_000, misbehave=lambda sizes: None):
        self.capacity, self.misbehave, self.batches = capacity, misbehave, []

    def evaluate(self, batch):
        sizes = [len(atoms) for atoms in batch]
        self.batches.append(sizes)
        if sum(sizes) > self.capacity:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        if (answer := self.misbehave(sizes)) is not None:
            return answer
        return [Result(float(n), np.full((n, 3), n), np.full(6, n)) for n in sizes]


@pytest.fixture
def evaluate(tmp_path):
    """Evaluate structures of SIZES atoms and return the records by size."""

    def run(potential, *, atoms=20, structures=None, model=None, stop=None):
        structures = structures or [
            Atoms(f"H{n}", positions=np.arange(3.0 * n).reshape(-1, 3), cell=[50] * 3, pbc=True) for n in SIZES
        ]
        write_pack(tmp_path / "p.npz", structures)
        found = read_structures([PackRows(tmp_path / "p.npz", tuple(range(len(structures))))])
        model = model or Model("fake", "fake", Checkpoint("x", None), {}, "float64", None, stress=True)
        (tmp_path / "records").mkdir(exist_ok=True)
        records = RecordFiles(tmp_path / "records", singlepoint.VALUES, singlepoint.ARRAYS)
        journal = Journal(tmp_path / "records", records.ledger.statuses)
        evaluate_all(
            found,
            lambda structure: singlepoint.steps(structure.atoms(), {}),
            Budget(atoms, atoms),
            model,
            potential,
            records=records,
            journal=journal,
            stop=stop or Event(),
        )
        journal.close()
        records.close()
        return read_records(tmp_path)

    return run


def statuses(records) -> list[str]:
    return [records[hash_of(i)]["status"] for i in range(len(records))]


def test_everyone_gets_their_own_numbers(evaluate):
    records = evaluate(FakePotential())
    for i, n in enumerate(SIZES):
        record = records[hash_of(i)]
        assert record["energy_ev"] == n
        np.testing.assert_array_equal(record["forces"], np.full((n, 3), n))
        assert record["stress_ev_per_ang3"] == [n] * 6


def test_out_of_memory_halves_the_batch(evaluate):
    potential = FakePotential(capacity=12)
    records = evaluate(potential, atoms=48)
    assert statuses(records) == ["ok"] * len(SIZES)
    assert [sum(b) for b in potential.batches[:3]] == [48, 21, 12]


def test_one_structure_that_does_not_fit_is_oom(evaluate):
    records = evaluate(FakePotential(capacity=8))
    assert {n: s for n, s in zip(SIZES, statuses(records), strict=True) if s != "ok"} == {12: "oom", 9: "oom"}
    assert "does not fit into memory" in records[hash_of(2)]["error"]
    assert records[hash_of(2)]["energy_ev"] is None


def test_only_the_culprit_fails(evaluate):
    def misbehave(sizes):
        if 5 in sizes:
            raise ValueError("five is too odd\nand more on another line")

    records = evaluate(FakePotential(misbehave=misbehave))
    assert [n for n, s in zip(SIZES, statuses(records), strict=True) if s != "ok"] == [5]
    assert records[hash_of(4)]["error"] == "ValueError: five is too odd"


def test_nan_in_company_is_asked_about_again_alone(evaluate):
    def misbehave(sizes):
        if 5 in sizes and len(sizes) > 1:  # it spreads to everyone in the batch
            return [Result(np.nan, np.full((n, 3), np.nan), np.full(6, np.nan)) for n in sizes]
        return [Result(np.nan, np.zeros((5, 3)), np.zeros(6))] if 5 in sizes else None

    records = evaluate(FakePotential(misbehave=misbehave))
    assert [n for n, s in zip(SIZES, statuses(records), strict=True) if s != "ok"] == [5]
    assert records[hash_of(4)]["status"] == "nonfinite"


def test_too_few_results_are_a_failure(evaluate):
    def misbehave(sizes):
        return [] if 5 in sizes else None

    records = evaluate(FakePotential(misbehave=misbehave))
    assert [n for n, s in zip(SIZES, statuses(records), strict=True) if s != "ok"] == [5]
    assert records[hash_of(4)]["error"].endswith("0 results for 1 structures")


def test_a_lost_gpu_stops_the_worker_and_leaves_a_trace(evaluate, tmp_path):
    def misbehave(sizes):
        if 5 in sizes:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(WorkerError, match="the GPU failed"):
        evaluate(FakePotential(misbehave=misbehave))
    assert (tmp_path / "records/inflight.json").exists()
    assert not {r["n_atoms"] for r in read_records(tmp_path).values()} & {5}


def test_a_full_disk_inside_a_model_is_no_fault_of_a_structure(evaluate, tmp_path):
    def misbehave(sizes):
        raise OSError(28, "No space left on device", "/tmp/kernel.so")

    with pytest.raises(OSError, match=r"kernel\.so"):
        evaluate(FakePotential(misbehave=misbehave))
    assert read_records(tmp_path) == {}


def test_stress_only_where_it_is_defined_and_given(evaluate):
    structures = [Atoms("H", cell=[9] * 3, pbc=pbc) for pbc in (True, (1, 1, 0), False)]
    stresses = [r["stress_ev_per_ang3"] for r in evaluate(FakePotential(), structures=structures).values()]
    assert stresses.count(None) == 2


def test_a_model_without_stress(evaluate):
    model = Model("fake", "fake", Checkpoint("x", None), {}, "float64", None, stress=False)
    assert {r["stress_ev_per_ang3"] for r in evaluate(FakePotential(), model=model).values()} == {None}


def test_refused_structures_are_never_shown_to_the_model(evaluate):
    structures = [Atoms("H"), Atoms("Au"), Atoms(), Atoms("H", pbc=True), Atoms("H", info={"charge": 1})]
    model = Model("fake", "fake", Checkpoint("x", None), {}, "float64", frozenset({1}), stress=True)
    potential = FakePotential()
    records = evaluate(potential, structures=structures, model=model)
    assert statuses(records) == ["ok", "unsupported_element", "failed", "failed", "unsupported_property"]
    assert potential.batches == [[1]]
    assert {r["batch_size"] for r in records.values() if r["status"] != "ok"} == {0}


def test_the_model_and_the_catalogue_must_both_know_an_element(evaluate):
    potential = FakePotential()
    potential.elements = frozenset({1, 79})
    model = Model("fake", "fake", Checkpoint("x", None), {}, "float64", frozenset({1, 29}), stress=True)
    structures = [Atoms("H"), Atoms("Au"), Atoms("Cu")]
    records = evaluate(potential, structures=structures, model=model)
    assert statuses(records) == ["ok", "unsupported_element", "unsupported_element"]


def test_stopping_between_batches_loses_nothing(evaluate, tmp_path):
    stop = Event()

    def misbehave(sizes):
        stop.set()

    first = evaluate(FakePotential(misbehave=misbehave), stop=stop)
    assert 0 < len(first) < len(SIZES)
    assert not (tmp_path / "records/inflight.json").exists()
