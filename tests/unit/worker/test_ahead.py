"""Input of the next batch is made while one is evaluated, and what goes wrong stays with its own batch."""

import json
from threading import Event, current_thread, main_thread

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.worker.jobs import hash_of, read_records, write_pack
from worker.batching import Budget
from worker.evaluate import evaluate_all
from worker.families.base import Result
from worker.job import Checkpoint, Model, PackRows
from worker.journal import Journal
from worker.records import RecordFiles
from worker.structures import read_structures
from worker.tasks import singlepoint

MODEL = Model("fake", "fake", Checkpoint("x", None), {}, "float64", None, stress=True)
WAIT_S = 60


class TwoSteps:
    """Answers with the number of atoms; `in_graphs` and `in_answer` are told the sizes of a batch, and may raise."""

    cutoff_ang, elements, takes_charge, gives_stress = 1.0, None, False, True

    def __init__(self, in_graphs=lambda sizes: None, in_answer=lambda sizes: None):
        self.in_graphs, self.in_answer = in_graphs, in_answer

    def graphs(self, batch):
        self.in_graphs([len(atoms) for atoms in batch])
        return [len(atoms) for atoms in batch]

    def answer(self, batch, graphs):
        assert graphs == [len(atoms) for atoms in batch], "another batch's input"
        self.in_answer(graphs)
        return [Result(float(n), np.full((n, 3), n), np.zeros(6)) for n in graphs]


def run(folder, potential, sizes, *, atoms, stop=None):
    structures = [Atoms(f"H{n}", positions=np.full((n, 3), 1 + 0.1 * i), cell=[50] * 3, pbc=True)
                  for i, n in enumerate(sizes)]  # fmt: skip
    write_pack(folder / "p.npz", structures)
    records_folder = folder / "records"
    records_folder.mkdir(exist_ok=True)
    records = RecordFiles(records_folder, singlepoint.VALUES, singlepoint.ARRAYS)
    try:
        evaluate_all(
            read_structures([PackRows(folder / "p.npz", tuple(range(len(sizes))))]),
            lambda structure: singlepoint.steps(structure.atoms(), {}),
            Budget(atoms, atoms),
            MODEL,
            potential,
            records=records,
            journal=Journal(records_folder, records.ledger.statuses),
            stop=stop or Event(),
            ahead=True,
        )
    finally:
        records.close()
    return read_records(folder)


def test_the_next_input_is_made_while_a_batch_is_evaluated(tmp_path):
    """The first answer waits for the second input, which a loop of one thread would never make."""
    made = Event()

    def in_graphs(sizes):
        if sizes == [2]:
            assert current_thread() is not main_thread()
            made.set()

    def in_answer(sizes):
        assert current_thread() is main_thread()
        assert sizes != [3] or made.wait(WAIT_S)

    records = run(tmp_path, TwoSteps(in_graphs, in_answer), [3, 2], atoms=3)
    assert [records[hash_of(i)]["status"] for i in range(2)] == ["ok"] * 2


def test_what_is_begun_is_in_flight_too(tmp_path):
    """Either can kill the worker."""
    begun = Event()

    def in_graphs(sizes):
        if sizes == [3]:
            begun.set()

    def in_answer(sizes):
        assert begun.wait(WAIT_S)
        left = json.loads((tmp_path / "records/inflight.json").read_bytes())["in_flight"]
        assert left == {4: [hash_of(0), hash_of(1)], 3: [hash_of(1)]}[sizes[0]]

    assert all(r["status"] == "ok" for r in run(tmp_path, TwoSteps(in_graphs, in_answer), [4, 3], atoms=4).values())


def test_a_stop_leaves_what_was_begun_without_record(tmp_path):
    stop = Event()
    records = run(tmp_path, TwoSteps(in_answer=lambda sizes: stop.set()), [4, 3, 2], atoms=4, stop=stop)
    assert set(records) == {hash_of(0)}


def test_an_error_that_ends_the_worker_ends_the_thread(tmp_path):
    def in_answer(sizes):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        run(tmp_path, TwoSteps(in_answer=in_answer), [4, 3], atoms=4)
    assert read_records(tmp_path) == {}


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=25),
    atoms=st.integers(1, 40),
    capacity=st.integers(1, 40),
    bad_input=st.sets(st.integers(1, 9), max_size=2),
    bad_answer=st.sets(st.integers(1, 9), max_size=2),
)
def test_whatever_fails_each_structure_gets_its_own_record(
    tmp_path_factory, sizes, atoms, capacity, bad_input, bad_answer
):
    """Out of memory, errors while input is made and while it is evaluated: guesses come out wrong, records do not."""

    def fail(batch, bad):
        if bad & set(batch):
            raise ValueError("on purpose")

    def in_answer(batch):
        if sum(batch) > capacity:
            raise MemoryError
        fail(batch, bad_answer)

    potential = TwoSteps(lambda batch: fail(batch, bad_input), in_answer)
    records = run(tmp_path_factory.mktemp("ahead"), potential, sizes, atoms=atoms)
    assert len(records) == len(sizes)
    for i, n in enumerate(sizes):
        expected = "failed" if n in bad_input else "oom" if n > capacity else "failed" if n in bad_answer else "ok"
        assert records[hash_of(i)]["status"] == expected
        assert records[hash_of(i)]["energy_ev"] == (n if expected == "ok" else None)
