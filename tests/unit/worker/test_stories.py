"""Tasks of many steps, told by toy generators: each structure gets its own numbers and pays for its own faults."""

import errno
from collections import Counter
from threading import Event

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.worker.jobs import hash_of, read_lines
from tests.unit.worker.toy_stories import InTwoSteps, Potential, length, outcome, own, strains, told, walk, walk1
from worker.ahead import Ahead
from worker.contract import NoAnswer, Outcome
from worker.journal import Journal


@pytest.fixture
def tell(tmp_path):
    """Evaluate structures [(size, mark)] by a story; return the records in order, or nothing if it was stopped."""
    return lambda *a, **k: told(tmp_path, *a, **k)


@given(
    stories=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 30)), min_size=1, max_size=25),
    atoms=st.integers(1, 40),
    capacity=st.one_of(st.just(10**9), st.integers(9, 30)),
    ahead=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_stories_of_any_length_get_their_own_numbers(tmp_path_factory, stories, atoms, capacity, ahead):
    structures = [(size, k / 100) for size, k in stories]
    potential = InTwoSteps(capacity)
    records = told(tmp_path_factory.mktemp("stories"), structures, lambda a: walk(a, length(a)), potential,
                   atoms=atoms, ahead=ahead)  # fmt: skip
    for record, (size, k) in zip(records, stories, strict=True):
        own(record, size, k / 100, k)
    fitting = [batch for batch in potential.batches if sum(batch) <= capacity]
    assert sum(map(len, fitting)) == sum(k for _, k in stories)
    assert all(sum(batch) <= atoms or len(batch) == 1 for batch in potential.batches)


