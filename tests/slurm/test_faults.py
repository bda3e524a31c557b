"""What clusters do to jobs, one by one: afterwards everything is there, once, and right."""

import os
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.runs import METALS, faulty, processes_of, records, rows, statuses, to_workers

from .conftest import write_profile
from .sound import Fault, assert_nothing_twice, assert_sound, records_of, said, slow_call


@pytest.fixture
def fault(request, started, structures, tmp_path, profile) -> Fault:
    return Fault(started, tmp_path / "run", slow_call(tmp_path, structures, profile), request.node.user_properties)


def running(cluster, run: Path) -> list[dict[str, str]]:
    """The slow model's jobs that run now."""
    return [job for job in cluster.jobs_of(run) if job["state"] == "RUNNING" and "faulty" in job["comment"]]


def cancel_from_outside(cluster, fault, title: str) -> None:
    fault.begin()
    victim = running(cluster, fault.run)[0]["id"]
    fault.strike(lambda: cluster.ask("scancel", victim))
    code, err = fault.one.end()
    assert code == 0, err
    assert f"job {victim} ended: CANCELLED" in said(fault.run)
    assert_sound(fault.run)
    fault.tell(title, "CANCELLED, by its user or an administrator", code)


@pytest.mark.versions
def test_job_cancelled_from_outside(cluster, fault) -> None:
    cancel_from_outside(cluster, fault, "job cancelled from outside")


def test_time_limit(cluster, fault, structures, tmp_path, profile) -> None:
    fault.call = slow_call(tmp_path, structures, profile, seconds=16)
    one = fault.one = fault.started(*fault.call, "--set", "runtime_min=1", "--set", "chunk_atoms=400")
    cluster.wait_for(lambda: fault.run.is_dir() and "ended: TIMEOUT" in _log(fault.run))
    fault.strike(lambda: None)
    code, err = one.end()
    assert code == 0, err
    assert_sound(fault.run)
    limits = {job["TimeLimit"] for job in (cluster.job(j["id"]) for j in cluster.jobs_of(fault.run, ended=True))}
    assert limits == {"00:01:00", "00:02:00"}
    fault.tell("time limit", "TIMEOUT, its time limit was reached", code)


def _log(run: Path) -> str:
    log = run / "logs" / "snakemake.log"
    return log.read_text() if log.is_file() else ""


@pytest.mark.versions
def test_memory_limit(cluster, fault, tmp_path) -> None:
    faulty(tmp_path / "models.yaml", mode="memory", mb=700, only_element="Cu")
    one = fault.one = fault.started(*fault.call, "--set", "mem_mb=400")
    cluster.wait_for(lambda: "ended" in _log(fault.run))
    fault.strike(lambda: None)
    code, err = one.end()
    assert code == 0, err
    assert "memory limit was reached" in said(fault.run)
    assert_sound(fault.run)
    asked = {cluster.job(job["id"])["MinMemoryNode"] for job in cluster.jobs_of(fault.run, ended=True)}
    assert asked >= {"550M", "1100M"}
    fault.tell("memory limit", "its memory limit was reached", code)


def test_node_lost(cluster, fault) -> None:
    fault.begin()
    node = running(cluster, fault.run)[0]["node"]
    try:
        cluster.node_down(node)
        cluster.wait_for(lambda: len(records_of(fault.run, "faulty")) == len(METALS))  # its jobs go on without it
    finally:
        cluster.node_up(node)
    code, err = fault.one.end()
    assert code == 0, err
    assert_sound(fault.run)
    fault.tell("node lost (its daemon killed)", "–", code)


