"""Graphs that Orb's worker makes several at once are those that the package makes of each structure alone."""

import json
import os
import subprocess
from collections import Counter

import numpy as np
import pytest

from mira_cli.catalogue.lookup import built_in
from tests.families.conftest import HERE, python_of
from worker.accelerator import ALLOWED

QUANTITIES = {"energy": "energy_ev", "forces": "forces_ev_per_ang", "stress": "stress_ev_per_ang3"}


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("orb-lists")
    done = subprocess.run(
        [python_of(built_in().families["orb"].image), str(HERE / "orb_lists.py"), "findings.json"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads((folder / "findings.json").read_text())


@pytest.mark.parametrize("model", ["conservative-float32 float32", "molecular-direct float32", "direct float32"])
def test_every_way_is_taken(findings, model):
    how = Counter(row["how"] for row in findings[model]["rows"])
    assert {name for name, n in how.items() if n >= 3} == {"listed", "alone", "crowded"}


def test_lists_are_of_single_precision_only(findings):
    assert all(row["identical"] for row in findings["conservative float64"]["rows"])


def test_edges_are_the_same(findings):
    for model in findings.values():
        for row in model["rows"]:
            assert row["same edges"], row["formula"]
            assert row["off_ang"] < 1e-5, row["formula"]
            assert row["identical"] or row["how"] == "listed", row["formula"]


def test_answers_differ_by_rounding_at_most(findings):
    for name, model in findings.items():
        for row in model["rows"]:
            for quantity, key in QUANTITIES.items():
                if row[key][0] is not None:
                    per = len(row["forces_ev_per_ang"][0]) if quantity == "energy" else 1
                    alone, given = (np.asarray(value) / per for value in row[key])
                    floor, share = ALLOWED[name.split()[1]][quantity]
                    assert np.abs(alone - given).max() <= floor + share * np.abs(alone).max(), (name, row["formula"])


def test_threads_do_not_disturb_one_another(findings):
    assert all(model["at once"] for model in findings.values())


def test_large_cells_are_left_to_the_gpu(findings):
    for model in findings.values():
        assert model["elsewhere"]["few"] == [1, None]
        alone, elsewhere = model["elsewhere"]["energies_ev"]
        assert elsewhere == alone
