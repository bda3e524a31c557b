"""`mira run` asks a model that a server keeps loaded, if the run would load it like that; nothing else changes."""

import json
import os
import re
import signal

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from tests.runs import answers, attempts, faulty, processes_of, records, rows, statuses
from tests.servers import load, own_state, serving, wait_until

ASKED = "asked of the worker that `mira serve` keeps loaded at"


@pytest.fixture(autouse=True)
def _warm(monkeypatch) -> None:
    monkeypatch.delenv("MIRA_WARM")


@pytest.fixture(scope="module")
def server():
    with serving("-m", "emt,lj", "--threads", "1") as one:
        load(one, "emt", "lj")
        yield one


def keys(run) -> set[str]:
    return {folder.name for folder in run.glob("work/records/*/*")}


def test_a_warm_run_is_the_run_that_it_would_have_been(mira, server, structures, tmp_path) -> None:
    warm, cold = tmp_path / "a" / "warm", tmp_path / "b" / "cold"
    assert f"emt: {ASKED} http://{server.address}" in mira("run", structures, "-m", "emt", "-o", warm, "-n").stderr
    assert not warm.exists()
    done = mira("run", structures, "-m", "emt", "-o", warm)
    assert f"emt: {ASKED} http://{server.address}" in done.stderr
    assert mira("run", structures, "-m", "emt", "-o", cold, "--set", "warm=false").stderr.count(ASKED) == 0
    assert keys(warm) == keys(cold)
    by_warm, by_cold = answers(warm), answers(cold)
    assert by_warm.keys() == by_cold.keys()
    assert len(by_warm) == 7
    for key, (energy, forces) in by_warm.items():
        assert energy == pytest.approx(by_cold[key][0], abs=1e-12)
        np.testing.assert_allclose(forces, by_cold[key][1], atol=1e-12)
    (attempt,) = attempts(warm)
    assert [attempt["pid"]] == next(m["pids"] for m in own_state(server)["models"] if m["name"] == "emt")
    assert attempt["warm"]["server"] == f"http://{server.address}"
    assert attempt["threads"] == 1
    assert {row["device"] for row in rows(warm)} == {row["device"] for row in rows(cold)}
    again = mira("run", structures, "-m", "emt", "-o", warm, "--set", "warm=false")
    assert "emt: nothing to compute, 7 kept" in again.stderr
    assert json.loads(mira("status", warm, "--json").stdout)["models"][0]["ok"] == 7
    assert server.single("emt")[0] == 200


@pytest.mark.parametrize(
    "settings",
    [
        ("--set", "warm=false"),
        ("--set", "batch_atoms=40"),
        ("--set", "threads=2"),
        ("--set", "accelerators=off"),
        ("--task", "relax"),
    ],
    ids=" ".join,
)
def test_what_is_loaded_otherwise_is_not_asked(mira, server, structures, tmp_path, settings) -> None:
    before = server.model("emt")["asked"]
    done = mira("run", structures / "Cu.cif", "-m", "emt", "-o", tmp_path / "run", *settings)
    assert ASKED not in done.stderr
    assert server.model("emt")["asked"] == before
    assert statuses(tmp_path / "run") == {"emt": ["ok"]}


def test_a_model_of_the_same_name_with_other_options_is_not_asked(mira, server, structures, tmp_path) -> None:
    row = {"title": "t", "family": "ase_builtin", "checkpoint": {"bundled": "lj"}, "options": {"epsilon": 0.2}}
    models = tmp_path / "models.yaml"
    models.write_text(json.dumps({"models": {"other": {**row, "user_options": ["sigma"]}}}))
    with serving("-m", "other", "--models-file", models) as one:
        load(one, "other")
        call = ("run", structures / "Cu.cif", "-m", "other", "--models-file", models, "--no-reuse")
        assert ASKED in mira(*call, "-o", tmp_path / "same").stderr
        assert ASKED not in mira(*call, "-o", tmp_path / "sigma", "--set", "options.other.sigma=2.5").stderr
        models.write_text(json.dumps({"models": {"other": {**row, "options": {"epsilon": 0.3}}}}))
        assert ASKED not in mira(*call, "-o", tmp_path / "epsilon").stderr


@pytest.fixture
def large(tmp_path):
    """Eight structures of 256 atoms: two make a batch."""
    folder = tmp_path / "large"
    folder.mkdir()
    for number in range(8):
        atoms = bulk("Cu", cubic=True) * (4, 4, 4)
        atoms.rattle(0.02, seed=number)
        write(folder / f"{number}.extxyz", atoms)
    return folder


def assert_complete(run, n: int = 8) -> None:
    assert statuses(run) == {"faulty": ["ok"] * n}
    found = [record["structure"] for record in records(run)]
    assert len(found) == len(set(found)) == n


def slow_call(tmp_path, large, *more):
    """So slow that portions do not grow: there is time to interrupt it, and to ask between them."""
    models = faulty(tmp_path / "m.yaml", mode="sleep", seconds=1.2)
    run = tmp_path / "run"
    return (
        run,
        ("-m", "faulty", "--models-file", models),
        ("run", large, "-o", run, "--set", "chunk_atoms=100000", *more),
    )