@pytest.mark.versions
def test_node_crashed(cluster, fault, structures, tmp_path, profile) -> None:
    fault.call = slow_call(tmp_path, structures, profile, seconds=5)  # its processes are to be found before they end
    fault.begin()
    node = running(cluster, fault.run)[0]["node"]

    def crash() -> None:
        cluster.node_crash(node)
        cluster.wait_for(lambda: not running(cluster, fault.run))
        cluster.node_up(node)

    fault.strike(crash)
    code, err = fault.one.end()
    assert code == 0, err
    assert_sound(fault.run)
    assert [cluster.job(job["id"])["Restarts"] for job in cluster.jobs_of(fault.run, ended=True)].count("1") >= 1
    fault.tell("node crashed (all its processes killed)", "SLURM starts the job again", code)


@pytest.mark.versions
@pytest.mark.parametrize("partition", ["scavenge", "scavengec"])
def test_preempted(cluster, fault, structures, tmp_path, partition) -> None:
    profile = write_profile(tmp_path / "low", resources={"cpu": {"partition": partition}})
    fault.call = slow_call(tmp_path, structures, profile, seconds=4)
    fault.begin()

    def preempt() -> None:
        for name in ("cpu", "cpu", "gpu"):
            cluster.ask(
                "sbatch", "-p", name, "-c", 8, "-t", 1, "--mem=100", f"--chdir={tmp_path}", "-o", "/dev/null",
                "--wrap", "sleep 4",
            )  # fmt: skip
        cluster.wait_for(lambda: not running(cluster, fault.run))

    fault.strike(preempt)
    code, err = fault.one.end()
    assert code == 0, err
    assert ("ended: PREEMPTED" in said(fault.run)) == (partition == "scavengec")
    assert_sound(fault.run)
    how = "requeued" if partition == "scavenge" else "cancelled"
    fault.tell(f"preempted, {how}", "SLURM starts the job again" if how == "requeued" else "PREEMPTED", code)


@pytest.mark.versions
def test_controller_away_for_a_while(cluster, fault) -> None:
    fault.begin()
    cluster.stop_controller()
    time.sleep(20)
    fault.one.wait_for(lambda: "SLURM does not answer" in said(fault.run), "word of SLURM")
    cluster.start_controller()
    fault.strike(lambda: None) if len(records_of(fault.run, "faulty")) < len(METALS) else None
    code, err = fault.one.end()
    assert code == 0, err
    assert_sound(fault.run)
    fault.tell("controller away for 20 s", "SLURM does not answer", code)


def test_controller_away_at_the_start(cluster, fault, mira) -> None:
    cluster.stop_controller()
    done = mira(*fault.call, code=4)
    assert "SLURM" in done.stderr
    assert done.stderr.count("error:") == 1
    fault.tell("controller away at the start", done.stderr.partition("error: ")[2].splitlines()[0], 4)


@pytest.mark.versions
@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("partition=nope", "nope"),
        ("mem_mb=900000", "MB"),
        ("runtime_min=9000", "time"),
        ("constraint=nowhere", "feature"),
        ("threads=500", "CPU"),
    ],
)
def test_what_can_never_start_is_refused_in_one_sentence(cluster, fault, mira, asked, words) -> None:
    done = mira(*fault.call, "--set", f"resources.all.{asked}", "--set", f"resources.cpu.{asked}", code=4)
    assert words.lower() in done.stderr.lower()
    assert done.stderr.count("error:") == 1
    assert "hint:" in done.stderr
    assert cluster.jobs_of(fault.run, ended=True) == []
    fault.tell(f"asks for {asked}", done.stderr.partition("error: ")[2].splitlines()[0], 4)


def test_refused_while_running_is_told_by_its_reason(cluster, fault) -> None:
    # the partition closes after MIRA has looked: the answer of sbatch is all there is
    wrapper(
        fault.run.parent / "bin",
        "sbatch",
        'case "$*" in *test-only*) ;; *) echo "sbatch: error: closed" >&2; exit 1;; esac',
    )
    one = fault.one = fault.started(*fault.call, path=fault.run.parent / "bin")
    code, err = one.end()
    assert code == 1, err
    assert {row["status"] for row in rows(fault.run)} == {"failed"}
    assert all("refused the job: closed" in row["error"] for row in rows(fault.run))
    fault.tell("every submission refused", "refused the job: …", code)


