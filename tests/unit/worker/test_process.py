"""The worker as the workflow starts it: a process that is killed, stopped, crashed and short of space."""

import json
import resource
import signal
import time

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT

from tests.unit.worker.jobs import (
    WORKFLOW,
    faulty,
    hash_of,
    read_lines,
    read_records,
    run_worker,
    start_worker,
    write_job,
)

N_CELLS = 120


def cells(n: int = N_CELLS, symbol: str = "Cu") -> list[Atoms]:
    found = [bulk(symbol, cubic=True).repeat((2, 1 + i % 2, 1)) for i in range(n)]
    for i, atoms in enumerate(found):
        atoms.rattle(0.05, seed=i)
    return found


def done(folder) -> dict:
    return json.loads((folder / "done.json").read_text())


def wait_for(condition, *, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.01)


def check_emt(folder, structures) -> None:
    records = read_records(folder)
    assert list(records) != []
    assert set(records) == {hash_of(i) for i in range(len(structures))}
    for i, atoms in enumerate(structures):
        record, same = records[hash_of(i)], atoms.copy()
        same.calc = EMT()
        assert record["status"] == "ok"
        assert record["energy_ev"] == pytest.approx(same.get_potential_energy(), abs=1e-9)
        np.testing.assert_allclose(record["forces"], same.get_forces(), atol=1e-9)


def test_a_job_from_start_to_end(tmp_path):
    structures = [*cells(3), fcc111("Au", (1, 1, 3), vacuum=5), molecule("H2O")]
    unknown = Atoms("Xe", cell=[4, 4, 4], pbc=True)
    write_job(tmp_path, [*structures, unknown])
    result = run_worker(tmp_path, "--threads", "1")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    records = read_records(tmp_path)
    assert records.pop(hash_of(5))["error"] == "the model does not know Xe"
    assert [records[hash_of(i)]["stress_ev_per_ang3"] is not None for i in range(5)] == [True] * 3 + [False] * 2
    summary = done(tmp_path)
    assert summary["counts"] == {"ok": 5, "unsupported_element": 1}
    assert (summary["structures"], summary["attempts"], summary["job"]) == (6, 1, "ab12")
    assert summary["structures_per_s"] > 0
    (attempt,) = read_lines(tmp_path, "attempt")
    assert attempt["device"] == "cpu"
    assert attempt["threads"] == 1
    assert attempt["packages"]["ase"]
    assert attempt["image"]["runtime"] == "host"
    assert attempt["network"] in {"isolated", "open"}
    assert {p.name for p in tmp_path.iterdir()} == {"work", "job.json", "records", "done.json"}
    assert {p.name for p in (tmp_path / "records").iterdir()} == {"records.jsonl", "forces.f64", "lock"}


def test_every_record_is_what_ase_says(tmp_path):
    structures = [*cells(4), fcc111("Au", (1, 1, 3), vacuum=5, periodic=False), molecule("H2O"), Atoms("Pt")]
    write_job(tmp_path, structures)
    assert run_worker(tmp_path).returncode == 0
    check_emt(tmp_path, structures)


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_and_resumed(tmp_path, seed):
    """SIGKILL again and again: every structure has one record in the end, and nobody is blamed for long."""
    write_job(tmp_path, structures := cells(), batch_atoms=24)
    rng = np.random.default_rng(seed)
    for kill in range(1, 4):
        worker = start_worker(tmp_path)
        wait_for(lambda some=20 * kill: len(whole_lines(tmp_path)) > some)
        time.sleep(rng.uniform(0, 0.05))
        assert worker.poll() is None, "the test is too slow to kill it"
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
    assert run_worker(tmp_path).returncode == 0
    check_emt(tmp_path, structures)
    assert done(tmp_path)["counts"] == {"ok": N_CELLS}
    assert done(tmp_path)["attempts"] == len(read_lines(tmp_path, "attempt")) == 4


def test_a_finished_job_is_not_started_again(tmp_path):
    write_job(tmp_path, cells(2))
    assert run_worker(tmp_path).returncode == 0
    (tmp_path / "done.json").unlink()
    assert run_worker(tmp_path).returncode == 0
    assert done(tmp_path)["attempts"] == 1
    assert len(read_records(tmp_path)) == 2


