"""Faster networks of real families, converted by the packages' own code: used if they agree, and only then."""

import json
import os
import subprocess

import pytest

from mira_cli.catalogue.lookup import built_in
from tests.families.conftest import HERE, python_of


@pytest.fixture(scope="module", params=["mace", "sevennet"])
def findings(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(f"accelerated-{request.param}")
    done = subprocess.run(
        [python_of(built_in().families[request.param].image), str(HERE / "accelerated.py"), request.param, "f.json"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout == ""
    return json.loads((folder / "f.json").read_text())


def test_a_good_one_is_used(findings):
    for model in findings:
        assert model["fused"] == {"name": "fused convolution", "refused": {}, "is_plain": False}
        assert model["converted"] == {"name": "cuequivariance", "refused": {}, "is_plain": False}


def test_a_wrong_one_is_refused(findings):
    for model in findings:
        choice = model["wrong"]
        assert (choice["name"], choice["is_plain"]) == (None, True)
        assert "is allowed" in choice["refused"]["cuequivariance"]


def test_one_that_was_never_made_is_refused(findings):
    unconverted = [model["unconverted"] for model in findings if "unconverted" in model]
    for choice in unconverted:
        assert choice["refused"] == {"cuequivariance": "the family's package made a network without cuequivariance"}
        assert choice["is_plain"]


def test_one_that_converts_no_layer_is_refused(findings):
    for model in findings:
        reason = "the network has no layer that this convolution can compute"
        assert model["unfused"] == {"name": None, "refused": {"fused convolution": reason}, "is_plain": True}


def test_the_image_offers_it_on_gpus(findings):
    for model in findings:
        (offered,) = model["on a GPU"]
        assert offered.startswith("cuequivariance 0.")
