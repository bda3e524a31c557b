"""One model's answers as labels that other tools read."""

import json

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from typer.testing import CliRunner

from mira_cli.app import app
from tests.unit.results.comparison_runs import made_run


def mira(*words: object):
    return CliRunner().invoke(app, [*map(str, words)], catch_exceptions=True)


@pytest.fixture
def run(tmp_path):
    """A crystal, a molecule with charge and spin, one that model `a` cannot do, and the crystal once more."""
    rng = np.random.default_rng(0)
    ion = molecule("OH")
    ion.info |= {"charge": -1, "spin": 1}
    images = [bulk("Cu", cubic=True), ion, bulk("Al"), bulk("Cu", cubic=True)]
    images[0].positions[1] += 12_345.0  # wider than the columns
    images[3].positions[1] += 12_345.0
    crystal = (-1.25e-7, rng.normal(size=(4, 3)), rng.normal(size=6).tolist())
    answers = {
        "a": [crystal, (-7.5, rng.normal(size=(2, 3))), None, crystal],
        "b": [(-1.0, np.zeros((4, 3))), None, (-3.0, np.zeros((1, 3))), (-1.0, np.zeros((4, 3)))],
    }
    return made_run(tmp_path, images, answers), images, answers


def test_ase_reads_back_what_its_own_calculator_would_say(run, tmp_path) -> None:
    where, images, answers = run
    told = mira("export", where.root, "-m", "a", "-o", tmp_path / "labels.extxyz")
    assert told.exit_code == 0
    assert "3 structures of a" in told.stderr
    assert "1 structure without an answer left out" in told.stderr
    found = read(tmp_path / "labels.extxyz", ":")
    assert [atoms.info.pop("structure_id") for atoms in found] == [f"in.extxyz#{i}" for i in (0, 1, 3)]
    assert {atoms.info.pop("answer_of") for atoms in found} == {"a"}
    for atoms, i in zip(found, (0, 1, 3), strict=True):
        energy, forces, *stress = answers["a"][i]
        own = images[i].copy()
        own.calc = SinglePointCalculator(own, energy=energy, forces=forces, **({"stress": stress[0]} if stress else {}))
        write(tmp_path / "own.extxyz", own)
        again = read(tmp_path / "own.extxyz")
        assert again.calc.results.keys() == atoms.calc.results.keys()
        for key, value in again.calc.results.items():
            np.testing.assert_array_equal(atoms.calc.results[key], value)
        assert atoms.info == again.info
        np.testing.assert_array_equal(atoms.positions, again.positions)
        np.testing.assert_array_equal(atoms.cell, again.cell)
        assert (atoms.pbc == again.pbc).all()
        assert atoms.get_chemical_symbols() == again.get_chemical_symbols()


def test_whoever_reads_answers_as_references_is_told_whose_they_are(run, tmp_path) -> None:
    mira("export", run[0].root, "-m", "a", "-o", tmp_path / "labels.extxyz")
    told = json.loads(mira("inspect", tmp_path / "labels.extxyz", "--json").stdout)
    notes = [row["note"] for row in told["structures"]]
    assert notes == ["its references are answers of the model a"] * 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-m", "c"), "`c` is not a model of this run"),
        ((), "this run has 2 models"),
        (("-m", "a", "-o", "labels.csv"), "`labels.csv` is not named as an extxyz file"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_sentence(run, tmp_path, monkeypatch, words, said) -> None:
    monkeypatch.chdir(tmp_path)
    told = mira("export", run[0].root, *words)
    assert told.exception.code == 2
    assert said in str(told.exception)
    assert not [*tmp_path.glob("*labels*")]


def test_a_file_that_is_there_stays_unless_forced_and_when_there_is_nothing_to_write(run, tmp_path) -> None:
    file = tmp_path / "labels.xyz"
    file.write_text("mine")
    assert "is there already" in str(mira("export", run[0].root, "-m", "a", "-o", file).exception)
    records = next((run[0].work / "records" / "b").glob("*/*/records.jsonl"))
    records.write_text("")
    told = mira("export", run[0].root, "-m", "b", "-o", file, "--force")
    assert "`b` has no answer" in str(told.exception)
    assert told.exception.hint == f"`mira table {run[0].root} -m b` says why"
    assert file.read_text() == "mine"
    assert mira("export", run[0].root, "-m", "a", "-o", file, "--force").exit_code == 0
    assert len(read(file, ":")) == 3
