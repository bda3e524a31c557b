"""The report of a real run: a target of Snakemake, and nothing in it that is private."""

import json
import os
import re
import socket
import subprocess
import sys

import pytest

from tests.runs import REPOSITORY, records


def snakemake(run, settings, *targets: str) -> str:
    command = [sys.executable, "-m", "snakemake", "--snakefile", REPOSITORY / "Snakefile", "--directory", run,
               "--configfile", settings, "--workflow-profile", REPOSITORY / "profiles" / "local", *targets]  # fmt: skip
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_the_report_is_a_target_of_snakemake(structures, tmp_path) -> None:
    run, settings = tmp_path / "run", tmp_path / "run.yaml"
    run.mkdir()
    settings.write_text("structures: the structures\nmodels: [emt, lj]\n")
    snakemake(run, settings, "report.html")
    report = run / "report.html"
    assert "const DATA" in report.read_text(encoding="utf-8")
    tables = {file: file.stat().st_mtime_ns for file in run.iterdir() if file.suffix in {".csv", ".parquet", ".extxyz"}}
    assert len(tables) == 7
    before, asked = len(records(run)), json.loads((run / "work" / "collected.json").read_text())
    assert "Nothing to be done" in snakemake(run, settings, "report.html")
    assert "Nothing to be done" in snakemake(run, settings)
    report.unlink()
    snakemake(run, settings, "report.html")
    assert report.is_file()
    assert {file: file.stat().st_mtime_ns for file in tables} == tables
    assert (len(records(run)), json.loads((run / "work" / "collected.json").read_text())) == (before, asked)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_report_names_no_machine_no_process_and_nobodys_folders(mira, structures, tmp_path, elsewhere) -> None:
    run = tmp_path / "run"
    mira("run", structures, "-m", "emt,lj", "-o", run)
    if elsewhere:
        mira("report", run, "-o", tmp_path / "there" / "report.html")
    file = (tmp_path / "there" if elsewhere else run) / "report.html"
    text = re.search(r'id="data">(.*?)</script>', file.read_text(encoding="utf-8"), re.DOTALL)[1]
    shown, known = json.loads(text), json.loads((run / "provenance.json").read_text())
    attempts = [attempt for model in known["models"] for attempt in model["attempts"]]
    assert attempts
    assert {attempt["host"] for attempt in attempts} == {socket.gethostname()}
    told = [attempt for model in shown["provenance"]["models"] for attempt in model["attempts"]]
    assert len(told) == len(attempts)
    assert all({"host", "pid"}.isdisjoint(attempt) for attempt in told)
    assert {"host", "cwd"}.isdisjoint({**shown["provenance"], **shown["provenance"]["call"]})
    assert str(tmp_path) not in text
    assert os.path.expanduser("~") + "/" not in text  # noqa: PTH111  (as text)
    assert os.uname().release not in text
    assert shown["provenance"]["config"]["structures"] == ["…/the structures"]
    assert "…/run" in shown["provenance"]["call"]["command"]
