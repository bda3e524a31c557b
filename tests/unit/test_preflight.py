"""What SLURM says to jobs before any is submitted, and what a short job tells of its node."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from mira_cli.doctor import profile as checks
from mira_cli.errors import UsageError
from mira_cli.resources import Resources
from mira_cli.slurm import permission, preflight
from mira_cli.slurm.ask import SlurmError, job_id
from mira_cli.slurm.cluster import Partition, partitions
from mira_cli.slurm.trial import Trial

CPU = Partition("cpu", default=True, up=True, time_limit_min=60, cpus=8, mem_mb=8000, gres=(), nodes=2)
GPU = Partition("gpu", False, True, None, 64, 500_000, ("gpu:a100:4", "gpu:h100:2(S:0-1)"), 1)
OLD = Partition("old", False, False, 1440, 4, 4000, ("gpu:2",), 3)
KNOWN = [CPU, GPU, OLD]


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Write a `resources.yaml` of the user's own; its config folder is the test's."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def write(name, resources):
        folder = tmp_path / "config" / "mira" / "profiles" / name
        folder.mkdir(parents=True)
        (folder / "resources.yaml").write_text(yaml.safe_dump(resources))

    return write


def live_slurm() -> bool:
    try:
        return {"cpu", "gpu"} <= {partition.name for partition in partitions()}
    except SlurmError:
        return False


@pytest.fixture
def cluster():
    if not live_slurm():
        pytest.skip("no SLURM test cluster: `tests/testbed/slurm-test-cluster.sh start` starts one")


# --- what SLURM is asked


@pytest.mark.parametrize(
    ("resources", "options"),
    [
        (Resources(), ["--ntasks=1", "--cpus-per-task=3"]),
        (Resources(gpu=0, gres="gpu:1"), ["--ntasks=1", "--cpus-per-task=3"]),
        (Resources(gpu=1), ["--gpus=1", "--cpus-per-task=3"]),
        (Resources(gpu=1, gpu_model="a100"), ["--gpus=a100:1", "--cpus-per-task=3"]),
        (Resources(gpu=1, gres="gpu:a100:1", gpu_model="a100"), ["--gres=gpu:a100:1", "--cpus-per-task=3"]),
        (
            Resources(mem_mb="2G", runtime_min="1h", account=7, slurm_extra="--reservation='my course'"),
            ["--account=7", "--time=60", "--mem=2000", "--ntasks=1", "--cpus-per-task=3", "--reservation=my course"],
        ),
    ],
)
def test_resources_become_options_of_sbatch(resources, options) -> None:
    assert preflight.sbatch_options(resources, 3) == options


def test_an_open_quote_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        preflight.sbatch_options(Resources(slurm_extra="--comment='x"), 1)


@pytest.mark.parametrize(
    ("resources", "limits"),
    [
        (Resources(), (60, 8000)),
        (Resources(partition="gpu"), (None, 500_000)),
        (Resources(partition="cpu,old"), (1440, 8000)),
        (Resources(partition="cpu,gpu"), (None, 500_000)),
        (Resources(partition="nope"), (None, None)),
    ],
)
def test_retries_are_capped_by_the_roomiest_partition(resources, limits) -> None:
    assert preflight.caps(resources, KNOWN) == limits


@pytest.mark.parametrize(
    ("resources", "threads", "reasons", "hint"),
    [
        (Resources(mem_mb=8000, runtime_min=60), 8, [], ""),
        (Resources(gpu=1, partition="gpu", gres="gpu:h100:1"), 8, [], ""),
        (Resources(gpu=1, partition="gpu", gres="gpu:1"), 8, [], ""),
        (Resources(gpu=1, partition="gpux"), 8, ["partition `gpux`"], "`gpu`"),
        (Resources(gpu=1), 8, ["a GPU, which the partition `cpu`"], "resources.gpu.partition=gpu"),
        (Resources(gpu=1, partition="gpu", gpu_model="a10"), 8, ["model `a10`"], "`a100`"),
        (Resources(gpu=1, partition="gpu", gres="gpu:v:1"), 8, ["model `v`"], "gres=gpu:a100:1`; there: a100, h100"),
        (Resources(gpu=1, partition="old", gpu_model="x"), 4, ["down", "model `x`"], "sinfo"),
        (Resources(runtime_min=90), 8, ["90 min, but the partition `cpu` gives 60 min"], "runtime_min=60"),
        (Resources(mem_mb=9000, runtime_min=61), 9, ["61 min", "9,000 MB", "9 CPUs"], "runtime_min"),
        (Resources(partition="old"), 1, ["`old`, which is down"], "sinfo"),
        (Resources(slurm_extra="-p x --exclusive"), 1, ["`-p` in `slurm_extra`"], "`partition`"),
        (Resources(slurm_extra="--job-name=x"), 1, ["`--job-name` in `slurm_extra`"], "take it out"),
    ],
)
def test_what_a_partition_can_never_give_is_said_in_plain_words(resources, threads, reasons, hint) -> None:
    found = list(preflight.misfits(resources, threads, KNOWN))
    assert len(found) == len(reasons)
    for (said, _), reason in zip(found, reasons, strict=True):
        assert reason in said
    assert not found or hint in found[0][1]


def test_hints_of_check_are_words_of_the_profiles_file() -> None:
    def say(kind, word, value):
        return f"<{kind} {word} {value}>"

    def hints(resources, threads=1, known=KNOWN):
        return [hint for _, hint in preflight.misfits(resources, threads, known, say)]

    assert hints(Resources(gpu=1)) == ["<gpu partition gpu>; with GPUs: gpu, old"]
    assert hints(Resources(gpu=1), known=[CPU]) == ["no partition has GPUs: <all gpu 0>"]
    assert hints(Resources(gpu=1, partition="old", gpu_model="x"))[1].endswith("<gpu gres gpu:1>")
    assert hints(Resources(mem_mb=9000, runtime_min=61), 9) == [
        f"<cpu {word}>, or another partition" for word in ("runtime_min 60", "mem_mb 7700", "threads 8")
    ]
    assert hints(Resources(), known=[GPU]) == ["for example <all partition gpu>; partitions: gpu"]


@pytest.mark.parametrize(
    ("printed", "number"),
    [("12\n", "12"), ("12;cluster\n", "12"), ("Welcome to 7!\n3 jobs\n\n 12;c \n", "12"), ("1\n2\n", "2")],
)
def test_the_number_of_a_job_is_found_beside_a_banner(printed, number) -> None:
    assert job_id(printed) == number


@pytest.mark.parametrize("printed", ["", "Submitted batch job 12", "hello\n"])
def test_an_sbatch_that_tells_no_number_is_a_slurm_error(printed) -> None:
    with pytest.raises(SlurmError, match=printed.strip() or "nothing"):
        job_id(printed)


def test_without_a_default_partition_one_must_be_named() -> None:
    ((reason, hint),) = preflight.misfits(Resources(), 1, [GPU])
    assert "no default" in reason
    assert "partition=gpu" in hint


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (Resources(), None),
        (Resources(account="Chem", qos="long"), None),
        (Resources(account="phys", qos="long"), "QOS `long`"),
        (Resources(account="chemm"), "account `chemm`"),
        (Resources(qos="nope"), "QOS `nope`"),
    ],
)
def test_accounts_and_qos_are_those_of_the_user(resources, message) -> None:
    table = [["chem", "normal,long"], ["chem", "debug"], ["phys", "normal"], [""]]
    held = permission.parse_associations(table)
    assert held == {"chem": {"normal", "long", "debug"}, "phys": {"normal"}}
    found = [reason for reason, _ in permission.not_yours(resources, held)]
    assert len(found) == (message is not None)
    assert not found or message in found[0]
    assert list(permission.not_yours(resources, None)) == []


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (Resources(account="chem", qos="normal", mem_mb=500), None),
        (Resources(), None),
        (Resources(account="bio"), "account `bio`, which the partition `gpu` does not take"),
        (Resources(account="chem", qos="long"), "QOS `long`, which the partition `gpu` refuses"),
        (Resources(mem_mb=2000), "2,000 MB, but `gpu` gives 1,000 MB"),
    ],
)
def test_a_partition_takes_some_accounts_and_qos(resources, message) -> None:
    rules = permission.parse_partitions(
        "PartitionName=gpu AllowGroups=ALL AllowAccounts=chem,phys DenyQos=long MaxMemPerNode=1000 Nodes=g1\n"
        "PartitionName=cpu AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL MaxMemPerNode=UNLIMITED\n"
    )
    found = permission.not_allowed(resources, [rules["gpu"]])
    assert len(found) == (message is not None)
    assert not found or message in found[0][0]
    assert permission.not_allowed(resources, [rules["gpu"], rules["cpu"]]) == []
    assert permission.not_allowed(resources, []) == []


def test_many_models_are_named_shortly() -> None:
    problem = preflight.Problem(tuple("abcdefg"), "ask for too much", "")
    assert problem.message == "jobs of a, b, c and 4 more models ask for too much"


def test_commands_that_are_not_there_are_a_slurm_error(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SlurmError, match="no `sinfo`"):
        preflight.problems({"x": Resources()}, {"x": 1})


# --- what a short job tells


def told(trial, *, wants_gpu=True):
    return {finding.name: finding for finding in checks.judge("gpu", trial, wants_gpu=wants_gpu)}


def test_a_job_that_left_nothing_behind_points_at_the_cache() -> None:
    (finding,) = told(Trial("1", "n1", "FAILED")).values()
    assert finding.status == "fail"
    assert "MIRA_CACHE" in finding.hint


def test_a_job_without_its_gpu_is_a_problem_and_one_that_wants_none_is_not() -> None:
    rows = [{"group": "GPU", "name": "GPU", "status": "ok", "message": "no GPU on this machine", "hint": None}]
    assert told(Trial("1", "n1", "COMPLETED", devices="", findings=rows))["gpu job on n1: GPU"].status == "fail"
    assert told(Trial("1", "n1", "COMPLETED", devices="0", findings=rows))["gpu job on n1: GPU"].status == "fail"
    good = Trial("1", "n1", "COMPLETED", devices="0", gpus=["GPU 0: A100"], findings=rows)
    assert told(good)["gpu job on n1: GPU"].status == "ok"
    none = told(Trial("1", "n1", "COMPLETED", devices="", findings=rows), wants_gpu=False)
    assert all(finding.status == "ok" for finding in none.values())


def test_a_node_that_cannot_start_mira_says_why() -> None:
    found = told(Trial("1", "n1", "COMPLETED", devices="", said="python: not found"), wants_gpu=False)
    assert any("python: not found" in finding.message for finding in found.values())


# --- on a real cluster


@pytest.mark.slurm
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


@pytest.mark.slurm
def test_nodes_that_are_away_are_no_lasting_problem(cluster) -> None:
    asked = {"x": Resources(gpu=1, partition="gpu", mem_mb=500)}
    subprocess.run(["scontrol", "update", "nodename=gpu1", "state=drain", "reason=test"], check=True)
    try:
        (problem,) = preflight.problems(asked, {"x": 1})
    finally:
        subprocess.run(["scontrol", "update", "nodename=gpu1", "state=resume"], check=True)
    assert not problem.lasting
    assert "1 of the 1 nodes of `gpu`" in problem.message
    for _ in range(100):  # a resume takes a moment
        if not (left := preflight.problems(asked, {"x": 1})):
            break
        time.sleep(0.1)
    assert left == []


@pytest.mark.slurm
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
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    with pytest.raises(SlurmError):
        preflight.problems({"x": Resources()}, {"x": 1})
    with pytest.raises(SlurmError):
        preflight.refusal_of(Resources(), 1)


def small(make):
    small = {"mem_mb": 500, "runtime_min": 10, "threads": 1}
    return make("small", {"extends": "slurm", "all": small, "gpu": {"partition": "gpu"}, "driver": {"runtime_min": 30}})


@pytest.mark.slurm
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


@pytest.mark.slurm
def test_check_without_submitting_names_the_models(cluster, make, mira) -> None:
    small(make)
    done = mira("profiles", "check", "small")
    assert [line.split()[:2] for line in done.stdout.splitlines()][-3:] == [
        ["ok", "gpu"],
        ["ok", "cpu"],
        ["ok", "driver"],
    ]
    make("large", {"extends": "small", "cpu": {"partition": "cppu"}})
    assert "did you mean `cpu`" in mira("profiles", "check", "large", "-m", "lj", code=4).stdout


@pytest.mark.slurm
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


@pytest.mark.slurm
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
    assert child.wait(30) == 130, rest
    assert "Traceback" not in rest
    state = subprocess.run(["squeue", "-h", "-t", "all", "-j", job, "-o", "%T"], capture_output=True, text=True).stdout
    assert state.strip() == "CANCELLED"
