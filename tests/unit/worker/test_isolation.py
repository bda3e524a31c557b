"""The surroundings that the worker makes for a model."""

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.unit.worker.jobs import WORKFLOW
from worker import isolation

REPORT = """
import json, os, sys
from worker import isolation
isolation.set_job_environment(3, in_container=False, shared=SHARED)
json.dump(dict(os.environ), sys.stdout)
"""


def environment_after(tmp_path, *, shared: bool = False, **changes) -> dict[str, str]:
    before = {"PATH": os.environ["PATH"], "PYTHONPATH": str(WORKFLOW), "TMPDIR": str(tmp_path), **changes}
    command = [sys.executable, "-c", REPORT.replace("SHARED", str(shared))]
    done = subprocess.run(command, env=before, cwd=tmp_path, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_caches_are_writable_and_below_the_temporary_folder(tmp_path):
    after = environment_after(tmp_path, HOME="/nonexistent")
    for name in (*isolation.CACHES, "HOME"):
        assert after[name].startswith(str(tmp_path)), name
        assert os.access(after[name], os.W_OK)
    assert (tmp_path / f"mira-cache-{os.getuid()}").stat().st_mode & 0o077 == 0


def test_threads_that_wait_leave_cores_to_others_where_there_are_others(tmp_path):
    assert "OMP_WAIT_POLICY" not in environment_after(tmp_path)
    assert environment_after(tmp_path, shared=True)["OMP_WAIT_POLICY"] == "PASSIVE"
    assert environment_after(tmp_path, shared=True, OMP_WAIT_POLICY="ACTIVE")["OMP_WAIT_POLICY"] == "ACTIVE"


def test_a_run_directory_is_no_home(tmp_path):
    assert environment_after(tmp_path, HOME=str(tmp_path))["HOME"] != str(tmp_path)


def test_what_packages_write_and_forget_goes_with_the_worker(tmp_path):
    """As PyTorch Geometric does with the code that it generates."""
    code = """
import os, tempfile
from worker import errors, isolation
isolation.set_job_environment(1, in_container=False)
print(tempfile.mkstemp()[1], os.path.isfile(tempfile.mkstemp()[1]), flush=True)
errors.leave(0)
"""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(WORKFLOW), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, check=True, capture_output=True, text=True
    )
    place, there = done.stdout.split()
    assert (there, place.startswith(str(tmp_path))) == ("True", True)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_what_a_site_has_chosen_stays(tmp_path):
    home, kernels = tmp_path / "home", tmp_path / "kernels"
    home.mkdir()
    kernels.mkdir()
    after = environment_after(tmp_path, HOME=str(home), WARP_CACHE_PATH=str(kernels))
    assert after["HOME"] == str(home)
    assert after["WARP_CACHE_PATH"] == str(kernels)


def test_no_variable_changes_a_number_and_nothing_is_downloaded(tmp_path):
    changes = dict.fromkeys(isolation.NUMBER_CHANGING, "1") | {"HF_HUB_OFFLINE": "0", "OMP_NUM_THREADS": "99"}
    after = environment_after(tmp_path, **changes)
    assert not set(isolation.NUMBER_CHANGING) & set(after)
    assert after["HF_HUB_OFFLINE"] == after["TRANSFORMERS_OFFLINE"] == "1"
    assert {after[name] for name in isolation.THREADS} == {"3"}


def test_tensorflow_is_told_what_it_reads_at_import(tmp_path):
    changes = dict.fromkeys(isolation.TENSORFLOW, "2") | {"TF_NUM_INTEROP_THREADS": "99"}
    after = environment_after(tmp_path, **changes)
    assert {name: after[name] for name in isolation.TENSORFLOW} == isolation.TENSORFLOW
    assert after["TF_NUM_INTEROP_THREADS"] == "3"
    assert after["GRACE_CACHE"].startswith(str(tmp_path))


def test_a_job_sees_no_token(tmp_path):
    after = environment_after(tmp_path, **dict.fromkeys(isolation.TOKENS, "hf_secret"))
    assert "hf_secret" not in after.values()


def test_a_cache_of_somebody_else_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    mine = tmp_path / f"mira-cache-{os.getuid()}"
    assert isolation.cache_folder() == mine
    mine.chmod(0o777)
    assert isolation.cache_folder() != mine
    mine.rmdir()
    (tmp_path / "elsewhere").mkdir()
    mine.symlink_to(tmp_path / "elsewhere")
    assert isolation.cache_folder() != mine


@pytest.mark.skipif(not hasattr(os, "unshare"), reason="os.unshare is there from Python 3.12 on")
def test_leaving_the_network_keeps_ids_and_files(tmp_path):
    code = "import os; from worker import isolation; b = os.getuid(), os.getgid(); print(isolation.leave_network());"
    code += " open('f', 'w').close(); assert (os.getuid(), os.getgid()) == b"
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(WORKFLOW)}
    done = subprocess.run(command, env=environment, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.strip() in {"isolated", "open"}
    found = (tmp_path / "f").stat()
    assert (found.st_uid, found.st_gid) == (os.getuid(), os.getgid())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount; as root this tries a /tmp of 64 MB that is noexec")
def test_a_tmp_that_is_small_and_noexec_is_passed_over(tmp_path):
    code = "from worker import isolation; isolation.set_job_environment(1, in_container=False);"
    code += " import os; print(isolation.cache_folder().parent, os.environ['TMPDIR'])"
    seen = {}
    for options in ("size=64m", "noexec,size=4g", "size=4g"):
        words = f'mount -t tmpfs -o {options} none /tmp && TMPDIR= exec {os.path.realpath(sys.executable)} -c "{code}"'
        command = ["unshare", "--mount", "sh", "-c", words]
        # its own copy, as the checkout may lie below /tmp
        done = subprocess.run(
            command, cwd="/", env={"PATH": os.environ["PATH"], "PYTHONPATH": str(copied(WORKFLOW))},
            capture_output=True, text=True,
        )  # fmt: skip
        seen[options] = done.stdout.strip(), "temporary files are in /var/tmp" in done.stderr
    elsewhere = "/var/tmp /var/tmp", True
    assert seen == {"size=64m": elsewhere, "noexec,size=4g": elsewhere, "size=4g": ("/tmp", False)}


def copied(workflow: Path) -> Path:
    """The worker's code where a mount on /tmp does not hide it."""
    place = Path(tempfile.mkdtemp(prefix="mira-t-", dir="/var/tmp"))
    shutil.copytree(workflow, place / "workflow")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place / "workflow"
