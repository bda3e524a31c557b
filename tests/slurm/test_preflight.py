"""What a real SLURM says to jobs before any is submitted, and what a short job tells of its node."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from mira_cli.doctor import slurm
from mira_cli.resources import Resources
from mira_cli.slurm import preflight
from mira_cli.slurm.commands import SlurmError
from tests.unit.doctor.faults import look


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Write a `resources.yaml` of the user's own; its config folder is the test's."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def write(name, resources):
        folder = tmp_path / "config" / "mira" / "profiles" / name
        folder.mkdir(parents=True)
        (folder / "resources.yaml").write_text(yaml.safe_dump(resources))

    return write


@pytest.mark.versions
def test_slurm_itself_refuses_what_the_partition_seems_to_give(cluster) -> None:
    fine = Resources(mem_mb=500, runtime_min=5)
    asked = {
        "good": fine,
        "packed": fine.model_copy(update={"chunk_atoms": 7}),
        "graphics": fine.model_copy(update={"gpu": 1, "partition": "gpu", "gres": "gpu:fake:1"}),
        "feature": fine.model_copy(update={"constraint": "nope"}),
        "option": fine.model_copy(update={"slurm_extra": "--wibble"}),
        "nodes": fine.model_copy(update={"slurm_extra": "--exclude=cpu1,cpu2"}),
        "too long": fine.model_copy(update={"runtime_min": 600}),
    }
    found = {problem.models: problem for problem in preflight.problems(asked, dict.fromkeys(asked, 1))}
    assert set(found) == {("feature",), ("option",), ("nodes",), ("too long",)}
    assert "Invalid feature specification" in found["feature",].message
    assert "constraint" in found["feature",].hint
    assert "slurm_extra" in found["option",].hint
    assert "configuration is not available" in found["nodes",].message


@pytest.mark.versions
def test_nodes_that_are_away_are_no_lasting_problem(cluster) -> None:
    asked = {"x": Resources(gpu=1, partition="gpu", mem_mb=500)}
    subprocess.run(["scontrol", "update", "nodename=gpu1", "state=drain", "reason=test"], check=True)
    try:
        (problem,) = preflight.problems(asked, {"x": 1})
    finally:
        subprocess.run(["scontrol", "update", "nodename=gpu1", "state=resume"], check=True)
    assert not problem.lasting
    assert "1 of the 1 nodes of `gpu`" in problem.message
    for _ in range(600):  # a resume takes a moment
        if not (left := preflight.problems(asked, {"x": 1})):
            break
        time.sleep(0.1)
    assert left == []


def test_a_controller_that_does_not_answer_is_no_problem_of_the_jobs(cluster, monkeypatch, tmp_path) -> None:
    conf = next(
        line
        for line in subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True).stdout.splitlines()
        if line.startswith("SLURM_CONF")
    )
    text = Path(conf.partition("= ")[2].strip()).read_text()
    (tmp_path / "slurm.conf").write_text(
        "\n".join("SlurmctldPort=1" if line.startswith("SlurmctldPort=") else line for line in text.splitlines())
        + "\nMessageTimeout=1\n"
    )
    with monkeypatch.context() as elsewhere:  # the cluster is mended before all is undone
        elsewhere.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
        with pytest.raises(SlurmError):
            preflight.problems({"x": Resources()}, {"x": 1})
        with pytest.raises(SlurmError):
            preflight.refusal_of(Resources(), 1)


def small(make):
    small = {"mem_mb": 500, "runtime_min": 10, "threads": 1}
    return make("small", {"extends": "slurm", "all": small, "gpu": {"partition": "gpu"}, "driver": {"runtime_min": 30}})


@pytest.mark.versions
def test_check_submits_a_job_and_tells_what_its_node_sees(cluster, make, mira, tmp_path) -> None:
    small(make)
    done = mira(
        "profiles", "check", "small", "--models", "lj", "--submit", "--json", MIRA_CACHE=str(tmp_path / "cache")
    )
    found = {row["name"]: row for row in json.loads(done.stdout)["checks"]}
    node = next(name for name in found if name.startswith("lj job on cpu"))
    assert found[node]["status"] == "ok"
    assert found[f"{node}: MIRA"]["status"] == "ok"
    assert list((tmp_path / "cache").glob(".check-*")) == []


def test_check_without_submitting_names_the_models(cluster, make, mira) -> None:
    small(make)
    done = mira("profiles", "check", "small")
    assert [line.split()[:2] for line in done.stdout.splitlines()][-3:] == [
        ["ok", "gpu"],
        ["ok", "cpu"],
        ["ok", "driver"],
    ]
    assert done.stderr.splitlines() == [
        "asking Snakemake whether it takes the profile's options",
        "asking SLURM for its partitions (`sinfo`)",
        "asking SLURM whether it would ever start jobs of gpu, cpu, driver (`sbatch --test-only`)",
        "jobs of the profile `small` can run",
    ]
    quiet = mira("--quiet", "profiles", "check", "small")
    assert (quiet.stdout, quiet.stderr) == (done.stdout, "")
    make("large", {"extends": "small", "cpu": {"partition": "cppu"}})
    assert "did you mean `cpu`" in mira("profiles", "check", "large", "-m", "lj", code=4).stdout


def test_without_gpus_in_the_default_partition_cpu_jobs_can_run(cluster, make, mira, tmp_path) -> None:
    make("plain", {"extends": "slurm", "all": {"mem_mb": 500, "runtime_min": 10, "threads": 1}})
    done = mira("profiles", "check", "plain", code=4)
    assert "gpu: {partition: gpu}` in `" in " ".join(done.stdout.split())
    assert "--set" not in done.stdout
    assert "1 problem; cpu jobs can" in " ".join(done.stderr.split())
    done = mira("profiles", "check", "plain", "--submit", "--json", code=4, MIRA_CACHE=str(tmp_path / "cache"))
    found = {row["name"]: row for row in json.loads(done.stdout)["checks"]}
    assert any(name.startswith("cpu job on cpu") for name in found)
    assert found["job"]["message"].startswith("not submitted for gpu,")
    assert "with `extends: slurm`" in " ".join(mira("profiles", "check", "slurm", code=4).stdout.split())
    make("called", {"extends": "plain", "gpu": {"partition": "gpu", "gres": "gpu:fakee:1"}})
    assert 'gpu: {gres: "gpu:fake:1"}`' in " ".join(mira("profiles", "check", "called", code=4).stdout.split())


def test_ctrl_c_cancels_the_job_that_waits(cluster, make, tmp_path) -> None:
    make(
        "held",
        {
            "extends": "slurm",
            "all": {"mem_mb": 500, "runtime_min": 10, "threads": 1, "slurm_extra": "--begin=now+1hour"},
        },
    )
    child = subprocess.Popen(
        [sys.executable, "-m", "mira_cli", "profiles", "check", "held", "-m", "lj", "--submit"],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "MIRA_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    for line in child.stderr:
        if "pending" in line:
            job = line.split()[1]
            break
    child.send_signal(signal.SIGINT)
    rest = child.stderr.read()
    assert child.wait(120) == 130, rest
    assert "Traceback" not in rest
    state = subprocess.run(["squeue", "-h", "-t", "all", "-j", job, "-o", "%T"], capture_output=True, text=True).stdout
    assert state.strip() == "CANCELLED"


@pytest.mark.versions
def test_doctor_knows_the_cluster(cluster) -> None:
    known = {partition.name for partition in slurm.cluster.partitions()}
    assert known == {name.rstrip("*") for name in look(slurm.check_partitions)} - {"partitions"}
    assert look(slurm.controller)["controller"].status == "ok"
