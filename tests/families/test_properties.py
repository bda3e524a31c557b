"""Real weights: properties have the numbers that SevenNet's own calculator gives by other ways.

Volumes and bulk moduli are those of P(V) and of fits at 81 volumes, elastic constants those of central differences of
the stress of single cells, ions relaxed by ASE (sevenn 0.13.0, SevenNet-0).
"""

import json
import subprocess

import pytest

from mira_cli import tasks
from mira_cli.catalogue.lookup import built_in
from tests.families.conftest import HERE, bundled_models, python_of

MODEL = "sevennet-0"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("properties")
    family = built_in().models[MODEL].family
    (model,) = (one for one in bundled_models(family) if one["name"] == MODEL)
    asked = [
        (tasks.asked(task, task.settings()), names)
        for task, names in ((tasks.find_task("eos"), ["Cu", "MgO"]), (tasks.find_task("elastic"), ["Si"]))
    ]
    (folder / "asked.json").write_text(json.dumps({"model": model, "tasks": asked}))
    python = python_of(built_in().families[family].image)
    words = [python, str(HERE / "properties.py"), "asked.json", "found.json"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize(
    ("crystal", "volume", "modulus", "of_pressure"), [("Cu", 11.786, 143.5, 142.5), ("MgO", 9.626, 134.6, 129.8)]
)
def test_bulk_moduli_of_fits_and_of_pressures(found, crystal, volume, modulus, of_pressure) -> None:
    record = found["eos"][crystal]
    assert record["status"] == "ok"
    assert record["v0_per_atom_ang3"] == pytest.approx(volume, rel=2e-3)
    assert record["bulk_modulus_gpa"] == pytest.approx(modulus, rel=0.01)
    assert record["bulk_modulus_from_pressure_gpa"] == pytest.approx(of_pressure, rel=0.01)


def test_relaxed_ions_decide_the_shear_of_silicon(found) -> None:
    record = found["elastic"]["Si"]
    assert record["status"] == "ok"
    relaxed, clamped = record["stiffness_gpa"], record["clamped_stiffness_gpa"]
    assert (relaxed[0][0], relaxed[0][1]) == pytest.approx((154.5, 69.7), rel=0.02)
    assert relaxed[3][3] == pytest.approx(57.9, abs=1)
    assert clamped[3][3] == pytest.approx(77.9, abs=1)
    assert record["n_evaluations"] > 7  # which are of clamped ions
