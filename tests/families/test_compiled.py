"""Faster networks of NequIP and Allegro: used where they agree with the plain one, compiled once, and never trusted."""

import json
import os
import shutil
import subprocess

import pytest

from mira_cli.catalogue.lookup import built_in
from tests.families.conftest import HERE, python_of

SAME = 5e-5  # eV/Å, by networks that compute in single precision

if shutil.which("g++") is None:
    pytest.skip("there is no C++ compiler", allow_module_level=True)


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compiled")
    done = subprocess.run(
        [python_of(built_in().families["nequip"].image), str(HERE / "compiled.py"), "f.json"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "CXX"} | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=1700,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads((folder / "f.json").read_text())


@pytest.fixture
def compiled(findings):
    return findings["compiled"]


def test_nequip_has_the_fused_convolution(findings):
    good = findings["fused"]["good"]
    assert (good["name"], good["refused"], good["is_plain"]) == ("fused convolution", {}, False)
    assert good["calculator"] < SAME


def test_a_wrong_convolution_is_refused(findings):
    wrong, unfused = findings["fused"]["wrong"], findings["fused"]["unfused"]
    assert "is allowed" in wrong["refused"]["fused convolution"]
    assert unfused["refused"] == {"fused convolution": "the network has no layer that this convolution can compute"}
    assert wrong["is_plain"]
    assert unfused["is_plain"]


def test_what_is_not_repaid_is_not_compiled(compiled):
    for name in ("waiting for nothing", "a short job", "again, a short job"):
        assert (compiled[name]["name"], compiled[name]["refused"], compiled[name]["said"]) == (None, {}, "")


def test_without_a_compiler_the_plain_network_is_used(compiled):
    choice = compiled["without a compiler"]
    assert choice["is_plain"]
    assert "there is no C++ compiler `no-such-compiler`" in choice["refused"]["compiled network"]


def test_a_long_job_compiles_and_later_ones_load(compiled):
    for name in ("first", "again"):
        assert (compiled[name]["name"], compiled[name]["refused"]) == ("compiled network", {})
        assert compiled[name]["calculator"] < SAME
    assert "the network is compiled first" in compiled["first"]["said"]
    assert compiled["again"]["said"] == ""


def test_compiling_leaves_what_is_kept_and_loading_nothing(compiled):
    assert compiled["left"] == [".json", ".lock", ".pt2"]
    assert compiled["unpacked"] == []


def test_a_wrong_compiled_network_is_refused(compiled):
    assert compiled["wrong"]["is_plain"]
    assert "is allowed" in compiled["wrong"]["refused"]["compiled network"]


def test_a_damaged_one_is_not_loaded(compiled):
    assert compiled["damaged"]["is_plain"]
    assert "is damaged, and not used" in compiled["damaged"]["said"]
    assert "there is no C++ compiler" in compiled["damaged"]["refused"]["compiled network"]


def test_gpus_are_offered_neither(findings):
    assert findings["on a GPU"] == []
