"""The test cluster itself: what the tests of MIRA on SLURM stand on."""

import pytest

from .conftest import NODES, switch

SHOW_GPUS = "echo $SLURM_JOB_ID $CUDA_VISIBLE_DEVICES; sleep 2"


@pytest.fixture
def submit(cluster, tmp_path):
    """Submit a shell command, with options of sbatch, as a job in a folder of this test; returns its id."""

    def submit(command: str, *options: str) -> str:
        where = (f"--chdir={tmp_path}", f"--output={tmp_path}/%j.out", "--mem=100")
        return cluster.ask("sbatch", "--parsable", *where, *options, f"--wrap={command}").strip()

    return submit


def state(cluster, job: str) -> str:
    return cluster.job(job)["JobState"]


def test_all_nodes_take_jobs(cluster) -> None:
    nodes = dict(line.split() for line in cluster.ask("sinfo", "-h", "-N", "-o", "%N %T").splitlines())
    assert set(nodes) == set(NODES)
    assert set(nodes.values()) <= {"idle", "mixed", "allocated", "completing"}


def test_start_again_changes_nothing(cluster, submit) -> None:
    job = submit("sleep 30")
    began = cluster.wait_for(lambda: state(cluster, job) == "RUNNING" and cluster.job(job)["StartTime"])
    assert switch("start").returncode == 0
    assert (state(cluster, job), cluster.job(job)["StartTime"]) == ("RUNNING", began)


def test_each_job_has_a_fake_gpu_of_its_own(cluster, submit, tmp_path) -> None:
    jobs = [submit(SHOW_GPUS, "--partition=gpu", "--gpus=1") for _ in range(3)]
    cluster.wait_for(lambda: all(state(cluster, job) == "COMPLETED" for job in jobs))
    said = [(tmp_path / f"{job}.out").read_text().split() for job in jobs]
    assert [words[0] for words in said] == jobs
    assert {words[1] for words in said} == {"0", "1"}


def test_the_queue_is_readable(cluster, submit, tmp_path) -> None:
    job = submit("true", "--hold", "--job-name=it's a job", "--comment=a|b c")
    (line,) = [line for line in cluster.squeue() if line["id"] == job]
    assert (line["state"], line["reason"]) == ("PENDING", "JobHeldUser")
    assert (line["name"], line["comment"], line["folder"]) == ("it's a job", "a|b c", str(tmp_path))
    cluster.scontrol("release", job)
    cluster.wait_for(lambda: state(cluster, job) == "COMPLETED")
    assert job in [line["id"] for line in cluster.squeue(ended=True)]


def test_a_job_outlives_the_controller(cluster, submit, tmp_path) -> None:
    job = submit("sleep 5; echo done")
    cluster.wait_for(lambda: state(cluster, job) == "RUNNING")
    cluster.stop_controller()
    with pytest.raises(AssertionError, match="Unable to contact slurm controller"):
        cluster.squeue()
    cluster.start_controller()
    cluster.wait_for(lambda: state(cluster, job) == "COMPLETED")
    assert (tmp_path / f"{job}.out").read_text() == "done\n"


def test_a_crashed_nodes_job_starts_again_under_its_id(cluster, submit, tmp_path) -> None:
    job = submit(f"echo start >> {tmp_path}/starts; sleep 300", "--nodelist=cpu2")
    cluster.wait_for((tmp_path / "starts").exists)
    cluster.node_crash("cpu2")
    cluster.wait_for(lambda: cluster.job(job)["Restarts"] == "1")
    cluster.node_up("cpu2")
    cluster.wait_for(lambda: (tmp_path / "starts").read_text() == "start\nstart\n")
    assert state(cluster, job) == "RUNNING"
