"""Whole runs against commands that stand for a scheduler's (`shim.py`): what is called is real, what answers is not."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.runs import METALS, faulty, records, statuses

from . import shim
from .test_wording import HEADS, NAME

COMMANDS = {
    "pbs": ("qsub", "qselect", "qstat", "qdel"),
    "lsf": ("bsub", "bjobs", "bkill"),
    "htcondor": ("condor_submit", "condor_q", "condor_history", "condor_rm"),
    "flux": ("flux",),
}
REQUESTS = {
    "pbs": ["-l", "select=1:ncpus=2:mem=850mb", "-l", "walltime=00:20:00", "-q", "work"],
    "lsf": ["-n", "2", "-R", "span[hosts=1]", "-R", "rusage[mem=850MB]", "-M", "850MB", "-W", "20", "-q", "work"],
    "htcondor": ["-a", "request_cpus=2", "-a", "request_memory=850", "-a", "allowed_job_duration=1200"],
    "flux": ["-n", "1", "-c", "2", "-t", "20m", "--queue=work"],
}


@pytest.fixture
def scheduler(tmp_path, monkeypatch):
    """Put a scheduler's commands into the PATH, and make a profile for it."""

    def install(name: str) -> Path:
        commands, state = tmp_path / "bin", tmp_path / "state"
        commands.mkdir()
        state.mkdir()
        for command in COMMANDS[name]:
            (commands / command).write_text(f"#!{sys.executable} -P\n{Path(shim.__file__).read_text()}")
            (commands / command).chmod(0o755)
        monkeypatch.setenv("PATH", str(commands), prepend=":")
        monkeypatch.setenv("MIRA_TEST_SHIM", str(state))
        profile = tmp_path / "profile"
        profile.mkdir()
        options = {"mira-queue-seconds-between-polls": 1, "latency-wait": 5, "retries": 1}
        (profile / "config.yaml").write_text(yaml.safe_dump(options))
        asks = {"threads": 2, "mem_mb": 700, "runtime_min": 20, **({"partition": "work"} if name != "htcondor" else {})}
        (profile / "resources.yaml").write_text(yaml.safe_dump({"extends": name, "all": asks}))
        return profile

    return install


@pytest.fixture
def state(tmp_path) -> Path:
    return tmp_path / "state"


def calls(state: Path, command: str) -> list[list[str]]:
    lines = [json.loads(line) for line in (state / "calls.jsonl").read_text().splitlines()]
    return [words for words in lines if words[0] == command]


def live(state: Path) -> list[Path]:
    return [file for file in state.glob("job-*.json") if not (state / file.stem.replace("job", "exit")).exists()]


def slow(tmp_path, structures, profile, *, seconds: float) -> tuple[object, ...]:
    models = faulty(tmp_path / "models.yaml", mode="sleep", seconds=seconds)
    where = ("-o", tmp_path / "run", "--profile", profile, "--set", "batch_atoms=4")
    return ("run", structures, "--models", "faulty", "--models-file", models, *where)


