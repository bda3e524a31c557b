"""What jobs ask for, in the words of each scheduler."""

import pytest

from mira_cli.errors import UsageError
from mira_cli.queues.find import submit_words
from mira_cli.queues.scheduler import JobNeeds
from mira_cli.queues.table import SCHEDULERS
from mira_cli.resources import Resources

CPU = JobNeeds(threads=8, mem_mb=16_000, runtime_min=90, partition="work", account="proj")
GPU = JobNeeds(threads=4, mem_mb=8_000, runtime_min=1500, gpu=True, extra="--other 'two words'")
NAME = "mira-run-0123abcd.emt.0a1b"
HEADS = {
    "pbs": f"qsub -N {NAME} -S /bin/sh -V -j oe -o /dev/null -m n -r n",
    "lsf": f"bsub -J {NAME} -o /dev/null -rn",
    "sge": f"qsub -terse -N {NAME} -S /bin/sh -V -j y -o /dev/null -m n -r n -w e",
    "htcondor": f"condor_submit -terse -batch-name {NAME}",
    "flux": f"flux submit --job-name={NAME} --output=/dev/null --error=/dev/null",
}
ON_CPU = {
    "pbs": ["-l", "select=1:ncpus=8:mem=16000mb", "-l", "walltime=01:30:00", "-q", "work", "-A", "proj"],
    "lsf": ["-n", "8", "-R", "span[hosts=1]", "-R", "rusage[mem=16000MB]", "-M", "16000MB", "-W", "90", "-q", "work",
            "-P", "proj"],
    "sge": ["-pe", "smp", "8", "-l", "h_vmem=2000M,h_rt=5400", "-q", "work", "-P", "proj"],
    "htcondor": ["-a", "request_cpus=8", "-a", "request_memory=16000", "-a", "allowed_job_duration=5400", "-a",
                 "accounting_group=proj"],
    "flux": ["-n", "1", "-c", "8", "-t", "90m", "--queue=work", "--bank=proj"],
}  # fmt: skip
ON_GPU = {
    "pbs": ["-l", "select=1:ncpus=4:mem=8000mb:ngpus=1", "-l", "walltime=25:00:00"],
    "lsf": ["-n", "4", "-R", "span[hosts=1]", "-R", "rusage[mem=8000MB]", "-M", "8000MB", "-W", "1500", "-gpu",
            "num=1"],
    "sge": ["-pe", "smp", "4", "-l", "h_vmem=2000M,h_rt=90000,gpu=1"],
    "htcondor": ["-a", "request_cpus=4", "-a", "request_memory=8000", "-a", "allowed_job_duration=90000", "-a",
                 "request_gpus=1"],
    "flux": ["-n", "1", "-c", "4", "-t", "1500m", "-g", "1"],
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULERS)
def test_words_of_a_job_are_those_of_the_scheduler(name) -> None:
    scheduler = SCHEDULERS[name]
    cpu = CPU if name != "htcondor" else JobNeeds(threads=8, mem_mb=16_000, runtime_min=90, account="proj")
    assert scheduler.words_for(NAME, cpu) == [*HEADS[name].split(), *ON_CPU[name]]
    assert scheduler.words_for(NAME, GPU) == [*HEADS[name].split(), *ON_GPU[name], "--other", "two words"]


@pytest.mark.parametrize(
    ("name", "gres", "constraint", "words"),
    [
        ("pbs", "ngpus=1:gputype=A100", "cputype=rome",
         ["-l", "select=1:ncpus=1:mem=8000mb:ngpus=1:gputype=A100:cputype=rome"]),
        ("lsf", "num=1:j_exclusive=yes", "select[ncpus > 8]",
         ["-gpu", "num=1:j_exclusive=yes", "-R", "select[ncpus > 8]"]),
        ("sge", "gpu=1,gpu_type=a100", "arch=lx-amd64", ["h_vmem=8000M,h_rt=14400,gpu=1,gpu_type=a100,arch=lx-amd64"]),
        ("htcondor", "request_gpus=2", "Arch == X86_64", ["-a", "request_gpus=2", "-a", "requirements=Arch == X86_64"]),
        ("flux", "-g 2", "a100", ["-g", "2", "--requires=a100"]),
    ],
)  # fmt: skip
def test_gpus_and_nodes_as_a_site_spells_them(name, gres, constraint, words) -> None:
    said = SCHEDULERS[name].words_for(NAME, JobNeeds(gpu=True, gres=gres, constraint=constraint))
    assert any(said[i : i + len(words)] == words for i in range(len(said))), said


def test_a_site_has_words_of_its_own() -> None:
    torque = "-l nodes=1:ppn={threads}{gpu} -l mem={mem_mb}mb -l walltime={clock}"
    said = SCHEDULERS["pbs"].words_for(NAME, GPU, request=torque, gpu=":gpus=1")
    assert said[len(HEADS["pbs"].split()) :][:6] == [
        "-l", "nodes=1:ppn=4:gpus=1", "-l", "mem=8000mb", "-l", "walltime=25:00:00"
    ]  # fmt: skip


def test_a_model_of_gpu_has_a_word_on_lsf_alone() -> None:
    asked = JobNeeds(gpu=True, gpu_model="NVIDIAA100")
    assert "num=1:gmodel=NVIDIAA100" in SCHEDULERS["lsf"].words_for(NAME, asked)
    assert [name for name, known in SCHEDULERS.items() if known.unknown(asked) != ["gpu_model"]] == ["lsf"]


@pytest.mark.parametrize(
    ("name", "word", "lost"),
    [*((name, "qos", True) for name in SCHEDULERS), ("htcondor", "partition", True), ("flux", "partition", False)],
)
def test_what_a_scheduler_has_no_word_for_is_refused(name, word, lost) -> None:
    asked = {"emt": (Resources.model_validate({word: "x", "mem_mb": 1000, "runtime_min": 5}), 1)}
    if not lost:
        assert "--queue=x" in submit_words(SCHEDULERS[name], asked, {})["emt"]
        return
    with pytest.raises(UsageError, match=f"jobs of emt ask for `{word}`, for which .* has no option"):
        submit_words(SCHEDULERS[name], asked, {})


@pytest.mark.parametrize("wrong", ["-l mem={memory}", "-l 'mem={mem_mb}"])
def test_a_sites_word_that_cannot_be_read_is_a_usage_error(wrong) -> None:
    asked = {"emt": (Resources.model_validate({"mem_mb": 1000, "runtime_min": 5}), 1)}
    with pytest.raises(UsageError, match="cannot be read"):
        submit_words(SCHEDULERS["pbs"], asked, {"mira-queue-request": wrong})
