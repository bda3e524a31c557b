"""Milestones: a very long story goes on from its last one, to the last digit, and nothing of its answers is kept."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from ase.build import bulk

from mira_cli import tasks
from tests.unit.worker.jobs import WORKFLOW, faulty, hash_of, read_lines, run_worker, write_job
from tests.unit.worker.test_under_way import OFTEN, AtOnce, GoneError, killed_after
from tests.unit.worker.toy_stories import Potential, length, told, walk
from worker.contract import Milestone, NoAnswer, Outcome
from worker.journal import Journal
from worker.milestones import Reached, is_like, read_milestone, write_milestone
from worker.under_way import UnderWay

EVERY = 4  # steps from one milestone to the next


def stroll(atoms, k, every=EVERY):
    """Go k steps along x, each by the answer to the one before; milestones now and then."""
    state = {"step": np.array(0), "x": atoms.positions[:, 0].copy(), "sum": np.zeros(1)}
    while True:
        state = yield Milestone(state)
        for step in range(int(state["step"]), min(int(state["step"]) + every, k)):
            atoms.positions[:, 0] = state["x"]
            answer = yield atoms
            state["x"] += 0.001 * np.sin(1 + answer.forces_ev_per_ang[:, 0])
            state["sum"] += answer.energy_ev
            state["step"] = np.array(step + 1)
        if state["step"] >= k:
            return Outcome("ok", values={"energy_ev": float(state["sum"][0]), "evaluations": k},
                           arrays={"forces": np.outer(state["x"], [1, 0, 0]), "means": np.zeros(2)})  # fmt: skip


def strolls(atoms):
    return stroll(atoms, length(atoms))


STRUCTURES = [(2, 0.11), (3, 0.23), (1, 0.02), (2, 0.3)]


@pytest.mark.parametrize("at", [0, 1, 5, 9, 17, 26])
def test_a_killed_worker_s_stories_go_on_from_their_milestones(tmp_path, at) -> None:
    (fresh := tmp_path / "fresh").mkdir()
    wanted = told(fresh, STRUCTURES, strolls, Potential())
    first, again = killed_after(at), Potential()
    with pytest.raises(GoneError):
        told(tmp_path, STRUCTURES, strolls, first, kept=AtOnce(tmp_path / "under_way"))
    (tmp_path / "records/inflight.json").unlink(missing_ok=True)
    records = told(tmp_path, STRUCTURES, strolls, again, kept=AtOnce(tmp_path / "under_way"))
    same = ("status", "energy_ev", "evaluations", "evaluated_atoms")
    for record, one in zip(records, wanted, strict=True):
        assert {name: record.get(name) for name in same} == {name: one.get(name) for name in same}
        np.testing.assert_array_equal(record["forces"], one["forces"])
    total = sum(k for k in (11, 23, 2, 30))
    lost = first.evaluated + again.evaluated - total
    assert 0 <= lost <= (EVERY + 1) * len(STRUCTURES)
    assert [*(tmp_path / "under_way").glob("*")] == []


def test_what_is_kept_does_not_grow(tmp_path) -> None:
    sizes = []
    for at in (9, 90):
        (folder := tmp_path / str(at)).mkdir()
        with pytest.raises(GoneError):
            told(folder, [(2, 0.1)], lambda atoms: stroll(atoms, 100), killed_after(at), kept=AtOnce(folder / "u"))
        assert [file.name for file in (folder / "u").iterdir()] == [f"{hash_of(0)}.npz"]
        sizes.append((folder / "u" / f"{hash_of(0)}.npz").stat().st_size)
    assert sizes[0] == sizes[1] < 2000


def test_a_milestone_that_is_damaged_or_of_another_kind_is_not_taken(tmp_path) -> None:
    with pytest.raises(GoneError):
        told(tmp_path, [(2, 0.1)], strolls, killed_after(7), kept=AtOnce(tmp_path / "under_way"))
    file = tmp_path / "under_way" / f"{hash_of(0)}.npz"
    whole = file.read_bytes()
    (other := tmp_path / "other").mkdir()
    write_milestone(other / "a.npz", Reached({"step": np.array(3)}, 1, 2, 0.5))
    # every byte of the arrays: what a zip file says of itself may be damaged without harm
    data = whole.rindex(b"state.sum.npy", 0, whole.rindex(b"PK\x01\x02"))
    damaged = [whole[:cut] for cut in range(0, len(whole), 97)]
    damaged += [whole[: data + 140] + bytes([whole[data + 140] ^ 1]) + whole[data + 141 :]]
    damaged += [(other / "a.npz").read_bytes(), b""]
    for number, content in enumerate(damaged):
        (folder := tmp_path / str(number) / "under_way").mkdir(parents=True)
        (folder / file.name).write_bytes(content)
        potential = Potential()
        (record,) = told(folder.parent, [(2, 0.1)], strolls, potential, kept=AtOnce(folder))
        assert (record["status"], potential.evaluated) == ("ok", 10)


@pytest.mark.parametrize("story", [strolls, lambda atoms: walk(atoms, length(atoms))])
@pytest.mark.parametrize(("every_s", "condemned"), [(0.0, set()), (1e9, {hash_of(0)})])
def test_who_goes_on_between_deaths_is_not_condemned(tmp_path, story, every_s, condemned) -> None:
    """A trajectory of days may be killed more often than twice."""
    for _ in range(3):
        kept = AtOnce(tmp_path / "under_way", every_s)
        with pytest.raises(GoneError):
            told(tmp_path, [(2, 0.4)], story, killed_after(9), kept=kept)
    assert Journal(tmp_path / "records", {}).condemned() == condemned


def test_a_milestone_is_read_as_it_was_written(tmp_path) -> None:
    state = {"a": np.array([0.1, np.pi]), "n": np.array(2**60 + 1), "b": np.zeros((0, 3))}
    write_milestone(tmp_path / "deep/m.npz", Reached(state, 5, 70, 0.25))
    found = read_milestone(tmp_path / "deep/m.npz")
    assert found is not None
    assert found[1:] == (5, 70, 0.25)
    assert is_like(found.state, state)
    for name, array in state.items():
        np.testing.assert_array_equal(found.state[name], array)
    assert read_milestone(tmp_path / "none.npz") is None
    assert not is_like(state, {"a": state["a"]})
    assert not is_like({"a": np.zeros(2)}, {"a": np.zeros(3)})
    assert not is_like({"a": np.zeros(2)}, {"a": np.zeros(2, int)})


def test_nothing_is_written_of_a_story_that_is_short(tmp_path) -> None:
    told(tmp_path, [(2, 0.1)] * 3, strolls, Potential(), kept=UnderWay(tmp_path / "under_way"))
    assert not (tmp_path / "under_way").exists()


def test_a_story_goes_on_after_a_configuration_without_answer(tmp_path) -> None:
    def story(atoms):
        ground = atoms.positions.copy()
        state = yield Milestone({"y": np.array(9.0)})
        atoms.positions[:, 1] = state["y"]  # which the model answers with NaN
        with pytest.raises(NoAnswer):
            yield atoms
        atoms.positions[:] = ground
        yield Milestone({"y": np.array(1.0)})
        answer = yield atoms
        return Outcome("ok", values={"energy_ev": answer.energy_ev, "evaluations": 2},
                       arrays={"forces": ground, "means": np.zeros(2)})  # fmt: skip

    (record,) = told(tmp_path, [(2, 0.1)], story, Potential(), kept=AtOnce(tmp_path / "a"))
    assert (record["status"], record["energy_ev"]) == ("ok", 0.2)


def test_the_first_milestone_comes_before_anything_is_asked(tmp_path) -> None:
    def story(atoms):
        yield atoms
        yield Milestone({"step": np.array(0)})

    (record,) = told(tmp_path, [(2, 0.1)], story, Potential())
    assert record["status"] == "failed"
    assert "asked for something before its first milestone" in record["error"]


def moving(folder, **options) -> str:
    """A job of molecular dynamics at a constant pressure, each step of which takes a while."""
    folder.mkdir()
    task = tasks.find_task("md")
    chosen = task.settings.model_validate(
        {"ensemble": "npt", "min_length_ang": 0, "timestep_fs": 4, "sample_fs": 8, "duration_ps": 0.2,
         "equilibration_ps": 0.1, "max_drift_ev_per_atom_per_ps": 1}
    )  # fmt: skip
    model = faulty(mode="sleep", **options)
    (digest,) = write_job(folder, [bulk("Cu", cubic=True)], model=model, task=tasks.asked(task, chosen))
    return digest


@pytest.mark.slow
def test_kill_9_in_a_trajectory_costs_its_last_seconds_and_changes_no_digit(tmp_path) -> None:
    digest = moving(tmp_path / "undisturbed", seconds=0.0)
    assert run_worker(tmp_path / "undisturbed").returncode == 0
    (wanted,) = read_lines(tmp_path / "undisturbed")
    assert wanted["status"] == "ok"
    moving(tmp_path / "run", seconds=0.05)
    command = [sys.executable, "-c", OFTEN, "job.json", "--records", "records", "--done", "done.json"]
    environment = {**os.environ, "PYTHONPATH": str(WORKFLOW)}
    process = subprocess.Popen(command, cwd=tmp_path / "run", env=environment, stderr=subprocess.DEVNULL)
    file = tmp_path / "run/under_way" / f"{digest}.npz"
    until = time.monotonic() + 60
    while time.monotonic() < until and not ((kept := read_milestone(file)) and kept.state["step"] > 30):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert read_lines(tmp_path / "run") == []
    kept = read_milestone(file)
    assert kept is not None
    assert kept.state["n"] > 0  # of samples: it was killed after warming up
    assert kept.evaluations == kept.state["step"] + 1
    assert run_worker(tmp_path / "run").returncode == 0
    (record,) = read_lines(tmp_path / "run")
    differ = {"wall_s", "max_rss_mb"}
    assert {k: v for k, v in record.items() if k not in differ} == {k: v for k, v in wanted.items() if k not in differ}
    assert record["evaluated_atoms"] == 4 * (75 + 1)  # as if nobody had been killed
    assert record["wall_s"] > 0.05 * 75  # what the dead worker took counts
    for name in tasks.find_task("md").arrays:
        same, one = (np.fromfile(tmp_path / place / f"records/{name}.f64") for place in ("run", "undisturbed"))
        np.testing.assert_array_equal(same, one)
        assert len(same) >= 25
    assert not file.exists()
