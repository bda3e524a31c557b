"""Whether tables are the answer to what a run wants is read from them, never from clocks."""

import json
import os

from ase.build import bulk

from mira_cli.answers import load as loading
from mira_cli.driver.collect import collect
from mira_cli.driver.realign import realign
from mira_cli.files import read_json, write_json
from mira_cli.run.collected import is_collected
from tests.report.runs import answers
from tests.unit.results.comparison_runs import made_run


def made(tmp_path):
    frames = [bulk("Cu", a=3.5 + 0.1 * i) for i in range(3)]
    run = made_run(tmp_path, frames, {name: answers(3, seed) for seed, name in enumerate("ab")})
    collect(run)
    return run


def test_clocks_have_no_say(tmp_path) -> None:
    run = made(tmp_path)
    os.utime(run.wanted, (4e9, 4e9))
    assert is_collected(run)
    wanted = json.loads(run.wanted.read_text())
    write_json(run.wanted, {**wanted, "models": wanted["models"][:1]})
    os.utime(run.wanted, (1, 1))
    assert not is_collected(run)


def test_tables_of_other_records_or_without_their_files_are_old(tmp_path) -> None:
    run = made(tmp_path)
    assert is_collected(run, records=6)
    assert not is_collected(run, records=7)
    (run.root / "energies.csv").unlink()
    assert not is_collected(run)


def test_other_alignment_does_not_make_old_tables_new(tmp_path) -> None:
    run = made(tmp_path)
    text = (run.root / "comparison.csv").read_text()
    (run.root / "comparison.csv").write_text("old")
    run.collected.unlink()  # what was computed since is not in them
    realign(run, "none")
    assert (run.root / "comparison.csv").read_text() == text


def test_what_all_models_share_is_read_once(tmp_path, monkeypatch) -> None:
    run, read = made(tmp_path), []
    monkeypatch.setattr(loading, "read_json", lambda file: read.append(file) or read_json(file))
    loading.load_run(run)
    assert len(read) == len(set(read)) == 2
