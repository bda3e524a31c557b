"""The script of a job on a node, run by `sh` as SLURM runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from types import SimpleNamespace

import pytest

from mira_cli.engine.job_files import clear, has_left_its_result, have_left_their_results
from mira_cli.engine.job_script import job_script


def script(
    command: str, *, image: str | None = None, arguments: str = "", before: str | None = None, **about
) -> str | None:
    """The script of a job."""
    job = {"shellcmd": command, "is_shell": True, "container_img_path": image, "log": ["a log/b.log"], "input": ()}
    workflow = SimpleNamespace(
        deployment_settings=SimpleNamespace(apptainer_args=arguments),
        execution_settings=SimpleNamespace(latency_wait=5),
        remote_execution_settings=SimpleNamespace(precommand=before),
    )
    return job_script(SimpleNamespace(**{**job, "is_group": lambda: False, **about}), workflow)


def run(folder, text: str, **variables: str) -> tuple[int, str]:
    """Exit code of a script, and what is in the job's log afterwards."""
    done = subprocess.run(["sh", "-s"], input=text, text=True, cwd=folder, env={**os.environ, **variables})
    return done.returncode, (folder / "a log" / "b.log").read_text()


def test_its_exit_code_and_all_that_it_says_are_the_commands(tmp_path) -> None:
    assert run(tmp_path, script("echo out; echo err >&2; exit 7")) == (7, "out\nerr\n")
    assert run(tmp_path, script("echo again")) == (0, "again\n")  # the log is of the last try


def test_the_command_takes_the_place_of_the_shell(tmp_path) -> None:
    _, said = run(tmp_path, "echo $$ > pid\n" + script("exec sh -c 'echo $$'"))
    assert said == (tmp_path / "pid").read_text()


@pytest.mark.parametrize("there", [True, False])
def test_a_temporary_folder_that_is_not_on_the_node_is_left_alone(tmp_path, there) -> None:
    folder = tmp_path if there else tmp_path / "of another machine"
    assert run(tmp_path, script("echo $TMPDIR"), TMPDIR=str(folder)) == (0, f"{folder if there else '/tmp'}\n")


def test_what_a_profile_wants_to_be_done_first_is_done(tmp_path) -> None:
    assert run(tmp_path, script("echo $LOADED", before="LOADED=apptainer")) == (0, "apptainer\n")


def test_what_it_reads_is_waited_for(tmp_path) -> None:
    late = tmp_path / "a job.json"
    threading.Timer(1.5, late.touch).start()
    began = time.monotonic()
    assert run(tmp_path, script("cat 'a job.json'", input=["a job.json"]))[0] == 0
    assert 1 < time.monotonic() - began < 4


def test_a_container_gets_the_command_as_one_word(tmp_path, monkeypatch) -> None:
    fake = tmp_path / "bin" / "apptainer"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho "$0" $#\nfor last; do :; done\nprintf "%s\\n" "$@"\neval "$last"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    command = "echo 'it''s' \"$HOME\" \\$ {}"
    code, said = run(tmp_path, script(command, image="/x.sif", arguments='--nv --bind "${TMPDIR:-/tmp}"'), HOME="/h h")
    lines = said.splitlines()
    assert code == 0
    assert lines[1:3] == ["exec", "--home"]
    assert lines[4:7] == ["--nv", "--bind", os.environ.get("TMPDIR", "/tmp")]
    assert lines[7:] == ["/x.sif", "sh", "-c", command, "its /h h $ {}"]


def test_a_node_without_apptainer_says_so_before_singularity_speaks(tmp_path, monkeypatch) -> None:
    """Which calls an image that it cannot read corrupted."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("sh", "mkdir", "sleep"):
        (commands / name).symlink_to(shutil.which(name))
    (commands / "singularity").write_text("#!/bin/sh\necho FATAL: corrupted image >&2; exit 255\n")
    (commands / "singularity").chmod(0o755)
    monkeypatch.setenv("PATH", str(commands))
    code, said = run(tmp_path, script("true", image="/x.sif"))
    assert (code, said) == (255, "no apptainer on this node: singularity is tried\nFATAL: corrupted image\n")


def test_what_only_snakemake_can_do_is_left_to_it() -> None:
    assert script("x", is_shell=False) is None
    assert script("x", is_group=lambda: True) is None


def test_what_an_earlier_try_has_left_is_removed(tmp_path) -> None:
    left, missing = tmp_path / "left", tmp_path / "missing"
    left.touch()
    job = SimpleNamespace(output=[left, missing])
    clear(job)
    assert not left.exists()
    left.touch()
    assert not has_left_its_result(job)
    missing.touch()
    assert has_left_its_result(job)


def test_of_many_jobs_all_outputs_are_looked_for_wherever_they_are(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    for name in ("a/1.json", "a/2.json", "3.json"):
        (tmp_path / name).touch()
    outputs = [["a/1.json"], ["a/4.json"], ["a/2.json", "3.json"], ["a/2.json", "4.json"], [tmp_path / "3.json"],
               ["none/1.json"]]  # fmt: skip
    jobs = [SimpleNamespace(output=files) for files in outputs]
    assert have_left_their_results(jobs) == [True, False, True, False, True, False]
    assert [has_left_its_result(job) for job in jobs] == have_left_their_results(jobs)
