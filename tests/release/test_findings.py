"""Findings: each is listed once, with the versions that it is about."""

import re
import subprocess

from tests.runs import REPOSITORY

SCRIPTS = sorted((REPOSITORY / "findings").glob("*.sh"))


def test_every_script_is_listed_once_with_its_versions() -> None:
    page = (REPOSITORY / "findings" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(.+?)\]\((.+?)\) \| (.+?) \| (.+?) \|$", page, flags=re.MULTILINE)
    assert [(name, link) for name, link, *_ in rows] == [(script.stem, script.name) for script in SCRIPTS]
    for script, (*_, told) in zip(SCRIPTS, rows, strict=True):
        pins = dict.fromkeys(re.findall(r"([\w-]+)==([\w.]+)", script.read_text(encoding="utf-8")))
        assert told == ", ".join(f"{package} {version}" for package, version in pins), script.name


def test_every_script_says_first_what_it_shows() -> None:
    for script in SCRIPTS:
        lines = script.read_text(encoding="utf-8").splitlines()
        assert lines[0] == "#!/usr/bin/env bash"
        assert lines[1].startswith("# ")
        assert "set -euo pipefail" in lines, script.name


def test_all_run_though_one_fails(tmp_path) -> None:
    for name, code in (("a", 0), ("b", 1), ("c", 0), ("d", 3)):
        (tmp_path / f"{name}.sh").write_text(f"echo ran {name}; exit {code}\n")
    command = ["make", "--no-print-directory", "findings", f"FINDINGS={tmp_path}/*.sh"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 2  # make's own, when a recipe fails
    assert re.findall("ran (.)", done.stdout) == ["a", "b", "c", "d"]
    told = done.stdout.partition("error: ")[2].splitlines()
    assert [line.strip() for line in told[1:]] == [f"{tmp_path}/b.sh", f"{tmp_path}/d.sh"]
    command[-1] = f"FINDINGS={tmp_path}/a.sh"
    assert subprocess.run(command, cwd=REPOSITORY, capture_output=True).returncode == 0
