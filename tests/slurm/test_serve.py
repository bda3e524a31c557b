"""`mira serve --profile`: a server as a SLURM job, found by the file that it leaves."""

import json
import os
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from mira_cli import calculator
from mira_cli.errors import UsageError
from mira_cli.serving.found import running_servers
from mira_cli.warm.lost import WorkerLostError

from .conftest import write_profile


@pytest.fixture(autouse=True)
def only_server(tmp_path, monkeypatch) -> Iterator[None]:
    """No server of another test is seen."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with tempfile.TemporaryDirectory(prefix="mira-t-", dir="/tmp", ignore_cleanup_errors=True) as home:
        monkeypatch.setenv("MIRA_TEST_HOME", home)
        yield


@pytest.fixture
def submit(mira, profile):
    def call(*words: object) -> tuple[str, Path]:
        done = mira("serve", "-m", "emt", "--profile", profile, *words)
        address = Path(done.stdout.strip())
        return json.loads((address.parent / "job.json").read_text())["job"], address

    return call


def state_of(mira, job: str) -> dict:
    servers = json.loads(mira("serve", "status", "--json").stdout)
    (found,) = [one for one in servers if one.get("job") == job]
    return found


def curl(url: str, *words: str) -> tuple[int, str]:
    done = subprocess.run(["curl", "-s", "-w", "\n%{http_code}", *words, url], capture_output=True, text=True)
    body, _, code = done.stdout.rpartition("\n")
    return int(code), body


def test_a_server_in_the_queue_answers_and_is_ended(cluster, mira, submit, tmp_path) -> None:
    done_before = mira("serve", "status")
    assert "no server of yours" in done_before.stderr
    job, address = submit("--max-atoms", 100)
    cluster.wait_for(address.exists)
    said = json.loads(address.read_text())
    assert said["job"] == job
    assert said["models"] == ["emt"]
    token = Path(said["token_file"])
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert stat.S_IMODE(address.parent.stat().st_mode) == 0o700
    assert token.read_text() not in address.read_text()

    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    expected = atoms.copy()
    expected.calc = EMT()
    with calculator("emt", address=address) as calc:
        atoms.calc = calc
        assert atoms.get_potential_energy() == pytest.approx(expected.get_potential_energy(), abs=1e-10)
        assert calc.wait()["slurm_job_id"] == job
        assert [one.status for one in calc.evaluate([bulk("Cu"), bulk("Si")])] == ["ok", "unsupported_element"]

    health = f"{said['address']}/health"
    assert curl(health)[0] == 401
    assert curl(health, "-H", "Authorization: Bearer wrong")[0] == 401
    code, body = curl(health, "-H", f"Authorization: Bearer {token.read_text()}")
    assert (code, json.loads(body)["loaded"]) == (200, ["emt"])

    state = state_of(mira, job)
    assert (state["state"], state["address"]) == ("RUNNING", said["address"])
    assert state["ends"] is not None
    shown = mira("serve", "status")
    assert f"SLURM job {job} (emt) answers at {said['address']}; it ends at {state['ends']}" in shown.stderr
    assert len(json.loads(mira("serve", "status", "--json").stdout)) == 1, "its node is this machine, and it is one"
    assert "answers at" in mira("serve", "logs").stdout
    assert "answers at" in mira("serve", "logs", "--job", job).stdout
    assert "no server of yours" in mira("serve", "stop", "--job", "999999", code=2).stderr

    assert f"SLURM job {job} has ended" in mira("serve", "stop").stderr
    assert not address.exists()
    assert not token.exists()
    assert "no server of yours" in mira("serve", "status").stderr
    assert "the server has ended" in mira("serve", "logs", "--job", job).stdout
    with pytest.raises(UsageError, match="there is no address of a server"):
        calculator("emt", address=address)


def test_a_job_that_waits_says_why_and_one_that_is_cancelled_is_known_to_be_over(cluster, mira, profile) -> None:
    held = write_profile(profile, resources={"cpu": {"partition": "cpu", "slurm_extra": "--hold"}})
    done = mira("serve", "-m", "emt,lj", "--profile", held, "--set", "resources.cpu.runtime_min=7")
    assert "it ends 7 min after its start" in done.stderr
    address = Path(done.stdout.strip())
    job = json.loads((address.parent / "job.json").read_text())["job"]
    state = state_of(mira, job)
    assert (state["state"], state["reason"], state["address"]) == ("PENDING", "JobHeldUser", None)
    shown = mira("serve", "status").stderr
    assert f"SLURM job {job} (emt, lj) is pending (JobHeldUser): it is held: `scontrol release` lets it go" in shown
    assert "has said nothing yet" in mira("serve", "logs", code=2).stderr
    cluster.scontrol("release", job)
    cluster.wait_for(address.exists)
    limit = cluster.job(job)["TimeLimit"]
    assert limit == "00:07:00"

    with calculator("emt", address=address) as calc:
        atoms = bulk("Cu", cubic=True)
        atoms.calc = calc
        assert atoms.get_potential_energy()
        cluster.ask("scancel", job)
        cluster.wait_for(lambda: not address.exists())
        atoms.rattle(0.01, seed=3)
        with pytest.raises(WorkerLostError, match=f"\\(SLURM job {job}\\)"):
            atoms.get_potential_energy()
    assert f"SLURM job {job} (emt, lj) has ended; its output: " in mira("serve", "status").stderr
    assert state_of(mira, job)["state"] == "ENDED"


def test_a_server_that_is_killed_is_not_taken_for_one_that_lives(cluster, mira, submit) -> None:
    job, address = submit()
    cluster.wait_for(address.exists)
    cluster.wait_for(running_servers)  # the node is this machine
    os.kill(running_servers()[0].state["pid"], signal.SIGKILL)
    cluster.wait_for(lambda: job not in [one["id"] for one in cluster.squeue()])
    assert address.exists()
    state = state_of(mira, job)
    assert (state["state"], state["address"]) == ("ENDED", None)
    with pytest.raises(WorkerLostError, match=f"\\(SLURM job {job}\\) cannot be reached"):
        calculator("emt", address=address)


def test_what_a_job_cannot_be_is_refused_before_it_is_sent(cluster, mira, profile) -> None:
    cases = {
        ("-m", "emt", "--port", 80): "`--port` is for a server on this machine",
        ("-m", "emt", "--token-file", "x"): "`--token-file` is for a server",
        (): "takes `--models`",
        ("-m", "nonsense"): "unknown model `nonsense`",
        ("-m", "emt", "--set", "device=cpu"): "says nothing of the job",
        ("-m", "emt", "--set", "resources.cpu.colour=1"): "colour",
    }
    for words, said in cases.items():
        assert said in mira("serve", "--profile", profile, *words, code=2).stderr
    large = mira("serve", "--profile", profile, "-m", "emt", "--set", "resources.cpu.mem_mb=64G", code=4).stderr
    assert "the job of the server would not start: it would ask for 64,150 MB" in large
    assert "sends no jobs to SLURM" in mira("serve", "--profile", "local", "-m", "emt", code=2).stderr
    assert "`--profile NAME`" in mira("serve", "-m", "emt", "--set", "resources.all.gpu=0", code=2).stderr
    assert cluster.squeue() == []


def test_without_an_answer_of_slurms_what_runs_here_is_shown(cluster, mira, submit) -> None:
    job, address = submit()
    cluster.wait_for(address.exists)
    cluster.stop_controller()
    shown = mira("serve", "status").stderr
    assert "servers on the cluster are not shown" in shown
    assert "SLURM does not answer" in mira("serve", "stop", code=4).stderr
    with calculator("emt", address=address) as calc:
        assert calc.evaluate([bulk("Cu")])[0].status == "ok"
    cluster.start_controller()
    assert state_of(mira, job)["state"] == "RUNNING"
    mira("serve", "stop", "--job", job)