def test_a_full_queue_is_waited_for(cluster, fault) -> None:
    # as SLURM words it where a user may have so many jobs in the queue
    count = fault.run.parent / "count"
    wrapper(
        fault.run.parent / "bin", "sbatch",
        f'case "$*" in *test-only*) ;; *) if [ $(cat {count} 2>/dev/null | wc -c) -lt 3 ]; then printf x >> {count};'
        ' echo "sbatch: error: AssocMaxSubmitJobLimit" >&2; exit 1; fi;; esac',
    )  # fmt: skip
    one = fault.one = fault.started(*fault.call, path=fault.run.parent / "bin")
    code, err = one.end()
    assert code == 0, err
    assert "SLURM takes no jobs now" in said(fault.run)
    assert_sound(fault.run)
    fault.tell("queue limit of the user reached", "SLURM takes no jobs now (…); next try in 2 s", code)


def test_what_users_have_squeue_hide_is_no_loss(cluster, fault, mira) -> None:
    mira(*fault.call, SQUEUE_PARTITION="gpu", SINFO_FORMAT="%N", SCANCEL_PARTITION="gpu")
    assert "forgotten" not in said(fault.run)
    assert_sound(fault.run)


def test_a_folder_that_slurm_would_read_as_another_is_refused(cluster, fault, mira) -> None:
    done = mira(*fault.call, "-o", fault.run.with_name("50%j"), code=2)
    assert "SLURM does not take `%` in the name of a folder" in done.stderr
    assert not fault.run.with_name("50%j").exists()


