"""`mira doctor` as it is called, and that nothing which a check does can stop it."""

import errno
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from mira_cli.doctor import checks, examine, software
from mira_cli.doctor.finding import Check, Finding, ok
from mira_cli.images import recipe
from tests.unit.doctor.faults import look


def test_all_groups_are_looked_at_on_this_machine(mira, tmp_path) -> None:
    rows = json.loads(mira("doctor", "--json", cwd=tmp_path).stdout)
    assert {row["group"] for row in rows} == {
        "runtime", "GPU", "images", "weights", "disk", "sharing", "SLURM", "site", "software",
    }  # fmt: skip
    assert all(set(row) == {"group", "name", "status", "message", "hint"} for row in rows)
    assert all((row["hint"] is None) == (row["status"] == "ok") for row in rows)
    assert not [row for row in rows if "check failed" in row["message"]]
    names = {(row["group"], row["name"]) for row in rows}
    assert len(names) == len(rows)
    assert {("images", image.name) for image in recipe.all_images()} <= names


def test_text_has_columns_and_no_colour_in_a_pipe(mira, tmp_path) -> None:
    lines = mira("doctor", cwd=tmp_path).stdout.splitlines()
    assert {line[10:16].strip() for line in lines} <= {"ok", "warn", "fail", ""}
    assert {line[10:16].strip() for line in lines if line[0] != " "} <= {"ok", "warn", "fail"}
    assert not [line for line in lines if line != line.rstrip() or "\x1b" in line]
    assert lines[0].startswith("runtime   ")


def test_a_node_is_asked_only_what_a_job_needs(mira, tmp_path) -> None:
    rows = json.loads(mira("doctor", "--node", "--json", cwd=tmp_path).stdout)
    assert {row["group"] for row in rows} == {"runtime", "GPU", "images", "disk", "sharing", "site", "software"}
    assert ("sharing", "cache", "ok") in {(row["group"], row["name"], row["status"]) for row in rows}


def test_a_node_that_does_not_see_the_cache_fails(mira, tmp_path) -> None:
    done = mira("doctor", "--node", "--json", cwd=tmp_path, code=4, MIRA_CACHE=str(tmp_path / "elsewhere"))
    assert [row["name"] for row in json.loads(done.stdout) if row["status"] == "fail"] == ["cache"]


def test_a_cache_that_cannot_be_is_a_failure_and_the_rest_is_still_told(mira, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    done = mira("doctor", "--json", cwd=tmp_path, code=4, MIRA_CACHE=str(tmp_path / "file" / "cache"))
    rows = json.loads(done.stdout)
    bad = [row for row in rows if row["status"] == "fail"]
    assert [(row["group"], row["name"]) for row in bad] == [("disk", "cache")]
    assert "MIRA_CACHE" in bad[0]["hint"]
    assert "runs cannot work here: 1 check failed" in done.stderr
    assert {"software", "SLURM"} <= {row["group"] for row in rows}


def test_a_folder_that_nobody_can_write_to_is_a_failure(mira) -> None:
    done = mira("doctor", "--json", cwd=Path("/proc"), code=4)
    assert ("disk", "current folder", "fail") in {
        (row["group"], row["name"], row["status"]) for row in json.loads(done.stdout)
    }


def test_a_locale_that_is_not_utf8_is_told(mira, tmp_path) -> None:
    done = mira("doctor", "--json", cwd=tmp_path, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    (row,) = [row for row in json.loads(done.stdout) if row["name"] == "locale"]
    assert row["status"] == "warn"
    assert "LC_ALL" in row["hint"]


def _hang():
    yield ok("before", "found in time")
    time.sleep(600)


def _raise():
    yield ok("before", "found in time")
    raise RuntimeError("two\nlines")


def _die():
    yield ok("before", "found in time")
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_hangs_raises_or_dies_keeps_what_it_found_and_stops_nothing_else() -> None:
    wanted = [Check("a", "it", check, "mend it", needed=check is _hang) for check in (_hang, _raise, _die, _fine)]
    hung, raised, died, fine = examine.examine(wanted, limit_s=1)
    assert [found[0] for found in (hung, raised, died)] == [ok("before", "found in time")] * 3
    assert hung[1:] == [Finding("fail", "it", "no answer in 1 s", "mend it")]
    assert raised[1:] == [Finding("warn", "it", "the check failed: RuntimeError: two lines", None)]
    assert died[1:] == [Finding("warn", "it", "the check broke off", "mend it")]
    assert fine == [ok("me", "fine")]


def _fine():
    yield ok("me", "fine")


def test_a_folder_that_may_not_be_read_is_told_in_words() -> None:
    def refuse():
        raise PermissionError(errno.EACCES, "Permission denied", "/secret")
        yield

    ((finding,),) = examine.examine([Check("a", "it", refuse, "")])
    assert finding == Finding("warn", "it", "permission denied: /secret", None)


@pytest.mark.slow
def test_a_cache_that_hangs_fails_alone(cache) -> None:
    os.mkfifo(cache / "torch-backends.json")  # who reads it waits for ever
    wanted = [check for check in checks.checks_here() if check.group in {"images", "software"}]
    found = dict(zip([check.name for check in wanted], examine.examine(wanted, limit_s=5), strict=True))
    assert [(finding.status, finding.message) for finding in found["images"]] == [("fail", "no answer in 5 s")]
    assert "Snakemake" in {finding.name for finding in found["software"]}
    assert "the check" not in found["software"][-1].message


def test_what_a_hanging_check_has_started_is_ended_with_it(tmp_path) -> None:
    def start():
        child = subprocess.Popen(["sleep", "600"])
        (tmp_path / "pid").write_text(str(child.pid))
        yield ok("pid", "written")
        child.wait()

    examine.examine([Check("a", "it", start, "")], limit_s=1)
    process = Path("/proc") / (tmp_path / "pid").read_text()
    for _ in range(100):
        if not process.exists() or "\nState:\tZ" in (process / "status").read_text():
            return
        time.sleep(0.05)
    pytest.fail("it is still there")


@pytest.mark.parametrize(
    ("version", "fits"), [("9.25.0", True), ("9.27.1", True), ("9.24.1", False), ("10.0", False), ("9.25", True)]
)
def test_versions_within_a_requirement(version, fits) -> None:
    assert software.within(version, "snakemake<10,>=9.25") is fits


def test_the_executor_plugin_is_needed_everywhere_and_in_one_version(monkeypatch) -> None:
    assert look(software.software)["executor plugin"].status == "ok"
    monkeypatch.setattr(software.metadata, "version", lambda name: "2.7.0")
    found = look(software.software)["executor plugin"]
    assert found.status == "warn"
    assert "snakemake-executor-plugin-slurm==2.8.0" in found.hint

    def missing(name):
        raise software.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(software.metadata, "version", missing)
    found = look(software.software)
    assert [found[name].status for name in ("Snakemake", "executor plugin")] == ["fail", "fail"]
    assert "not installed" in found["executor plugin"].message
