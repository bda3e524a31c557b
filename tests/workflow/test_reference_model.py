"""`--reference-model`: another model's answers in place of the input's references."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from tests import runs


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> Path:
    """Crystals with energies that are nobody's, one that EMT does not know among them."""
    crystals = [bulk(symbol, cubic=True) for symbol in ("Cu", "Au", "Al", "Cu", "Si")]
    for seed, atoms in enumerate(crystals):
        atoms.rattle(0.1, seed=seed)
        atoms.calc = SinglePointCalculator(atoms, energy=1234.0)
    file = tmp_path_factory.mktemp("given") / "crystals.extxyz"
    write(file, crystals)
    return file


def table(run: Path, name: str) -> list[dict[str, str]]:
    with (run / name).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_errors_against_a_model_are_the_differences_from_it(given, mira, tmp_path) -> None:
    done = mira("run", given, "-m", "lj", "--reference-model", "emt", "-o", tmp_path / "against")
    assert "has no answer for 1 structure" in done.stderr
    mira("run", given, "-m", "lj,emt", "-o", tmp_path / "beside", code=1)
    against, beside = tmp_path / "against", tmp_path / "beside"
    (row,) = (row for row in table(against, "reference.csv") if row["subset"] == "all")
    (pair,) = table(beside, "pairs.csv")
    assert int(row["n_energies"]) == 4  # EMT knows no silicon, and what the input says is not taken
    assert float(row["force_mae_ev_per_ang"]) == pytest.approx(float(pair["force_mae_ev_per_ang"]))
    assert float(row["stress_mae_ev_per_ang3"]) == pytest.approx(float(pair["stress_mae_ev_per_ang3"]))
    assert "the reference is emt" in row["notes"]
    assert {row["model"] for row in runs.rows(against)} == {"lj"}

    energies = {row["structure_id"]: row["energy_ev"] for row in runs.rows(beside) if row["model"] == "emt"}
    told = {row["structure_id"]: row["reference_energy_ev"] for row in table(against, "energies.csv")}
    assert {key: value and float(value) for key, value in told.items()} == {
        key: value and pytest.approx(float(value)) for key, value in energies.items()
    }
    frames = read(against / "results.extxyz", ":")
    assert frames[0].arrays["reference_forces"] == pytest.approx(
        runs.answers(beside, "emt")[pq.read_table(beside / "comparison.parquet")["structure_hash"][0].as_py()][1]
    )
    assert json.loads((against / "provenance.json").read_text())["reference_model"]["name"] == "emt"
    assert "against the answers of emt" in mira("table", against).stdout
    assert '"reference_model":"emt"' in (against / "report.html").read_text().replace('": "', '":"')


def test_a_reference_without_any_answer_is_a_failure(mira, tmp_path) -> None:
    write(tmp_path / "si.extxyz", bulk("Si"))
    done = mira("run", tmp_path / "si.extxyz", "-m", "lj", "--reference-model", "emt", "-o", tmp_path / "run", code=1)
    assert "has no answer for any structure" in done.stderr
    assert "nothing is compared with it" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-m", "lj,emt", "--reference-model", "emt"), "is among those that are compared"),
        (("-m", "lj", "--reference-model", "emtt"), "unknown model `emtt`"),
        (("-m", "lj", "--reference-model", "emt", "--task", "relax"), "has no references of models"),
    ],
)
def test_what_cannot_be_a_reference_is_refused(given, mira, tmp_path, words, message) -> None:
    done = mira("run", given, *words, "-o", tmp_path / "run", code=2)
    assert message in done.stderr
    assert "hint" in done.stderr
    assert not (tmp_path / "run").exists()
