"""Checkpoints: a story whose worker was killed goes on from the answers that it had, and ends with the same digits."""

import json
import os
import signal
import subprocess
import sys
import time
from threading import Event

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from mira_cli import tasks
from tests.unit.worker.jobs import WORKFLOW, faulty, hash_of, read_lines, read_records, run_worker, write_job
from tests.unit.worker.toy_stories import InTwoSteps, Potential, length, outcome, own, strains, told, walk
from worker import under_way
from worker.contract import Answer, NoAnswer
from worker.kept_answers import Had, packed, rounds
from worker.progress import StoryProgress
from worker.under_way import UnderWay

OFTEN = """
import runpy, worker.under_way
worker.under_way.EVERY_S = 0.3
runpy.run_module("worker", run_name="__main__", alter_sys=True)
"""


class GoneError(BaseException):
    """The worker is gone, as if killed."""


def killed_after(batches: int) -> Potential:
    """A model whose worker is gone in the middle of a batch."""

    def gone(_):
        if len(potential.batches) > batches:
            raise GoneError

    potential = Potential(misbehave=gone)
    return potential


class AtOnce(UnderWay):
    """Keeps everything at once; and nothing at the end, as after `kill -9`."""

    def __init__(self, folder, every_s=0.0):
        super().__init__(folder, every_s)

    def close(self):
        pass


def killed(folder, structures, story, batches, **more):
    with pytest.raises(GoneError):
        told(folder, structures, story, killed_after(batches), kept=AtOnce(folder / "under_way"), **more)


STORIES = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 25)), min_size=1, max_size=12)


@given(stories=STORIES, at=st.integers(0, 40))
@settings(max_examples=40, deadline=None)
@pytest.mark.slow
def test_a_killed_worker_s_stories_go_on(tmp_path_factory, stories, at):
    """Each configuration is evaluated once, but for those of the batch that was in flight."""
    folder = tmp_path_factory.mktemp("killed")
    structures = [(size, k / 100) for size, k in stories]

    def story(atoms):
        return walk(atoms, length(atoms))

    first, again = killed_after(at), InTwoSteps()
    try:
        told(folder, structures, story, first, kept=AtOnce(folder / "under_way"))
        lost = 0
    except GoneError:
        lost = len(first.batches[-1])
    (folder / "records/inflight.json").unlink(missing_ok=True)  # who was in flight would be alone
    records = told(folder, structures, story, again, kept=AtOnce(folder / "under_way"))
    for record, (size, k) in zip(records, stories, strict=True):
        own(record, size, k / 100, k)
        assert record.get("evaluated_atoms", size) == size * k
    assert first.evaluated - lost + again.evaluated == sum(k for _, k in stories)
    assert [*(folder / "under_way").glob("*")] == []


@pytest.mark.parametrize("lists", [[3, 1, 4], [2, 0, 2, 5]])
def test_lists_are_given_back_together(tmp_path, lists):
    def story(atoms):
        return strains(atoms, lists)

    killed(tmp_path, [(2, 0.1)], story, 2, atoms=4)  # in the middle of a list
    again = Potential()
    (record,) = told(tmp_path, [(2, 0.1)], story, again, kept=AtOnce(tmp_path / "under_way"))
    (fresh,) = told(tmp_path_of(tmp_path), [(2, 0.1)], story, Potential())
    assert record["energy_ev"] == fresh["energy_ev"]
    assert record["evaluations"] == sum(lists)
    assert again.evaluated < sum(lists)


def tmp_path_of(folder):
    (folder / "fresh").mkdir()
    return folder / "fresh"


