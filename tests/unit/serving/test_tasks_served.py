"""Tasks over HTTP: the numbers of a run, answered beside others, given up with whoever has asked."""

import csv
import http.client
import json
import os
import signal
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from mira_cli.serving.waiting import MOST_LONG, Waiting, take_next
from mira_cli.structures.geometry import geometry_from_ase
from tests.servers import CU, JSON, serving, wait_until

STRETCHED = CU | {"cell": [[3.8, 0, 0], [0, 3.6, 0], [0, 0, 3.6]]}
LONG = {"duration_ps": 1000.0, "equilibration_ps": 0.0, "sample_fs": 1000.0}  # hours


@pytest.fixture(scope="module")
def server():
    with serving("-m", "emt,lj", "--keep", "2", "--threads", "1", "--max-atoms", "300", "--timeout", "60") as one:
        one.multi(["emt", "lj"])
        yield one


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_idle(pid: int) -> bool:
    before = cpu_s(pid)
    time.sleep(0.5)
    return cpu_s(pid) - before < 0.05


@pytest.mark.parametrize("task", ["relax", "eos", "elastic", "phonons"])
def test_a_task_has_the_numbers_of_a_run(task, server, mira, tmp_path) -> None:
    code, said = server.single("emt", STRETCHED, task=task)
    assert (code, said["status"], said["task"]) == (200, "ok", task)
    one = Atoms(STRETCHED["symbols"], STRETCHED["positions"], cell=STRETCHED["cell"], pbc=True)
    write(tmp_path / "one.extxyz", one)
    ended = mira("run", tmp_path / "one.extxyz", "--models", "emt", "--task", task, "--output", tmp_path / "run")
    assert ended.returncode == 0, ended.stderr
    with (tmp_path / "run" / "comparison.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert len(said["values"]) > 5
    for name, value in said["values"].items():
        if isinstance(value, float):
            assert value == pytest.approx(float(row[name]), abs=1e-8, rel=1e-6), name
        else:
            written = value if isinstance(value, str) else json.dumps(value).replace("null", "")
            assert written == row[name], name
    assert list((tmp_path / "run" / "work" / "records" / "emt").glob(said["key"]))


def test_a_relaxed_geometry_is_told(server) -> None:
    said = server.single("emt", STRETCHED, task="relax")[1]
    cell = np.array(said["arrays"]["cell"])
    assert abs(np.linalg.det(cell)) == pytest.approx(said["values"]["volume_ang3"])
    assert np.shape(said["arrays"]["positions"]) == np.shape(said["arrays"]["forces"]) == (4, 3)
    again = STRETCHED | {"positions": said["arrays"]["positions"], "cell": cell.tolist()}
    assert server.single("emt", again)[1]["energy_ev"] == pytest.approx(said["values"]["energy_ev"])
    assert said["settings"]["max_steps"] == 500


def test_settings_are_those_of_a_run_and_what_stops_early_says_so(server) -> None:
    far = STRETCHED | {"cell": [[4.5, 0, 0], [0, 3.6, 0], [0, 0, 3.6]]}
    code, said = server.single("emt", far, task="relax", settings={"max_steps": 1, "fmax_ev_per_ang": 1e-5})
    assert (code, said["status"]) == (200, "not_converged")
    assert said["values"]["n_steps"] == 1
    assert said["settings"]["fmax_ev_per_ang"] == 1e-5


@pytest.mark.parametrize(
    ("task", "settings", "sentence"),
    [
        ("dance", {}, "there is no task `dance`"),
        ("relax", {"fmax": 0.1}, "task `relax` has no setting `fmax`"),
        ("relax", {"max_steps": -1}, "setting `max_steps` must be at least 1, not -1"),
        ("relax", {"cell": "fixed", "pressure_gpa": 1}, "means nothing with `cell` fixed"),
        ("single_point", {"cell": "full"}, "task `singlepoint` has no setting `cell`"),
        ("relax", {"cell": ["full"]}, "`settings.cell` must be a number, a text of up to 100 letters, true or false"),
        ("formation", {}, "the task `formation` compares structures with one another, and a request has one"),
    ],
)
def test_tasks_that_mean_nothing_are_refused(task, settings, sentence, server) -> None:
    code, said = server.single("emt", task=task, settings=settings)
    assert code == 422
    assert sentence in said["error"]
    assert said["hint"]


def test_atoms_are_held_and_fragments_told_apart(server) -> None:
    moved = STRETCHED | {"fixed": [0, 2], "positions": [[0.2, 0, 0], *CU["positions"][1:]]}
    said = server.single("emt", moved, task="relax", settings={"cell": "fixed"})[1]
    assert said["values"]["n_fixed"] == 2
    ends, starts = np.array(said["arrays"]["positions"]), np.array(moved["positions"])
    assert np.array_equal(ends[[0, 2]], starts[[0, 2]])
    assert not np.allclose(ends[[1, 3]], starts[[1, 3]])
    pairs = {"symbols": ["Cu"] * 4, "positions": [[0, 0, 0], [0, 0, 2.4], [0, 3.8, 0], [0, 3.8, 2.4]]}
    said = server.single("emt", {**pairs, "fragment": [0, 0, 1, 1]}, task="interaction")[1]
    whole = server.single("emt", pairs)[1]["energy_ev"]
    half = server.single("emt", {"symbols": ["Cu"] * 2, "positions": pairs["positions"][:2]})[1]["energy_ev"]
    assert said["values"]["interaction_energy_ev"] == pytest.approx(whole - 2 * half)
    for wrong in ({"fixed": [4]}, {"fragment": [0, 1]}):
        code, said = server.single("emt", {**CU, **wrong}, task="relax")
        assert (code, said["status"]) == (422, "invalid_input")
    code, said = server.single("emt", CU | {"fixed": [True, False, False, False]}, task="relax")
    assert (code, said["error"]) == (422, "`atoms.fixed.0` must be a whole number")
    assert server.single("emt", CU | {"fixed": None, "fragment": None}, task="relax", settings=None)[0] == 200


def test_several_models_are_asked_for_a_task(server) -> None:
    code, said = server.multi(["emt", "lj"], STRETCHED, task="relax", settings={"cell": "fixed"})
    assert code == 200
    assert [one["model"] for one in said["answers"]] == ["emt", "lj"]
    assert said["answers"][0]["values"]["n_steps"] >= 1


def test_a_supercell_is_no_way_around_the_limit_of_atoms(server) -> None:
    code, said = server.single("emt", task="phonons", settings={"min_length_ang": 60.0})
    assert (code, said["status"]) == (200, "invalid_result")
    assert "300 are the most of one request" in said["error"]
    assert server.single("emt", task="phonons")[0] == 200


def test_others_are_answered_while_a_task_is_under_way_and_it_ends_with_whoever_asked(server) -> None:
    server.single("emt")
    (pid,) = (pid for pid in server.workers() if pid in server_pids(server, "emt"))
    wait_until(lambda: is_idle(pid), "it has nothing to do")
    body = json.dumps({"model_name": "emt", "atoms": STRETCHED, "task": "md", "settings": LONG}).encode()
    connection = http.client.HTTPConnection(server.address, timeout=60)
    connection.request("POST", "/api/v1/single_point", body, JSON)
    wait_until(lambda: not is_idle(pid), "it computes")
    with ThreadPoolExecutor(8) as clients:
        codes = list(clients.map(lambda n: server.single("emt", task=("single_point", "relax")[n % 2])[0], range(40)))
    assert codes == [200] * 40
    assert not is_idle(pid)
    connection.close()
    wait_until(lambda: is_idle(pid), "it is given up")
    assert server.single("emt")[0] == 200
    assert pid in server.workers()


def server_pids(server, model: str) -> list[int]:
    return [pid for pid in server.workers() if f'"{model}"' in _job_of(pid)]


def _job_of(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return next(Path(word.decode()).read_text() for word in words if word.endswith(b"job.json"))


def test_a_task_has_a_time() -> None:
    with serving("-m", "emt", "--threads", "1", "--timeout", "3") as server:
        wait_until(lambda: server.single("emt")[0] == 200, "it is loaded")
        (pid,) = server.workers()
        code, said = server.single("emt", STRETCHED, task="md", settings=LONG)
        assert (code, said["status"]) == (504, "late")
        wait_until(lambda: is_idle(pid), "it is given up")
        assert server.workers() == [pid]


def test_single_points_go_on_while_those_that_may_have_cost_a_worker_are_tried() -> None:
    settings = LONG | {"min_length_ang": 7.0}
    with serving("-m", "emt", "--threads", "1", "--timeout", "90") as server, ThreadPoolExecutor(3) as others:
        server.single("emt")
        (pid,) = server.workers()
        ask = partial(server.single, "emt", STRETCHED, task="md")
        busy = [others.submit(ask, settings=settings | {"seed": n}) for n in (1, 2, 3)]
        wait_until(lambda: server.model("emt")["asked"] == 4 and not is_idle(pid), "it computes")
        os.killpg(pid, signal.SIGKILL)
        for _ in range(5):
            assert server.call("POST", "/api/v1/single_point", {"model_name": "emt", "atoms": CU}, timeout=30)[0] == 200
        assert not any(one.done() for one in busy)
        server.end()  # what is asked is told so
        assert {one.result(60)[0] for one in busy} == {503}
        assert {one.result()[1]["error"] for one in busy} == {"the server is ending"}


def test_long_tasks_are_shared_by_replicas() -> None:
    with (
        serving("-m", "emt", "--replicas", "2", "--threads", "1", "--timeout", "60") as server,
        ThreadPoolExecutor(4) as others,
    ):
        server.single("emt")
        wait_until(lambda: len(server.workers()) == 2 and all(map(is_idle, server.workers())), "both are loaded")
        for n in range(4):
            others.submit(server.single, "emt", STRETCHED, task="md", settings=LONG | {"seed": n})
        wait_until(lambda: server.model("emt")["asked"] == 5, "all are asked")
        began = {pid: cpu_s(pid) for pid in server.workers()}
        wait_until(lambda: all(cpu_s(pid) - before > 1 for pid, before in began.items()), "both work")
        server.end()


def test_a_task_survives_the_death_of_its_worker() -> None:
    with serving("-m", "emt", "--threads", "1") as server, ThreadPoolExecutor(1) as other:
        server.single("emt")
        (pid,) = server.workers()
        settings = {"duration_ps": 0.5, "equilibration_ps": 0.1, "min_length_ang": 7.0}
        busy = other.submit(server.single, "emt", STRETCHED, task="md", settings=settings)
        wait_until(lambda: server.model("emt")["asked"] == 2 and not is_idle(pid), "it computes")
        os.killpg(pid, signal.SIGKILL)
        assert server.single("emt")[0] == 200
        code, said = busy.result(120)
        assert (code, said["status"]) == (200, "ok")
        assert server.model("emt")["workers_lost"] == 1


def waiting(n_atoms: int = 1, *, is_long: bool = False, alone: bool = False) -> Waiting:
    geometry = geometry_from_ase([Atoms("H" * n_atoms)])
    one = Waiting(geometry, {"name": "relax"}) if is_long else Waiting(geometry)
    one.alone = alone
    return one


def test_single_points_pass_long_tasks_that_have_no_place_yet() -> None:
    busy = [waiting(is_long=True) for _ in range(MOST_LONG)]
    first, *others = queue = [waiting(is_long=True), waiting(), waiting()]
    left = deque(queue)
    assert take_next(left, busy) == others
    assert list(left) == [first]
    assert take_next(left, busy) == []
    assert take_next(left, busy[1:]) == [first]
    assert not left


def test_only_one_that_may_have_cost_a_worker_is_asked_about_at_a_time() -> None:
    suspect, other, innocent, beside = waiting(), waiting(is_long=True), waiting(is_long=True), waiting()
    for one in (suspect, other):
        one.suspect()
        one.sent = time.monotonic()
    left = deque([suspect, other, beside])
    assert take_next(left, [innocent]) == [suspect]
    left.appendleft(suspect)
    assert take_next(left, [innocent, other]) == [beside]
    assert list(left) == [suspect, other]
    other.sent -= 1e6  # it has lasted longer than before
    assert take_next(left, [innocent, other]) == [suspect]


def test_what_was_given_up_is_never_asked() -> None:
    given_up, other = waiting(is_long=True), waiting()
    given_up.future.give_up()
    assert take_next(deque([given_up, other]), []) == [other]
