"""Real weights: relaxations end where those of the packages themselves end."""

import json
import subprocess

import pytest

from mira_cli.catalogue.lookup import built_in
from tests.families.conftest import HERE, bundled_models, python_of
from tests.families.relaxed import SETTINGS

NOISE = 1.05  # single precision sums otherwise in another batch


@pytest.fixture(scope="module", params=["sevennet-0", "chgnet-0.3.0"])
def relaxed(request, tmp_path_factory):
    """What the worker and the package made of each crystal."""
    folder = tmp_path_factory.mktemp(request.param)
    family = built_in().models[request.param].family
    (model,) = (one for one in bundled_models(family) if one["name"] == request.param)
    (folder / "model.json").write_text(json.dumps(model))
    python = python_of(built_in().families[family].image)
    words = [python, str(HERE / "relaxed.py"), "model.json", "found.json"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((folder / "found.json").read_text())


def test_minima_are_those_of_the_package(relaxed) -> None:
    for name, one in relaxed.items():
        ours, theirs = one["ours"], one["theirs"]
        assert ours["status"] == "ok", name
        n = ours["n_atoms"]
        assert ours["energy_ev"] / n == pytest.approx(theirs["energy_ev"] / n, abs=1e-4), name
        assert ours["volume_ang3"] == pytest.approx(theirs["volume_ang3"], rel=2e-3), name


def test_the_package_calls_them_converged(relaxed) -> None:
    for name, one in relaxed.items():
        assert one["ours"]["fmax_ev_per_ang"] < NOISE * SETTINGS["fmax_ev_per_ang"], name
        assert one["ours"]["smax_gpa"] < NOISE * SETTINGS["smax_gpa"], name


def test_it_takes_few_evaluations(relaxed) -> None:
    assert sum(one["ours"]["n_evaluations"] for one in relaxed.values()) <= 44