@pytest.mark.slow
def test_a_file_that_is_torn_or_damaged_anywhere_gives_what_is_whole_before(tmp_path):
    def story(atoms):
        return walk(atoms, 12)

    killed(tmp_path, [(2, 0.1)], story, 9)
    file = tmp_path / "under_way" / hash_of(0)
    whole = file.read_bytes()
    one = len(whole) // 9
    assert len(whole) == 9 * one
    damaged = [whole[:cut] for cut in range(0, len(whole), 7)]
    damaged += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(0, len(whole), 41)]
    damaged += [whole + whole[:one], whole + b"\0" * 1000]
    for number, content in enumerate(damaged):
        (folder := tmp_path / str(number)).mkdir()
        (folder / "under_way").mkdir()
        (folder / "under_way" / hash_of(0)).write_bytes(content)
        same = next((i for i, (a, b) in enumerate(zip(content, whole, strict=False)) if a != b), len(content))
        potential = Potential()
        (record,) = told(folder, [(2, 0.1)], story, potential, kept=AtOnce(folder / "under_way"))
        own(record, 2, 0.1, 12)
        assert potential.evaluated == 12 - min(9, same // one)


def test_answers_for_other_configurations_are_not_taken(tmp_path):
    """As after an update of what steps: the same as far as it goes, and no farther."""
    killed(tmp_path, [(2, 0.1)], lambda atoms: walk(atoms, 12), 9)

    def other(atoms):
        answers = []
        for k in range(12):
            answers.append((yield atoms))
            atoms.positions[:, 0] += 0.01 if k < 4 else 0.0100001
        return outcome(atoms, answers)

    potential = Potential()
    (record,) = told(tmp_path, [(2, 0.1)], other, potential, kept=AtOnce(tmp_path / "under_way"))
    (fresh,) = told(tmp_path_of(tmp_path), [(2, 0.1)], other, Potential())
    assert potential.evaluated == 12 - 5
    assert record["energy_ev"] == fresh["energy_ev"]


def test_a_story_that_had_no_answer_once_is_kept_up_to_there(tmp_path):
    def story(atoms):
        answers = []
        for k in range(10):
            if k == 4:
                atoms.positions[:, 1] = 9  # which the model answers with NaN
            try:
                answers.append((yield atoms))
            except NoAnswer:
                atoms.positions[:, 1] = 0.1
        return outcome(atoms, answers)

    killed(tmp_path, [(2, 0.1)], story, 8)
    potential = Potential()
    (record,) = told(tmp_path, [(2, 0.1)], story, potential, kept=AtOnce(tmp_path / "under_way"))
    assert record["evaluations"] == 9
    assert potential.evaluated == 10 - 4


def test_little_is_written_and_held(tmp_path, monkeypatch):
    """Nothing of short stories; what waits is bounded, and of those beyond it nothing is kept."""
    told(tmp_path, [(2, 0.1)] * 5, lambda atoms: walk(atoms, 10), Potential(), kept=UnderWay(tmp_path / "under_way"))
    assert not (tmp_path / "under_way").exists()
    monkeypatch.setattr(under_way, "MOST_BYTES", 3000)
    kept = AtOnce(tmp_path / "under_way", every_s=1e9)
    most = []
    potential = Potential(misbehave=lambda _: most.append(kept._bytes))
    folder = tmp_path_of(tmp_path)
    records = told(folder, [(2, 0.1)] * 20, lambda atoms: walk(atoms, 30), potential, kept=kept, atoms=20)
    assert [record["status"] for record in records] == ["ok"] * 20
    assert 2000 < max(most) <= 3000
    assert kept._bytes == 0


def test_what_cannot_be_written_costs_nothing_but_itself(tmp_path, capfd):
    (tmp_path / "under_way").write_text("a file")
    kept = AtOnce(tmp_path / "under_way")
    (record,) = told(tmp_path, [(2, 0.1)], lambda atoms: walk(atoms, 5), Potential(), kept=kept)
    own(record, 2, 0.1, 5)
    assert "nothing more is kept of" in capfd.readouterr().err


def relaxing(folder, **options):
    """A job that relaxes a rattled crystal in many steps, each of which takes a while."""
    folder.mkdir()
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.15, seed=3)
    task = tasks.find_task("relax")
    chosen = task.settings.model_validate({"fmax_ev_per_ang": 1e-4, "cell": "fixed"})
    return write_job(folder, [atoms], model=faulty(mode="sleep", **options), task=tasks.asked(task, chosen))