def test_a_structure_that_kills_its_worker_is_given_up(tmp_path):
    structures = [*cells(5), Atoms("Au", cell=[4] * 3, pbc=True), *cells(3)]
    write_job(tmp_path, structures, model=faulty(mode="crash", only_element="Au"))
    codes = [run_worker(tmp_path).returncode for _ in range(3)]
    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 0]
    records = read_records(tmp_path)
    assert records.pop(hash_of(5))["error"].startswith("the worker died twice while evaluating this structure")
    assert {r["status"] for r in records.values()} == {"ok"}
    assert done(tmp_path)["counts"] == {"ok": 8, "failed": 1}
    assert not (tmp_path / "records/inflight.json").exists()


def test_a_batch_that_kills_its_worker_comes_back_smaller(tmp_path):
    """As where the system kills a process that takes too much memory: the tries of a job must do."""
    write_job(tmp_path, cells(), model=faulty(mode="crash", max_atoms=200))
    codes = [run_worker(tmp_path).returncode for _ in range(3)]
    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 0]
    assert done(tmp_path)["counts"] == {"ok": N_CELLS}


def test_innocents_are_recorded_while_a_suspect_is_tried(tmp_path):
    structures = [Atoms("Au", cell=[4] * 3, pbc=True), *cells(5)]
    write_job(tmp_path, structures, model=faulty(mode="crash", only_element="Au"))
    for _ in range(2):
        assert run_worker(tmp_path).returncode == -signal.SIGKILL
    assert len(read_records(tmp_path)) == 5


@pytest.mark.parametrize(
    ("mode", "statuses"),
    [
        ("evaluate", {"ok": 3, "failed": 1}),
        ("nan", {"ok": 3, "nonfinite": 1}),
        ("oom", {"ok": 3, "oom": 1}),
    ],
)
def test_faults_of_one_structure(tmp_path, mode, statuses):
    structures = [*cells(3), Atoms("Au", cell=[4] * 3, pbc=True)]
    write_job(tmp_path, structures, model=faulty(mode=mode, only_element="Au"))
    assert run_worker(tmp_path).returncode == 0
    assert done(tmp_path)["counts"] == statuses


def test_batches_shrink_to_what_fits(tmp_path):
    write_job(tmp_path, cells(6), model=faulty(mode="oom", max_atoms=16))
    assert run_worker(tmp_path).returncode == 0
    assert done(tmp_path)["counts"] == {"ok": 6}
    assert all(r["batch_size"] * r["n_atoms"] <= 16 for r in read_records(tmp_path).values())


def test_told_to_stop_between_batches(tmp_path):
    write_job(tmp_path, structures := cells(), batch_atoms=24)
    worker = start_worker(tmp_path)
    wait_for(lambda: len(whole_lines(tmp_path)) > 5)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 128 + signal.SIGTERM
    worker.communicate()
    assert not (tmp_path / "done.json").exists()
    assert not (tmp_path / "records/inflight.json").exists()
    assert 5 < len(read_records(tmp_path)) < N_CELLS
    assert run_worker(tmp_path).returncode == 0
    check_emt(tmp_path, structures)


def whole_lines(folder) -> list:
    """Lines but the first, while somebody writes."""
    log = folder / "records/records.jsonl"
    return log.read_bytes().split(b"\n")[1:-1] if log.exists() else []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_told_to_stop_within_a_batch_blames_nobody(tmp_path, number):
    structures = [*cells(2), Atoms("Au", cell=[4] * 3, pbc=True)]
    write_job(tmp_path, structures, model=faulty(mode="sleep", only_element="Au"), batch_atoms=1)
    worker = start_worker(tmp_path)
    wait_for(lambda: "Au" in in_flight(tmp_path, structures))
    worker.send_signal(number)
    assert worker.wait(timeout=60) == 128 + number
    worker.communicate()
    assert not (tmp_path / "records/inflight.json").exists()
    assert len(read_records(tmp_path)) == 2


def in_flight(folder, structures) -> list[str]:
    try:
        hashes = json.loads((folder / "records/inflight.json").read_text())["in_flight"]
    except FileNotFoundError:
        return []
    return [str(structures[i].symbols) for i in range(len(structures)) if hash_of(i) in hashes]


