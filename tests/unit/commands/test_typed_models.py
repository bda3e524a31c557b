"""Models are named for a run as they were for `--models`."""

import json
from pathlib import Path

import pytest

from mira_cli.commands.typed_models import joined, name_in_run
from mira_cli.run.directory import RunDirectory
from tests.own_files import MIRA, source, write


@pytest.fixture
def run(tmp_path, monkeypatch) -> RunDirectory:
    """A planned run of models with options, by path and of the catalogue."""
    monkeypatch.setenv("MIRA_CACHE", str(tmp_path / "cache"))
    write(tmp_path, source(f'{MIRA}, "options": {{"scale": 1.0, "n": 2}}'))
    run = RunDirectory(tmp_path / "run")
    run.work.mkdir(parents=True)
    names = ["file:mine.py?n=3", "file:mine.py", "lj?sigma=2.5", "emt"]
    run.wanted.write_text(json.dumps({"models": [{"name": name} for name in names]}))
    run.settings.write_text("structures: [x]\n")
    return run


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        ("file:mine.py?n=3", "file:mine.py?n=3"),
        ("file:{}/mine.py?n=3&scale=1", "file:mine.py?n=3"),
        ("file:{}/mine.py?n=2", "file:mine.py"),
        ("file:{}/mine.py?n=4", "file:{}/mine.py?n=4"),
        ("file:{}/gone.py", "file:{}/gone.py"),
        ("LJ?sigma=2.50", "lj?sigma=2.5"),
        ("lj", "lj"),
        ("EMT", "emt"),
        ("emtt", "emtt"),
    ],
)
def test_a_name_as_typed_is_that_of_the_run(run, typed, named) -> None:
    folder = run.root.parent
    assert name_in_run(typed.format(folder), run) == named.format(folder)


def test_a_run_that_was_never_planned_has_no_names(tmp_path) -> None:
    assert name_in_run("emt", RunDirectory(tmp_path)) == "emt"


def test_options_that_are_given_again_are_joined(mira, tmp_path) -> None:
    assert joined(None) is None
    assert joined(["a,b", "c"]) == "a,b,c"
    done = mira("inspect", Path("examples/structures/semiconductors").absolute(), "-m", "emt", "-m", "lj", "--json")
    assert set(json.loads(done.stdout)["summary"]["models"]) == {"emt", "lj"}