def wrapper(folder: Path, name: str, before: str) -> None:
    """A command that does something before the real one."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f'#!/bin/bash\n{before}\nexec {shutil.which(name)} "$@"\n')
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


@pytest.mark.versions
def test_pending_reason_is_shown(cluster, fault) -> None:
    for node in ("cpu1", "cpu2"):
        cluster.scontrol("update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    one = fault.one = fault.started(*fault.call)
    one.wait_for_words("does not start")  # as soon as SLURM has found a reason, and MIRA has looked
    for node in ("cpu1", "cpu2"):
        cluster.scontrol("update", f"NodeName={node}", "State=RESUME")
    code, err = one.end()
    assert code == 0, err
    assert_sound(fault.run)
    fault.tell("no node is there for the jobs", err.partition("warning: ")[2].splitlines()[0], code)


@pytest.mark.versions
def test_ctrl_c(cluster, fault, mira, structures, tmp_path, profile) -> None:
    fault.call = slow_call(tmp_path, structures, profile, seconds=5)
    fault.begin(records=2)
    began = time.monotonic()
    fault.one.send(signal.SIGINT)
    code, err = fault.one.end()
    fault.seconds = time.monotonic() - began
    assert code == 130
    assert "the same command goes on from here" in err
    cluster.wait_for(lambda: not cluster.jobs_of(fault.run))
    assert processes_of(fault.run) == []
    kept = len(records_of(fault.run, "faulty"))
    assert kept < len(METALS)  # the jobs are gone since they were cancelled
    assert f"{kept} kept" in mira(*fault.call).stderr
    assert_sound(fault.run)
    fault.tell("Ctrl-C", "interrupted; the same command goes on from here", code)


def test_ctrl_c_while_jobs_are_submitted_slowly(cluster, fault) -> None:
    wrapper(fault.run.parent / "bin", "sbatch", "sleep 1.5")
    one = fault.one = fault.started(*fault.call, "--set", "chunk_atoms=4", path=fault.run.parent / "bin")
    cluster.wait_for(lambda: cluster.jobs_of(fault.run))
    began = time.monotonic()
    one.send(signal.SIGINT)
    code, _ = one.end()
    fault.seconds = time.monotonic() - began
    assert code == 130
    known = {job["id"] for job in cluster.jobs_of(fault.run, ended=True)}
    time.sleep(4)
    assert {job["id"] for job in cluster.jobs_of(fault.run, ended=True)} == known, "submitted after Ctrl-C"
    cluster.wait_for(lambda: not cluster.jobs_of(fault.run))
    assert len(known) < 14
    fault.tell("Ctrl-C during submission with a slow sbatch", "interrupted; …", code)


@pytest.mark.versions
@pytest.mark.parametrize("victims", ["mira", "mira and Snakemake"])
def test_killed_driver(cluster, fault, victims) -> None:
    fault.begin()
    to_workers(fault.run, signal.SIGSTOP)
    ids = {job["id"] for job in running(cluster, fault.run)}
    os.kill(fault.one.process.pid, signal.SIGKILL)
    fault.one.process.wait()
    if "Snakemake" in victims:
        for pid in processes_of(fault.run):
            if Path(f"/proc/{pid}/environ").read_bytes().find(b"SLURM_JOB_ID=") < 0:
                os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    other = fault.started(*fault.call)
    other.wait_for_words("adopted, not computed again")
    to_workers(fault.run, signal.SIGCONT)
    code, err = other.end()
    assert code == 0, err
    fault.seconds = time.monotonic() - began
    assert ids <= {job["id"] for job in cluster.jobs_of(fault.run, ended=True) if job["state"] == "COMPLETED"}
    assert_sound(fault.run)
    fault.tell(f"SIGKILL of {victims}", "jobs of an earlier call still running: adopted, not computed again", code)


def test_files_that_show_late(cluster, fault) -> None:
    # SLURM says that a job is over before its last file can be seen here
    wrapper(
        fault.run.parent / "bin", "squeue",
        'case "$*" in *states=all*) ' + f"{shutil.which('squeue')}" + ' "$@" | sed s/RUNNING/COMPLETED/; exit;; esac',
    )  # fmt: skip
    one = fault.one = fault.started(*fault.call, path=fault.run.parent / "bin")
    code, err = one.end()
    assert code in {0, 1}, err
    assert_nothing_twice(fault.run)
    assert len(records(fault.run)) == 2 * len(METALS)
    fault.tell("files show later than SLURM's word", "–", code)


def test_full_disk(cluster, fault, mira, tmp_path) -> None:
    disk = tmp_path / "run"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "none", disk]).returncode != 0:
        pytest.skip("a small disk can be mounted by root only")
    try:
        fault.begin()
        filler = disk / "logs" / "filler"
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=1M"], stderr=subprocess.DEVNULL)
        code, err = fault.one.end()
        assert code in {0, 1, 4, 5}, err
        before = {r["structure"] for r in records_of(disk, "faulty")}
        cluster.wait_for(lambda: not cluster.jobs_of(disk))
        filler.unlink()
        mira(*fault.call)
        assert_sound(disk)
        assert before <= {r["structure"] for r in records_of(disk, "faulty")}
        fault.tell("disk of the run directory full", err.partition("error: ")[2].splitlines()[0] if code else "–", code)
    finally:
        cluster.wait_for(lambda: not cluster.jobs_of(disk))
        subprocess.run(["umount", "-l", disk])


def test_a_model_that_always_fails_beside_one_that_works(cluster, fault) -> None:
    models_file = fault.call[5]
    Path(str(models_file)).write_text(Path(str(models_file)).read_text().replace('"sleep"', '"load"'))
    one = fault.one = fault.started(*fault.call)
    code, err = one.end()
    assert code == 1, err
    assert statuses(fault.run) == {"faulty": ["failed"] * 7, "emt": ["ok"] * 7}
    assert {row["error"] for row in rows(fault.run) if row["model"] == "faulty"} != {""}
    assert_nothing_twice(fault.run)
    assert "fails to load on purpose" in rows(fault.run)[0]["error"]
    reason = next(row["error"] for row in rows(fault.run) if row["model"] == "faulty")
    fault.tell("a model that always fails", reason, code)