@given(
    lists=st.lists(st.lists(st.integers(0, 12), max_size=4), min_size=1, max_size=8),
    atoms=st.integers(1, 30),
    ahead=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_lists_of_any_length_come_back_in_order(tmp_path_factory, lists, atoms, ahead):
    structures = [(2, 0.1 * (i + 1)) for i in range(len(lists))]
    of = dict(zip([mark for _, mark in structures], lists, strict=True))
    potential = InTwoSteps()
    records = told(tmp_path_factory.mktemp("lists"), structures, lambda a: strains(a, of[float(a.positions[0, 2])]),
                   potential, atoms=atoms, ahead=ahead)  # fmt: skip
    for record, (size, mark), own_lists in zip(records, structures, lists, strict=True):
        each = [size * (mark + 0.001 * i) for n in own_lists for i in range(n)]
        assert record["energy_ev"] == pytest.approx(sum(each), abs=1e-9)
        assert record["evaluations"] == len(each)
        if each:
            assert record["forces"][0, 0] == pytest.approx(mark + 0.001 * ([n for n in own_lists if n][-1] - 1))
    assert potential.evaluated == sum(map(sum, lists))
    assert all(sum(batch) <= atoms or len(batch) == 1 for batch in potential.batches)


def test_new_stories_begin_as_others_end(tell):
    """Very different lengths: until the last long ones are alone, batches are full."""
    structures = [(2, 0.40 if i % 4 == 0 else 0.01 * (1 + i % 3)) for i in range(40)]
    potential = Potential()
    tell(structures, lambda a: walk(a, length(a)), potential, atoms=10)
    steps = sum(round(100 * mark) for _, mark in structures)
    assert potential.evaluated == steps
    assert sum(batch == [2] * 5 for batch in potential.batches) >= 0.75 * len(potential.batches)


def test_not_more_stories_are_under_way_than_fill_batches(tell):
    under_way, most = set(), 0

    def story(atoms):
        nonlocal most
        under_way.add(id(atoms))
        most = max(most, len(under_way))
        done = yield from walk(atoms, 5)
        under_way.discard(id(atoms))
        return done

    tell([(1, 0.05)] * 60, story, Potential(), atoms=10)
    assert most <= 10
    tell_ahead = InTwoSteps()
    most = 0
    under_way.clear()
    tell([(1, 0.05)] * 61, story, tell_ahead, atoms=10, ahead=True)
    assert most <= 20


def test_a_list_beyond_the_budget_is_split_and_begins_nobody_else(tell):
    begun = []

    def story(atoms):
        begun.append(len(atoms))
        return (yield from strains(atoms, [50]))

    potential = Potential(misbehave=lambda batch: seen.append((len(begun), len(batch))))
    seen = []
    records = tell([(2, 0.1), (2, 0.2), (2, 0.3)], story, potential, atoms=10)
    assert [record["status"] for record in records] == ["ok"] * 3
    assert seen[:9] == [(1, 5)] * 9  # the tenth batch may already be shared
    assert {n for _, n in seen} == {5}
    assert potential.evaluated == 150


def test_running_out_of_memory_in_the_middle_halves_and_goes_on(tell):
    potential = Potential()

    def less_memory(batch):
        if len(potential.batches) == 3:
            potential.capacity = 4
            raise MemoryError("out of memory")

    potential.misbehave = less_memory
    records = tell([(1, 0.1), (1, 0.2), (1, 0.3), (1, 0.4)] * 5, lambda a: walk(a, 6), potential, atoms=16)
    for record, mark in zip(records, [0.1, 0.2, 0.3, 0.4] * 5, strict=True):
        own(record, 1, mark, 6)
    sizes = [sum(batch) for batch in potential.batches]
    assert sizes[:5] == [16, 16, 16, 8, 4]
    assert max(sizes[5:]) <= 8
    assert sum(size for size in sizes if size <= 4) + 32 == 20 * 6


def test_a_list_that_does_not_fit_together_is_asked_one_by_one(tell):
    records = tell([(3, 0.1)], lambda a: strains(a, [7]), Potential(capacity=3), atoms=100)
    assert records[0]["evaluations"] == 7


def test_one_configuration_that_does_not_fit_costs_its_story_only(tell):
    def story(atoms):
        first = yield atoms
        grown = atoms.repeat((4, 1, 1)) if len(atoms) == 3 else atoms
        yield grown
        return outcome(atoms, [first])

    records = tell([(3, 0.1), (2, 0.2), (1, 0.3)], story, Potential(capacity=6), atoms=100)
    assert [record["status"] for record in records] == ["oom", "ok", "ok"]


@pytest.mark.parametrize("ahead", [False, True])
def test_nan_in_one_step_of_one_story_costs_only_that_story(tell, ahead):
    def story(atoms):
        answers = [(yield atoms)]
        if atoms.positions[0, 2] == 0.3:
            atoms.positions[:, 1] = 9
        answers.append((yield atoms))
        answers.append((yield atoms))
        return outcome(atoms, answers)

    potential = InTwoSteps()
    records = tell([(1, 0.1 * (i + 1)) if i != 2 else (1, 0.3) for i in range(9)], story, potential, ahead=ahead)
    assert [i for i, record in enumerate(records) if record["status"] != "ok"] == [2]
    assert records[2]["status"] == "nonfinite"
    assert records[2]["batch_size"] == 1
    assert potential.evaluated == 8 * 3 + 2 + 1  # only the culprit is asked again, alone


def test_nan_can_be_caught_and_the_story_goes_on(tell):
    def story(atoms):
        good = yield atoms
        bad = atoms.copy()
        bad.positions[:, 1] = 9
        with pytest.raises(NoAnswer, match="not finite"):
            yield [atoms, bad]
        return outcome(atoms, [good, (yield atoms)])

    records = tell([(1, 0.1), (1, 0.2)], story, Potential())
    assert [record["evaluations"] for record in records] == [2, 2]


@pytest.mark.parametrize(
    ("returned", "status", "words"),
    [
        (None, "failed", "the task returned nothing, not an Outcome"),
        ({"energy_ev": 1.0}, "failed", "the task returned a dict, not an Outcome"),
        (Outcome("converged"), "failed", "the status 'converged', which there is not"),
        (Outcome("ok"), "failed", "the task returned no forces, means"),
        (Outcome("ok", arrays={"forces": np.zeros((2, 3)), "means": np.zeros(3)}), "failed", "3 numbers instead of 2"),
        (Outcome("failed", "why", arrays={"forces": np.zeros(5)}), "failed", "5 numbers instead of 6"),
        (Outcome("failed", "why", {"energy": 1.0}), "failed", "energy, which it does not declare"),
        (Outcome("failed", "why", {"energy_ev": float("nan")}), "nonfinite", "energy_ev that are not finite numbers"),
        (Outcome("failed", "why", {"energy_ev": {1}}), "failed", "energy_ev that cannot be written"),
        (Outcome("failed", "w", arrays={"means": np.full(2, np.inf)}), "nonfinite", "means that are not finite"),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_is_a_failure_of_its_structure(tell, returned, status, words):
    def story(atoms):
        answer = yield atoms
        return returned if atoms.positions[0, 2] == 0.2 else outcome(atoms, [answer])

    records = tell([(2, 0.1), (2, 0.2), (2, 0.3)], story, Potential())
    assert [record["status"] for record in records] == ["ok", status, "ok"]
    assert words in records[1]["error"]


def _raises_at_once(atoms):
    raise ValueError("no such structure")


def _raises_later(atoms):
    yield atoms
    raise ValueError("no such structure")


def _asks_for_nothing(atoms):
    yield None


def _asks_for_numbers(atoms):
    yield [atoms, 3]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (_raises_at_once, "ValueError: no such structure"),
        (_raises_later, "ValueError: no such structure"),
        (_asks_for_nothing, "the task asked for nothing, not for Atoms"),
        (_asks_for_numbers, "the task asked for a list, not for Atoms"),
    ],
)
def test_a_fault_of_a_story_costs_its_structure_only(tell, broken, words):
    records = tell([(1, 0.1), (1, 0.2)], lambda a: (broken if a.positions[0, 2] == 0.1 else walk1)(a), Potential())
    assert [record["status"] for record in records] == ["failed", "ok"]
    assert words in records[0]["error"]


def test_a_full_disk_inside_a_story_is_no_fault_of_a_structure(tell, tmp_path):
    def story(atoms):
        yield atoms
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        tell([(1, 0.1)], story, Potential())
    assert read_lines(tmp_path) == []


def test_empty_lists_are_answered_at_once_however_many(tell):
    def story(atoms):
        for _ in range(5000):
            assert (yield []) == []
        return outcome(atoms, [])

    potential = Potential()
    (record,) = tell([(1, 0.1)], story, potential)
    assert (record["status"], record["batch_size"], potential.batches) == ("ok", 0, [])


def test_atoms_and_cell_may_move_and_what_is_asked_is_not_touched(tell):
    """The story keeps its own frame: outside of the cell, left-handed and not periodic along one axis."""

    def story(atoms):
        total = []
        for i in range(4):
            atoms.set_cell([[0, 12 + i, 0], [12, 0, 0], [0, 0, 12]])
            atoms.pbc = (True, True, False)
            atoms.positions[:, 2] += 40.0
            before = atoms.copy()
            answer = yield atoms
            assert atoms == before
            assert answer.stress_ev_per_ang3 is None
            total.append(answer)
        return outcome(atoms, total)

    assert [r["evaluations"] for r in tell([(2, 0.1), (3, 0.2)], story, Potential())] == [4, 4]


@pytest.mark.parametrize("caught", [False, True])
def test_a_configuration_with_an_element_that_the_model_does_not_know_is_not_shown_to_it(tell, caught):
    def story(atoms):
        first = yield atoms
        other = atoms.copy()
        other.symbols[0] = "Au"
        try:
            yield [atoms, other]
        except NoAnswer:
            if not caught:
                raise
        return outcome(atoms, [first])

    shown = []
    potential = Potential(misbehave=lambda batch: shown.extend(z for atoms in batch for z in atoms.numbers))
    potential.elements = frozenset({1})
    (record,) = tell([(2, 0.1)], story, potential)
    assert record["status"] == ("ok" if caught else "unsupported_element")
    assert record["batch_size"] == 1  # it was asked about the others
    assert set(shown) == {1}


def test_a_configuration_with_a_charge_is_not_shown_to_a_model_that_takes_none(tell):
    def story(atoms):
        atoms.info["charge"] = 1.0
        return outcome(atoms, [(yield atoms)])

    (record,) = tell([(2, 0.1)], story, Potential())
    assert record["status"] == "unsupported_property"


def test_suspects_are_alone_at_every_step_and_one_after_the_other(tell, tmp_path):
    (tmp_path / "records").mkdir()
    Journal(tmp_path / "records", ()).take_off([hash_of(1), hash_of(3)])
    order = []
    potential = Potential(misbehave=lambda batch: order.append([round(a.positions[0, 2], 1) for a in batch]))
    structures = [(1, 0.1), (1, 0.2), (1, 0.3), (1, 0.4), (1, 0.5)]
    told_of = tell(structures, lambda a: strains(a, [2, 2]), potential, atoms=100)
    assert [record["evaluations"] for record in told_of] == [4] * 5
    assert [batch for batch in order if {0.2, 0.4} & {*batch}] in ([[0.2]] * 4 + [[0.4]] * 4, [[0.4]] * 4 + [[0.2]] * 4)
    assert [len(batch) for batch in order[:-8]] == [6, 6]


def test_a_batch_of_one_story_that_killed_the_worker_is_known_by_its_atoms(tell, tmp_path):
    class GoneError(BaseException):
        pass

    def gone(batch):
        raise GoneError

    with pytest.raises(GoneError):
        tell([(2, 0.1)], lambda a: strains(a, [60]), Potential(misbehave=gone), atoms=100)
    journal = Journal(tmp_path / "records", ())
    assert journal.fell_atoms == 100
    assert not journal.condemned()


@pytest.mark.parametrize("ahead", [False, True])
def test_stopping_drops_those_under_way_and_the_next_worker_begins_them_again(tell, tmp_path, ahead):
    stop, potential = Event(), InTwoSteps()
    potential.misbehave = lambda batch: stop.set() if len(potential.batches) == 12 else None
    structures = [(2, 0.01 * (1 + i % 7)) for i in range(30)]
    first = tell(structures, lambda a: walk(a, length(a)), potential, stop=stop, ahead=ahead)
    assert 0 < sum(record is not None for record in first) < 30
    assert not (tmp_path / "records/inflight.json").exists()
    again = InTwoSteps()
    second = tell(structures, lambda a: walk(a, length(a)), again, ahead=ahead)
    for record, (size, mark) in zip(second, structures, strict=True):
        own(record, size, mark, round(100 * mark))
    left = sum(round(100 * mark) for (_, mark), record in zip(structures, first, strict=True) if record is None)
    assert again.evaluated == left
    assert max(Counter(line["structure"] for line in read_lines(tmp_path)).values()) == 1


@pytest.mark.parametrize("count", [12, 17, 25, 33, 60])
def test_what_is_prepared_ahead_is_used(tell, monkeypatch, count):
    """Until the last stories run out, though these end at different times."""
    guesses, used = 0, 0
    begin, take = Ahead.begin, Ahead.take

    def counted_begin(self, guess):
        nonlocal guesses
        guesses += bool(guess)
        begin(self, guess)

    def counted_take(self, batch):
        nonlocal used
        found = take(self, batch)
        used += found is not None
        return found

    monkeypatch.setattr(Ahead, "begin", counted_begin)
    monkeypatch.setattr(Ahead, "take", counted_take)
    structures = [(1 + i % 3, 0.01 * (5 + i % 11)) for i in range(count)]
    potential = InTwoSteps()
    tell(structures, lambda a: walk(a, length(a)), potential, atoms=12, ahead=True)
    assert used == guesses
    assert used > 0.4 * len(potential.batches)


def test_a_story_says_what_it_cost(tell):
    (record,) = tell([(2, 0.1)], lambda a: walk(a, 3), Potential())
    assert record["batch_size"] == 1
    assert record["wall_s"] > 0
