"""Batches: bounded by atoms, large first, halved when they do not fit, grown again later."""

from collections import Counter

import pytest
from ase import Atoms

from tests.unit.worker_jobs import write_pack
from worker.batching import PATIENCE, ROUNDS, TRIED, WORTH_TRYING, Budget, Queue, budget_for
from worker.job import Source
from worker.structures import Structure, read_structures


@pytest.fixture
def structures(tmp_path):
    sizes = [3, 1, 8, 2, 2, 30, 1, 5, 5, 4]
    write_pack(tmp_path / "p.npz", [Atoms(f"H{n}") for n in sizes])
    return read_structures([Source(tmp_path / "p.npz", tuple(range(len(sizes))))])


def sizes_of(queue: Queue, atoms: int) -> list[list[int]]:
    return [[s.n_atoms for s in batch] for batch in iter(lambda: queue.next_batch(atoms), [])]


def test_batches_are_bounded_and_large_ones_come_first(structures):
    assert sizes_of(Queue(structures), 10) == [[30], [8], [5, 5], [4, 3, 2], [2, 1, 1]]


@pytest.mark.parametrize("atoms", [1, 2, 7, 31, 1000])
def test_every_structure_comes_once(structures, atoms):
    queue = Queue(structures, suspects={structures[3].hash})
    taken = Counter(s.hash for batch in iter(lambda: queue.next_batch(atoms), []) for s in batch)
    assert taken == Counter(s.hash for s in structures)


def test_suspects_come_last_and_alone(structures):
    suspects = {structures[5].hash, structures[0].hash}
    assert sizes_of(Queue(structures, suspects), 100)[-2:] == [[30], [3]]


def test_retries_come_next_and_alone(structures):
    queue = Queue(structures)
    batch = queue.next_batch(40)
    queue.retry_alone(batch[:2])
    assert [len(queue.next_batch(40)) for _ in range(2)] == [1, 1]


def test_the_culprit_of_a_batch_is_found_in_few_steps():
    structures = [Structure(f"{i:03d}", 1, None, i) for i in range(512)]
    queue, tries, cleared = Queue(structures), 0, []
    while batch := queue.next_batch(512):
        tries += 1
        if structures[300] in batch and len(batch) > 1:
            queue.retry_halves(batch)
        else:
            cleared += batch
    assert tries == 1 + 2 * 9
    assert sorted(s.hash for s in cleared) == [s.hash for s in structures]


def test_a_batch_put_back_comes_in_smaller_parts(structures):
    queue = Queue(structures)
    queue.next_batch(30)
    batch = queue.next_batch(20)
    queue.put_back(batch)
    assert queue.next_batch(10) == batch[:1]


def test_a_batch_of_several_always_shrinks():
    for atoms in range(2, 200):
        assert Budget(atoms, atoms).after_oom(atoms).atoms < atoms
    assert Budget(1, 1).after_oom(1).atoms == 1


def test_growth_needs_patience_and_has_a_ceiling():
    budget = Budget(100, 100).after_oom(90)
    assert budget.atoms == 45
    seen = []
    for _ in range(100):
        budget = budget.after_success()
        seen.append(budget.atoms)
    assert seen.index(90) == 2 * PATIENCE - 1
    assert seen[-1] == 100
    assert sorted(seen) == seen


def test_every_failure_doubles_the_patience():
    budget = Budget(64, 64).after_oom(64).after_oom(32)
    assert budget.patience == 4 * PATIENCE


def tried_out(seconds_per_atom, *, guess=64) -> Budget:
    """Carry out all trials; every batch is full and takes what the function says, the first ten times as long."""
    budget = budget_for(guess, WORTH_TRYING * guess, device="cpu")
    warm_up = 10
    for _ in range(1 + ROUNDS * len(TRIED)):
        assert budget.trials
        budget = budget.after_success(budget.atoms, warm_up * seconds_per_atom(budget.atoms) * budget.atoms)
        warm_up = 1
    assert budget.trials == ()
    return budget


@pytest.mark.parametrize("best", [32, 64, 128, 256])
def test_the_fastest_size_is_found_and_kept(best):
    budget = tried_out(lambda atoms: 1.0 if atoms == best else 1.1)
    assert (budget.atoms, budget.ceiling) == (best, best)


def test_one_disturbed_trial_does_not_decide():
    disturbed = iter([1.0] * 3 + [50.0] + [1.0] * 100)
    assert tried_out(lambda atoms: next(disturbed) * (1.0 if atoms == 128 else 1.1)).atoms == 128


def test_half_empty_batches_are_no_trials():
    budget = budget_for(64, WORTH_TRYING * 64, device="cpu")
    assert budget.after_success(32, 1.0) == budget


def test_running_out_of_memory_ends_the_trials():
    budget = budget_for(64, WORTH_TRYING * 64, device="cpu").after_success(64, 1.0).after_oom(32)
    assert (budget.atoms, budget.trials) == (16, ())


@pytest.mark.parametrize(("queued", "device"), [(WORTH_TRYING * 64 - 1, "cpu"), (10**9, "cuda:0")])
def test_nothing_is_tried_for_little_work_or_on_a_gpu(queued, device):
    assert budget_for(64, queued, device=device) == Budget(64, 64)