@pytest.mark.parametrize("end", ["finished", "killed"])
def test_a_second_worker_waits_and_computes_what_the_first_has_left(tmp_path, end):
    write_job(tmp_path, cells(4), model=faulty(mode="sleep", seconds=1.0), batch_atoms=1)
    first = start_worker(tmp_path)
    wait_for(lambda: read_lines(tmp_path))
    second = start_worker(tmp_path)
    said = second.stderr.readline()
    assert said.startswith(f"worker: process {first.pid} on ")
    assert said.endswith(f" is at work in {tmp_path / 'records'}: waiting for its end\n")
    if end == "killed":
        first.kill()
    first.communicate()
    left = 4 - len(read_lines(tmp_path))
    assert (left == 0) is (end == "finished")
    _, more = second.communicate(timeout=60)
    assert (second.returncode, more) == (0, "")
    assert set(read_records(tmp_path)) == {hash_of(i) for i in range(4)}
    assert done(tmp_path)["counts"] == {"ok": 4}
    assert len(read_lines(tmp_path, "attempt")) == (2 if left else 1)


def test_a_worker_that_waits_for_another_one_can_be_stopped(tmp_path):
    write_job(tmp_path, [Atoms("Au", cell=[4] * 3, pbc=True)], model=faulty(mode="sleep"))
    first = start_worker(tmp_path)
    wait_for((tmp_path / "records/inflight.json").exists)
    second = start_worker(tmp_path)
    assert "waiting for its end" in second.stderr.readline()
    second.send_signal(signal.SIGTERM)
    _, said = second.communicate(timeout=60)
    assert second.returncode == 128 + signal.SIGTERM
    assert said == f"worker: error: told to stop while {(tmp_path / 'records/lock').read_text().strip()} was at work\n"
    first.kill()
    first.communicate()


def limit_file_size(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("size", [0, 10, 900, 2000, 5000, 10000])
def test_out_of_space_anywhere(tmp_path, size):
    """A limit on file sizes stands for the full disk; it strikes in other files as it grows."""
    write_job(tmp_path, structures := cells(40), batch_atoms=64)
    result = run_worker(tmp_path, preexec_fn=lambda: limit_file_size(size))
    assert result.returncode == 74, result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "nothing finished is lost" in result.stderr
    assert not (tmp_path / "done.json").exists()
    assert not (tmp_path / "records/inflight.json").exists(), "a structure is blamed for the full disk"
    kept = len(read_records(tmp_path)) if (tmp_path / "records/forces.f64").exists() else 0
    assert run_worker(tmp_path).returncode == 0
    assert len(read_records(tmp_path)) >= kept
    check_emt(tmp_path, structures)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"family": "nonsense"}}, "there is no model family 'nonsense'"),
        ({"model": {"checkpoint": {"bundled": "nonsense"}}}, "ships no weights 'nonsense'"),
        ({"model": {"dtype": "float32"}}, "emt computes in float64, not in float32"),
        ({"model": {"family": "sevennet", "dtype": "float32"}}, "this image cannot import"),
        ({"model": faulty(mode="load")}, "fails to load on purpose"),
        ({"task": {"name": "nonsense", "settings": {}}}, "there is no task 'nonsense'"),
        ({"task": {"name": "singlepoint", "settings": {}, "version": 99}}, "version 1 here, and the job wants 99"),
        ({"task": {"name": "singlepoint", "settings": {"fmax": 1}}}, "task singlepoint has no setting fmax"),
        ({"device": "cuda"}, "runs on the CPU only"),
        ({"structures": [{"file": "gone.npz", "rows": [0]}]}, "there is no structure pack gone.npz"),
    ],
)
def test_a_job_that_cannot_be_done(tmp_path, changes, message):
    write_job(tmp_path, cells(1), **changes)
    result = run_worker(tmp_path)
    assert result.returncode == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert read_lines(tmp_path) == []
    assert not (tmp_path / "done.json").exists()


def test_failing_to_load_a_few_times(tmp_path):
    counter = str(tmp_path / "count")
    write_job(tmp_path, cells(1), model=faulty(mode="load", times=2, counter=counter))
    assert [run_worker(tmp_path).returncode for _ in range(3)] == [1, 1, 0]


def test_nothing_to_do(tmp_path):
    write_job(tmp_path, [])
    assert run_worker(tmp_path).returncode == 0
    summary = done(tmp_path)
    assert (summary["structures"], summary["counts"], summary["structures_per_s"]) == (0, {}, None)


def test_a_relative_pythonpath(tmp_path):
    """The workflow's path may be relative, and the worker changes its folder."""
    write_job(tmp_path, cells(1))
    (tmp_path / "code").symlink_to(WORKFLOW)
    assert run_worker(tmp_path, env={"PYTHONPATH": "code"}).returncode == 0