@pytest.mark.parametrize("whom", ["server", "worker"])
def test_a_server_or_a_worker_that_is_killed_costs_nothing_finished(started, large, tmp_path, whom) -> None:
    run, models, call = slow_call(tmp_path, large)
    with serving(*models) as server:
        load(server, "faulty")
        one = started(*call, *models)
        one.wait_for_records(run, 2)
        if whom == "server":
            server.process.send_signal(signal.SIGKILL)
        else:
            os.kill(server.workers()[0], signal.SIGKILL)
        code, err = one.end()
    assert code == 0, err
    assert ASKED in err
    assert re.search(r"faulty: [1-7] structures? without an answer of `mira serve`, now computed without it: ", err), (
        err
    )
    assert_complete(run)
    assert "warm" in min(attempts(run), key=lambda attempt: attempt["started"])
    assert len({attempt["pid"] for attempt in attempts(run)}) > 1


def test_ctrl_c_ends_a_warm_run_and_it_goes_on_with_the_server(mira, started, large, tmp_path) -> None:
    run, models, call = slow_call(tmp_path, large)
    with serving(*models) as server:
        load(server, "faulty")
        one = started(*call, *models)
        one.wait_for_records(run, 2)
        one.send(signal.SIGINT)
        code, err = one.end()
        assert code == 130
        assert "mira resume" in err
        wait_until(lambda: not processes_of(run), "nothing is left", 120)
        kept = len(records(run))
        assert 2 <= kept < 8
        done = mira("resume", run)
        assert f"{kept} kept" in done.stderr
        assert ASKED in done.stderr
        assert server.model("faulty")["workers_lost"] == 0
    assert_complete(run)
    assert all("warm" in attempt for attempt in attempts(run))


def test_what_kills_the_warm_worker_kills_it_once_and_ends_as_in_any_run(mira, structures, tmp_path) -> None:
    models = faulty(tmp_path / "m.yaml", mode="crash", only_element="Cu")
    with serving("-m", "faulty", "--models-file", models) as server:
        load_gold(server)
        done = mira("run", structures, "-m", "faulty", "--models-file", models, "-o", tmp_path / "run", code=1)
        assert ASKED in done.stderr
        wait_until(lambda: server.model("faulty")["workers_lost"] == 1, "it is back")
    assert sorted(statuses(tmp_path / "run")["faulty"]) == ["failed", *["ok"] * 6]
    (failed,) = [row for row in rows(tmp_path / "run") if row["status"] != "ok"]
    assert "the worker died twice while evaluating this structure, at last alone" in failed["error"]


def load_gold(server) -> None:
    server.single("faulty", {"symbols": ["Au", "Au"], "positions": [[0, 0, 0], [0, 0, 2.6]]})
    wait_until(lambda: own_state(server).get("offers"), "it is offered")


def test_a_failure_is_judged_by_a_worker_of_the_run_itself(mira, structures, tmp_path) -> None:
    """A worker that has lived long may fail for reasons of its own: its failures are no records."""
    counter = tmp_path / "counter"
    models = faulty(tmp_path / "m.yaml", mode="evaluate", only_element="Cu", times=9, counter=str(counter))
    with serving("-m", "faulty", "--models-file", models) as server:
        load_gold(server)
        counter.write_text("0")
        done = mira(
            "run", structures / "Cu.cif", "-m", "faulty", "--models-file", models, "-o", tmp_path / "run", code=1
        )
        assert "it failed at " in done.stderr
        assert "fails on purpose" in done.stderr
    assert counter.read_text() == "2", "asked once warm, once cold"
    assert statuses(tmp_path / "run") == {"faulty": ["failed"]}
    assert [("warm" in attempt) for attempt in attempts(tmp_path / "run")].count(False) == 1


def test_people_are_answered_while_a_run_asks(started, large, tmp_path) -> None:
    run, models, call = slow_call(tmp_path, large)
    with serving(*models) as server:
        load(server, "faulty")
        one = started(*call, *models)
        one.wait_for_records(run, 1)
        assert server.single("faulty")[0] == 200
        assert len(records(run)) < 8, "they waited for the whole run"
        assert one.end()[0] == 0
    assert_complete(run)


def test_a_gpu_is_given_back_for_what_the_server_leaves(mira, structures, tmp_path, monkeypatch) -> None:
    """The one GPU is the server's worker's: the run would wait for it for ever."""
    driver = tmp_path / "bin" / "nvidia-smi"
    driver.parent.mkdir()
    driver.write_text("#!/bin/sh\necho 92\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{driver.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    models = faulty(tmp_path / "m.yaml", mode="crash", only_element="Cu", gpu=True)
    call = ("-m", "faulty", "--models-file", models, "-o", tmp_path / "run", "--set", "resources.faulty.gpu=1")
    with serving("-m", "faulty", "--models-file", models) as server:
        load_gold(server)
        assert ASKED in mira("run", structures, *call, code=1).stderr
    assert sorted(statuses(tmp_path / "run")["faulty"]) == ["failed", *["ok"] * 6]
    assert {(attempt["device"], attempt["gpu"]) for attempt in attempts(tmp_path / "run")} == {("cuda:0", "92")}