@pytest.mark.slow
def test_kill_9_in_a_relaxation_costs_its_last_seconds(tmp_path):
    (digest,) = relaxing(tmp_path / "undisturbed", seconds=0.0)
    assert run_worker(tmp_path / "undisturbed").returncode == 0
    wanted = read_records(tmp_path / "undisturbed")[digest]
    relaxing(tmp_path / "run", seconds=0.15)
    command = [sys.executable, "-c", OFTEN, "job.json", "--records", "records", "--done", "done.json"]
    environment = {**os.environ, "PYTHONPATH": str(WORKFLOW)}
    process = subprocess.Popen(command, cwd=tmp_path / "run", env=environment, stderr=subprocess.DEVNULL)
    file = tmp_path / "run/under_way" / digest
    until = time.monotonic() + 60
    while not (file.exists() and file.stat().st_size > 500) and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert read_lines(tmp_path / "run") == []
    had = [*rounds(file.read_bytes())]
    assert len(had) >= 2
    assert run_worker(tmp_path / "run").returncode == 0
    record = read_records(tmp_path / "run")[digest]
    same = ("status", "energy_ev", "n_steps", "n_evaluations", "fmax_ev_per_ang", "evaluated_atoms")
    assert {name: record[name] for name in same} == {name: wanted[name] for name in same}
    np.testing.assert_array_equal(record["forces"], wanted["forces"])
    said = json.loads((tmp_path / "run/done.json").read_text())
    assert said["atoms_per_s"] == pytest.approx(4 * record["n_evaluations"] / said["evaluate_s"], rel=0.01)
    assert record["wall_s"] > 0.14 * record["n_evaluations"]  # what the dead worker took counts
    assert not file.exists()


def test_who_watches_is_told_of_stories_that_take_long(tmp_path):
    """While they are under way, and no more; of single points nothing."""
    file = tmp_path / "progress.json"
    seen = []
    potential = Potential(misbehave=lambda _: seen.append(json.loads(file.read_text()) if file.exists() else None))
    told(tmp_path, [(2, 0.05), (2, 0.1)], lambda atoms: walk(atoms, length(atoms)), potential,
         progress=StoryProgress(file, every_s=0.0))  # fmt: skip
    assert seen[0] is None
    assert seen[3] == {"evaluations": 6, "under_way": 2, "longest": 3}
    assert seen[-1] == {"evaluations": 14, "under_way": 1, "longest": 9}
    assert not file.exists()
    seen.clear()
    folder = tmp_path_of(tmp_path)
    told(folder, [(2, 0.1)] * 40, lambda atoms: walk(atoms, 1), potential, progress=StoryProgress(file, every_s=0.0))
    assert {*seen} == {None}


def test_a_worker_that_is_told_to_stop_keeps_what_took_a_second(tmp_path):
    """So that a time limit costs next to nothing; a story of less is as well told again."""
    slow = (lambda batch: time.sleep(1.1) if len(potential.batches) == 3 else None, 3)
    quick = (lambda _: None, 0)
    for number, (misbehave, kept_answers) in enumerate((slow, quick)):
        stop, folder = Event(), tmp_path / str(number)
        folder.mkdir()
        potential = Potential(misbehave=misbehave)

        def story(atoms, stop=stop):
            for k in range(9):
                yield atoms
                if k == 4:
                    stop.set()
            return outcome(atoms, [])

        told(folder, [(2, 0.1)], story, potential, stop=stop, kept=UnderWay(folder / "under_way", 1000.0))
        file = folder / "under_way" / hash_of(0)
        assert file.exists() == bool(kept_answers)
        if kept_answers:
            assert len([*rounds(file.read_bytes())]) == 5


@pytest.mark.parametrize("stress", [None, np.arange(6.0)])
@pytest.mark.parametrize("virial", [None, -np.arange(6.0)])
def test_answers_are_kept_whole(stress, virial) -> None:
    """A slab has a virial and no stress; without it, its cell could not be relaxed further."""
    had = Had(b"h" * 16, Answer(-1.5, np.arange(6.0).reshape(2, 3), stress, virial), 1, 7, 0.25)
    (((found,), end),) = rounds(packed(had))
    assert end == len(packed(had))
    assert (found.configuration, found.together, found.batch_size, found.wall_s) == (had.configuration, 1, 7, 0.25)
    assert found.answer.energy_ev == -1.5
    assert np.array_equal(found.answer.forces_ev_per_ang, had.answer.forces_ev_per_ang)
    for name in ("stress_ev_per_ang3", "virial_ev"):
        kept, given = getattr(found.answer, name), getattr(had.answer, name)
        assert (kept is None) is (given is None)
        assert given is None or np.array_equal(kept, given)
