"""What SLURM says to jobs before any is submitted, and what a short job tells of its node."""

import pytest

from mira_cli.doctor import profile as checks
from mira_cli.errors import UsageError
from mira_cli.resources import Resources
from mira_cli.slurm import permission, preflight
from mira_cli.slurm.cluster import Partition
from mira_cli.slurm.commands import SlurmError, job_id
from mira_cli.slurm.trial import Trial

CPU = Partition("cpu", default=True, up=True, time_limit_min=60, cpus=8, mem_mb=8000, gres=(), nodes=2)
GPU = Partition("gpu", False, True, None, 64, 500_000, ("gpu:a100:4", "gpu:h100:2(S:0-1)"), 1)
OLD = Partition("old", False, False, 1440, 4, 4000, ("gpu:2",), 3)
KNOWN = [CPU, GPU, OLD]


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
        f"<cpu {word}>, or another partition" for word in ("runtime_min 60", "mem_mb 7850", "threads 8")
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
    problem = preflight.StartProblem(tuple("abcdefg"), "ask for too much", "")
    assert problem.message == "jobs of a, b, c and 4 more models ask for too much"


def test_commands_that_are_not_there_are_a_slurm_error(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SlurmError, match="no `sinfo`"):
        preflight.problems({"x": Resources()}, {"x": 1})


# --- what a short job tells


def told(trial, *, wants_gpu=True):
    return {finding.name: finding for finding in checks.judge_trial("gpu", trial, wants_gpu=wants_gpu)}


def test_a_job_that_left_nothing_behind_points_at_the_cache() -> None:
    (finding,) = told(Trial("1", "n1", "FAILED")).values()
    assert finding.status == "fail"
    assert "(SLURM says FAILED)" in finding.message
    assert "MIRA_CACHE" in finding.hint


def test_a_job_without_its_gpu_is_a_problem_and_one_that_wants_none_is_not() -> None:
    rows = [{"group": "GPU", "name": "GPU", "status": "ok", "message": "no GPU on this machine", "hint": None}]
    assert told(Trial("1", "n1", "COMPLETED", devices="", findings=rows))["gpu job on n1: GPU"].status == "fail"
    assert told(Trial("1", "n1", "COMPLETED", devices="0", findings=rows))["gpu job on n1: GPU"].status == "fail"
    good = Trial("1", "n1", "COMPLETED", devices="0", gpus=["GPU 0: A100"], findings=rows)
    assert told(good)["gpu job on n1: GPU"].status == "ok"
    none = told(Trial("1", "n1", "COMPLETED", devices="", findings=rows), wants_gpu=False)
    assert all(finding.status == "ok" for finding in none.values())
    assert "(SLURM job 1)" in none["gpu job on n1"].message


def test_a_node_that_cannot_start_mira_says_why() -> None:
    found = told(Trial("1", "n1", "COMPLETED", devices="", said="python: not found"), wants_gpu=False)
    assert any("python: not found" in finding.message for finding in found.values())