def wait_until(what, seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def test_the_login_nodes_choice_of_gpus_is_none_of_a_nodes(scheduler, mira, structures, tmp_path, monkeypatch) -> None:
    """PBS, asked for no GPU, says nothing of any: a job that had these numbers would take a GPU that is another's."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    run = tmp_path / "run"
    file = faulty(tmp_path / "models.yaml", mode="sleep", seconds=0, gpu=True)
    model = ("--models", "faulty", "--models-file", file, "--set", "resources.faulty.gpu=0")
    mira("run", structures, *model, "-o", run, "--profile", scheduler("pbs"))
    assert statuses(run) == {"faulty": ["ok"] * len(METALS)}
    (model,) = json.loads((run / "provenance.json").read_text())["models"]
    assert [(attempt["device"], attempt["gpu"]) for attempt in model["attempts"]] == [("cpu", None)]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_run_submits_lists_and_collects(name, scheduler, state, mira, structures, tmp_path) -> None:
    run = tmp_path / "run"
    mira("run", structures, "-m", "emt", "-o", run, "--profile", scheduler(name))
    assert statuses(run) == {"emt": ["ok"] * len(METALS)}
    (submitted,) = [words for words in calls(state, HEADS[name].split()[0]) if "jobs" not in words]
    prefix = json.loads((run / "work" / "run.json").read_text())["job_prefix"]
    (job,) = [file.stem for file in (run / "work" / "jobs" / "emt").iterdir()]
    head = HEADS[name].replace(NAME, f"{prefix}.emt.{job}").split()
    assert submitted[: len(head)] == head
    assert submitted[len(head) : len(head) + len(REQUESTS[name])] == REQUESTS[name]
    left = submitted[len(head) + len(REQUESTS[name]) :]
    assert left[:2] == {"htcondor": ["-"], "flux": ["/bin/sh", "-c"]}.get(name, [])
    plan = json.loads((run / "work" / "plan.json").read_text())
    assert (plan["executor"], plan["scheduler"]) == ("mira-queue", name)
    assert list(run.glob(".snakemake/queue_logs/*")) == []  # those of jobs that went well are not kept


def test_a_killed_drivers_job_is_adopted(scheduler, state, started, structures, tmp_path) -> None:
    run = tmp_path / "run"
    one = started(*slow(tmp_path, structures, scheduler("pbs"), seconds=4.0), "--sample", "3")
    one.wait_for_records(run, 1)
    job = json.loads((state / "job-101.json").read_text())["pid"]
    os.killpg(job, signal.SIGSTOP)  # however long the next call takes to look
    one.send(signal.SIGKILL)
    one.process.wait()
    two = started("resume", run)
    two.wait_for_words("1 job of an earlier call still running (101.server): adopted, not computed again")
    there = len(records(run))
    two.wait_for_words(f"faulty: nothing else to compute, {there} kept, {3 - there} in adopted jobs")
    os.killpg(job, signal.SIGCONT)
    assert two.end()[0] == 0
    assert statuses(run) == {"faulty": ["ok"] * 3}
    assert len(records(run)) == 3
    assert len(calls(state, "qsub")) == 1


def test_cancel_ends_the_jobs_and_resume_goes_on(scheduler, state, started, mira, structures, tmp_path) -> None:
    run = tmp_path / "run"
    one = started(*slow(tmp_path, structures, scheduler("pbs"), seconds=3.0))
    one.wait_for_records(run, 1)
    mira("cancel", run)
    code, _ = one.end()
    assert code == 130
    assert live(state) == []
    assert ["qdel", "101.server"] in calls(state, "qdel")
    kept = len(records(run))
    assert 0 < kept < len(METALS)
    assert f"{kept} kept" in mira("resume", run).stderr
    assert len(records(run)) == len(METALS)


def test_a_cancel_that_is_refused_is_no_cancel(scheduler, state, started, mira, structures, tmp_path) -> None:
    run = tmp_path / "run"
    profile = scheduler("pbs")
    (state / "hold").touch()
    one = started("run", structures, "-m", "emt", "-o", run, "--profile", profile)
    one.wait_for(lambda: list(state.glob("job-*.json")), "job")
    (state / "stands").touch()
    one.send()
    code, err = one.end()
    assert code == 130
    assert "jobs of this run may still be in the queue: PBS refuses (`qdel`: cannot connect to server)" in err
    done = mira("cancel", run, code=4)
    assert "PBS refuses (`qdel`: cannot connect to server)" in done.stderr
    (state / "stands").unlink()
    assert "1 job taken out of the queue" in mira("cancel", run).stderr


def test_waiting_jobs_say_why_and_are_taken_back(scheduler, state, started, mira, structures, tmp_path) -> None:
    run = tmp_path / "run"
    profile = scheduler("pbs")
    (state / "hold").touch()
    one = started("run", structures, "-m", "emt", "-o", run, "--profile", profile)
    wait_until(lambda: live(state))
    told = json.loads(mira("status", run, "--json").stdout)["models"][0]
    assert told["slurm_jobs"][0]["reason"] == "Not Running: Insufficient amount of resource: ncpus (R: 4 A: 0 T: 8"
    assert told["jobs"]["queued"] == 1
    one.send(signal.SIGKILL)
    one.process.wait()
    (state / "hold").unlink()
    assert "1 job of an earlier call had not started: taken back from the queue" in mira("resume", run).stderr
    assert statuses(run) == {"emt": ["ok"] * len(METALS)}


@pytest.mark.parametrize(
    ("name", "flag", "what", "look"),
    [
        ("lsf", "lost", "unknown (LSF has lost touch with host1)", "bjobs -l 101"),
        ("pbs", "moved", "moved (to `Short@flash`)", "qstat -x -f 101.server"),
    ],
)
def test_a_job_out_of_sight_is_told_waited_for_and_computed_once(
    scheduler, state, started, mira, structures, tmp_path, name, flag, what, look
) -> None:
    run = tmp_path / "run"
    one = started(*slow(tmp_path, structures, scheduler(name), seconds=4.0), "--sample", "3")
    one.wait_for_records(run, 1)
    (state / flag).touch()
    os.killpg(job := json.loads((state / "job-101.json").read_text())["pid"], signal.SIGSTOP)
    one.wait_for_words(f"is {what}: it is waited for, and not computed again; `{look}` tells more")
    told = mira("status", run)
    said = " ".join(told.stderr.split())
    assert f"faulty: 1 job is {what}: waited for, not computed again hint: `{look}` tells more" in said
    (model,) = json.loads(mira("status", run, "--json").stdout)["models"]
    assert (model["jobs"]["running"], model["jobs"]["queued"], model["jobs"]["stray"]) == (0, 0, 1)
    assert model["slurm_jobs"][0]["stray"] == what
    one.send(signal.SIGKILL)
    one.process.wait()
    two = started("resume", run)
    number = look.split()[-1]
    two.wait_for_words(f"1 job of an earlier call still running ({number}, {what}): adopted, not computed again")
    two.wait_for_words(f"waiting for 1 adopted job: {number}, {what}")
    os.killpg(job, signal.SIGCONT)
    assert two.end()[0] == 0
    assert statuses(run) == {"faulty": ["ok"] * 3}
    assert len(list(state.glob("job-*.json"))) == 1


def test_a_pbs_without_a_history_of_moved_jobs_lists_the_others(scheduler, state, mira, structures, tmp_path) -> None:
    profile = scheduler("pbs")
    (state / "old").touch()
    mira("run", structures, "-m", "emt", "-o", tmp_path / "run", "--profile", profile)
    assert statuses(tmp_path / "run") == {"emt": ["ok"] * len(METALS)}


def test_a_job_that_reaches_its_time_limit_is_tried_again(
    scheduler, state, started, structures, tmp_path, monkeypatch
) -> None:
    run = tmp_path / "run"
    one = started(*slow(tmp_path, structures, scheduler("pbs"), seconds=1.0))
    one.wait_for_records(run, 1)
    monkeypatch.setattr(shim, "FOLDER", state)
    shim.kill(101, -29)
    code, err = one.end()
    assert code == 0, err
    assert "PBS job 101.server ended: its time limit was reached" in (run / "logs" / "snakemake.log").read_text()
    assert len(records(run)) == len(METALS)
    limits = [words[words.index("-q") - 1] for words in calls(state, "qsub")]
    assert limits == ["walltime=00:20:00", "walltime=00:40:00"]


def test_a_job_that_is_refused_says_so_in_a_sentence(scheduler, mira, structures, tmp_path) -> None:
    profile = scheduler("pbs")
    run = tmp_path / "run"
    mira(
        "run",
        structures,
        "-m",
        "emt",
        "-o",
        run,
        "--profile",
        profile,
        "--set",
        "resources.all.partition=nowhere",
        code=1,
    )
    (log,) = run.glob("logs/emt/*.log")
    assert log.read_text().splitlines()[0] == "PBS refuses (`qsub`: Unknown queue)"


@pytest.mark.parametrize("way", ["banner", "odd", "fails"])
@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_a_job_that_is_taken_is_submitted_once_whatever_is_said(
    scheduler, state, mira, structures, tmp_path, way, seconds
) -> None:
    call = slow(tmp_path, structures, scheduler("pbs"), seconds=seconds)
    (state / way).touch()
    mira(*call)
    assert statuses(tmp_path / "run") == {"faulty": ["ok"] * len(METALS)}
    assert len(calls(state, "qsub")) == 1
    assert len(records(tmp_path / "run")) == len(METALS)


@pytest.mark.parametrize(
    ("name", "hidden"), [*((name, "by the listing") for name in COMMANDS), ("pbs", "by a variable")]
)
def test_a_running_job_that_no_listing_has_is_waited_for(
    scheduler, state, mira, structures, tmp_path, name, hidden
) -> None:
    call = slow(tmp_path, structures, scheduler(name), seconds=1.5)  # longer than it takes to believe it gone
    if hidden == "by the listing":
        (state / "hidden").touch()
    mira(*call, **({"LOGNAME": "other", "USER": "other"} if hidden == "by a variable" else {}))
    assert statuses(tmp_path / "run") == {"faulty": ["ok"] * len(METALS)}
    assert len(list(state.glob("job-*.json"))) == 1


def test_a_run_without_the_commands_of_its_scheduler_ends_at_once(mira, structures, tmp_path) -> None:
    done = mira("run", structures, "-m", "emt", "-o", tmp_path / "run", "--profile", "lsf", code=4)
    assert "there is no `bjobs` on this machine, which LSF has" in done.stderr


def test_other_words_than_the_schedulers_are_refused_before_anything_starts(
    mira, structures, tmp_path, scheduler
) -> None:
    call = ("run", structures, "-m", "emt", "-o", tmp_path / "run", "--profile", scheduler("flux"))
    assert (
        "ask for `qos`, for which Flux has no option" in mira(*call, "--set", "resources.all.qos=high", code=2).stderr
    )
    submitted = mira("submit", *call[1:], code=2).stderr
    assert "a run is left to a job on SLURM only" in submitted
    assert "--detach" in submitted


def test_profiles_check_shows_how_jobs_are_submitted(mira, scheduler) -> None:
    profile = scheduler("pbs")
    done = mira("profiles", "check", profile)
    told = done.stdout
    assert "answers" in told
    asked = ["asking Snakemake whether it takes the profile's options", "asking PBS for your jobs"]
    assert done.stderr.splitlines()[:2] == asked
    quiet = mira("--quiet", "profiles", "check", profile)
    assert (quiet.stdout, quiet.stderr) == (told, "")
    assert "-l select=1:ncpus=2:mem=850mb -l walltime=00:20:00 -q work" in " ".join(told.split())
