"""What libraries get wrong without a word; where one has mended it, what MIRA does about it may go."""

import json
import os
import subprocess

import pytest

from mira_cli.catalogue.lookup import built_in
from tests.families.conftest import HERE, python_of


@pytest.fixture
def trapped(tmp_path):
    """What `traps.py` finds of a family."""

    def find(family: str) -> dict:
        command = [python_of(built_in().families[family].image), str(HERE / "traps.py"), family, "findings.json"]
        env = {**os.environ, "PYTHONPATH": ""}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads((tmp_path / "findings.json").read_text())

    return find


def test_networks_of_upet_are_told_charge_and_spin_in_batches(trapped) -> None:
    found = trapped("upet")
    ion, neutral = found["single"]
    assert abs(ion - neutral) > 0.01
    assert found["list"] == pytest.approx([neutral, neutral], abs=1e-4)  # the library's own list
    assert found["ours"] == pytest.approx([ion, neutral], abs=1e-4)
    known = "PropertyNotImplementedError: the model knows no"
    assert found["refused"] == {
        "half": f"{known} charge of 0.5",
        "far": f"{known} charge of 11",
        "spin": f"{known} spin of 0",
    }


def test_elements_without_training_are_not_among_those_of_matris(trapped) -> None:
    elements = trapped("matris")["elements"]
    assert {84, 85, 86, 87, 88}.isdisjoint(elements)
    assert len(elements) == 89


def test_a_charge_does_not_stay_with_aimnet(trapped) -> None:
    found = trapped("aimnet")
    before, ion, after, boxed = found["theirs"]
    assert after == pytest.approx(ion, abs=1e-5)  # the library's own
    assert abs(after - before) > 1e-3
    assert found["ours"] == pytest.approx([before, ion, before, boxed], abs=1e-4)
    assert found["by_path"] == [True, False]
    assert found["published"] == [False, True]


def test_tace_writes_nothing_into_a_structure(trapped) -> None:
    found = trapped("tace")
    assert found["theirs"] == [["fidelity_idx"], [0.0] * 6]
    assert found["ours"] == []
