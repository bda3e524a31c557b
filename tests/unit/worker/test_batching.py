"""Batches: bounded by atoms, large first, halved when they do not fit, grown again later."""

from collections import Counter

import pytest
from ase import Atoms

from tests.unit.worker.jobs import one_step, write_pack
from worker.batching import MOST_GROWTH, PATIENCE, ROUNDS, TRIED, WORTH_TRYING, Budget, Queue, budget_for
from worker.job import PackRows
from worker.structures import Structure, read_structures


@pytest.fixture
def structures(tmp_path):
    sizes = [3, 1, 8, 2, 2, 30, 1, 5, 5, 4]
    write_pack(tmp_path / "p.npz", [Atoms(f"H{n}") for n in sizes])
    return read_structures([PackRows(tmp_path / "p.npz", tuple(range(len(sizes))))])


def sizes_of(queue: Queue, atoms: int) -> list[list[int]]:
    return [[s.n_atoms for s in batch] for batch in iter(lambda: queue.next_batch(atoms), [])]


def test_batches_are_bounded_and_large_ones_come_first(structures):
    assert sizes_of(Queue(structures, one_step), 10) == [[30], [8], [5, 5], [4, 3, 2], [2, 1, 1]]


@pytest.mark.parametrize("atoms", [1, 2, 7, 31, 1000])
def test_every_structure_comes_once(structures, atoms):
    queue = Queue(structures, one_step, suspects={structures[3].hash})
    taken = Counter(s.hash for batch in iter(lambda: queue.next_batch(atoms), []) for s in batch)
    assert taken == Counter(s.hash for s in structures)


def test_suspects_come_last_and_alone(structures):
    suspects = {structures[5].hash, structures[0].hash}
    assert sizes_of(Queue(structures, one_step, suspects), 100)[-2:] == [[30], [3]]


def test_retries_come_next_and_in_halves(structures):
    queue = Queue(structures, one_step)
    batch = queue.next_batch(47)
    queue.retry_halves(batch)
    queue.retry_halves(batch[:1])
    assert [queue.next_batch(47) for _ in range(3)] == [batch[:1], batch[1:], batch[:1]]


def test_the_culprit_of_a_batch_is_found_in_few_steps():
    structures = [Structure(f"{i:03d}", 1, None, i) for i in range(512)]
    queue, tries, cleared = Queue(structures, one_step), 0, []
    while batch := queue.next_batch(512):
        tries += 1
        if any(step.story.structure is structures[300] for step in batch) and len(batch) > 1:
            queue.retry_halves(batch)
        else:
            cleared += batch
    assert tries == 1 + 2 * 9
    assert sorted(s.hash for s in cleared) == [s.hash for s in structures]


def test_a_batch_put_back_comes_in_smaller_parts(structures):
    queue = Queue(structures, one_step)
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


def test_one_structure_above_the_bound_is_no_trial():
    budget = budget_for(64, WORTH_TRYING * 64, device="cpu")
    assert budget.after_success(400, 1.0) == budget


def test_what_does_not_fit_is_not_tried():
    budget = budget_for(64, WORTH_TRYING * 64, device="cpu")
    tried = set()
    while budget.trials:
        tried.add(budget.atoms)
        budget = budget.after_success(budget.atoms, 1.0, fitting=200.0)
    assert tried == {32, 64, 128}


def test_nothing_is_tried_for_little_work():
    assert budget_for(64, WORTH_TRYING * 64 - 1, device="cpu") == Budget(64, 64)


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_nothing_is_tried_where_each_size_is_compiled(device):
    assert budget_for(64, 10**9, device=device, compiles_by_shape=True) == Budget(64, 64)


def test_a_worker_after_one_that_died_of_a_batch_takes_half_of_it():
    for atoms in (256, 100, 50, 3, 2):
        smaller = budget_for(64, 10**9, device="cpu", fatal_atoms=atoms)
        assert smaller == Budget(min(64, atoms // 2), min(64, atoms // 2))


def test_batches_on_a_gpu_grow_at_once_to_what_fits():
    """As memory is used up: 1000 atoms of a batch take a tenth of it, beside what always is taken."""
    budget, seen = budget_for(1000, 10**9, device="cuda:0"), []
    for _ in range(6):
        seen.append(budget.atoms)
        assert budget.after_success().atoms >= budget.atoms
        budget = budget.after_success(budget.atoms, 1.0, fitting=budget.atoms / (0.05 + budget.atoms / 10_000))
    assert seen == [1000, 2000, 4000, 8000, 9411, 9411]
    assert budget.after_success().atoms == budget.atoms  # so that what comes next can be told


def test_batches_on_a_gpu_have_a_ceiling_and_grow_only_where_memory_is_known():
    budget = budget_for(1000, 10**9, device="cuda:0")
    assert budget.after_success(1000, 1.0, fitting=0.0).atoms == 1000
    for _ in range(20):
        budget = budget.after_success(budget.atoms, 1.0)
    assert budget.atoms == MOST_GROWTH * 1000
    assert budget.after_oom(budget.atoms).patience == PATIENCE
