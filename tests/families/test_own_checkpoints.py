"""Weights of a user's own: they run as they would in their own package, or one sentence says why not."""

import json

import pytest

from tests.families.conftest import run_inside

REFUSALS = {
    "chgnet": {
        "missing": "there is no checkpoint",
        "text": "is not a CHGNet checkpoint (",
        "other": "is not a CHGNet checkpoint (",
        "pickle": "is not a CHGNet checkpoint (UnpicklingError: Weights only load failed",
        "option": "family chgnet has no option modal (has none)",
    },
    "sevennet": {
        "missing": "there is no checkpoint",
        "text": "is not a SevenNet checkpoint (",
        "other": "is not a SevenNet checkpoint (",
        "no modal": "modal argument missing (avail: [",
        "wrong modal": "unknown modal pbe (not in [",
        "superfluous modal": "this checkpoint has no modals, and 'PBE' was asked for",
    },
}
IMAGES = {"chgnet": "matgl", "sevennet": "fairchem-sevennet"}


@pytest.fixture(scope="module", params=IMAGES)
def findings(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    run_inside(IMAGES[request.param], "own_checkpoints.py", folder, request.param, "findings.json")
    return {**json.loads((folder / "findings.json").read_text()), "family": request.param}


def test_they_run_as_in_their_own_package(findings):
    assert len(findings["energies"]) == 2
    for name, (mira, own) in findings["energies"].items():
        assert mira == pytest.approx(own, abs=2e-5), name


def test_what_cannot_be_loaded_is_named(findings):
    expected = REFUSALS[findings["family"]]
    assert set(findings["refusals"]) == set(expected)
    for name, words in expected.items():
        said = findings["refusals"][name]
        assert said.startswith("mine: ")
        assert words in said
        assert "\n" not in said
