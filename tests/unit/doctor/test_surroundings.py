"""What a site's modules, start files and limits bring with them."""

import json
import os
import resource
import subprocess
import sys

from mira_cli.doctor import slurm, surroundings
from mira_cli.results.devices import several_devices
from mira_cli.run.directory import RunDirectory
from tests.unit.doctor.faults import look


def test_what_jobs_do_without_is_told_and_what_they_get_is_a_warning(monkeypatch) -> None:
    for name in [name for name in os.environ if name.startswith(("PYTHON", "APPTAINER", "SINGULARITY"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("APPTAINER_BIND", "/scratch")
    monkeypatch.setenv("PYTHONHOME", "/opt/python")
    found = look(surroundings.variables)["variables"]
    assert (found.status, found.message) == ("ok", "jobs do without APPTAINER_BIND, PYTHONHOME")
    monkeypatch.setenv("LD_PRELOAD", "/opt/xalt/libxalt_init.so")
    found = look(surroundings.variables)["variables"]
    assert found.status == "warn"
    assert "/opt/xalt/libxalt_init.so" in found.message


def test_limits_of_a_login_node_are_warnings(monkeypatch) -> None:
    limits = {resource.RLIMIT_CPU: (600, 600), resource.RLIMIT_AS: (4 << 30, 4 << 30)}
    monkeypatch.setattr(resource, "getrlimit", limits.get)
    found = look(surroundings.shell_limits)
    assert "after 600 s of CPU time" in found["CPU time"].message
    assert "only 4.3 GB" in found["memory"].message
    assert {each.status for each in found.values()} == {"warn"}
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: unlimited)
    assert [each.status for each in look(surroundings.shell_limits).values()] == ["ok"]


def test_the_command_sees_the_limits_of_its_shell(tmp_path) -> None:
    code = "from mira_cli.doctor.surroundings import shell_limits; print([f.message for f in shell_limits()])"
    words = ["sh", "-c", f"ulimit -t 600; exec {sys.executable} -c '{code}'"]
    assert "600 s of CPU time" in subprocess.run(words, capture_output=True, text=True).stdout


def test_a_partition_with_different_gpus_is_told(put) -> None:
    put("sinfo", "echo 'gpu*|up|1:00:00|8|8000|gpu:a100:4(S:0-1)|2'; echo 'gpu*|up|1:00:00|8|8000|gpu:v100:2|1'")
    found = look(slurm.check_partitions)["gpu* GPUs"]
    assert found.status == "warn"
    assert "different GPUs (a100, v100)" in found.message
    assert '"gpu:a100:1"' in found.hint
    put("sinfo", "echo 'gpu*|up|1:00:00|8|8000|gpu:4|2'; echo 'gpu*|up|1:00:00|8|8000|gpu:a100:4,gpu:a100:2|1'")
    assert "gpu* GPUs" not in look(slurm.check_partitions)


def test_several_devices_of_one_model_are_told(tmp_path) -> None:
    run = RunDirectory(tmp_path)
    run.plan.parent.mkdir(parents=True)
    model = {"name": "m", "slug": "m", "key": "k", "jobs": ["a", "b"]}
    run.plan.write_text(json.dumps({"models": [model]}))
    for job, name in (("a", "A100"), ("b", "V100")):
        folder = run.records("m", "k") / job
        folder.mkdir(parents=True)
        (folder / "records.jsonl").write_text(json.dumps({"device": "cuda:0", "device_name": name}) + "\n")
    assert several_devices(run) == {"m": ["A100", "V100"]}
    (run.records("m", "k") / "b" / "records.jsonl").unlink()
    assert several_devices(run) == {}
