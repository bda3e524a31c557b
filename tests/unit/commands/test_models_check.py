"""`mira models check` from the outside: what it prints where, its exit codes, and what it does not do."""

import json
from pathlib import Path

import pytest

from mira_cli.verdicts.judge import MEASURES, allowed, judge_model

LJ = """models:
  mine:
    title: Lennard-Jones for noble gases
    family: ase_builtin
    checkpoint: {bundled: lj}
    options: {sigma: 3.4, epsilon: 0.0104, rc: 8.0, smooth: true}
    elements: Ar Ne
    forces: conservative
"""
FAULTY = """models:
  nan:
    title: no numbers
    family: ase_builtin
    checkpoint: {bundled: faulty}
    options: {mode: nan}
    elements: H-Og
  crash:
    title: dies
    family: ase_builtin
    checkpoint: {bundled: faulty}
    options: {mode: crash}
  load:
    title: does not load
    family: ase_builtin
    checkpoint: {bundled: faulty}
    options: {mode: load}
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "models.yaml"
    file.write_text(text)
    return file


def test_a_model_of_ones_own(mira, tmp_path):
    done = mira("models", "check", "mine", "--models-file", written(tmp_path, LJ), "-o", tmp_path / "out.json")
    assert "checking mine (1 of 1)" in done.stderr
    assert "supercell" in done.stdout
    assert "failed" not in done.stdout
    (report,) = json.loads((tmp_path / "out.json").read_text())
    assert report["status"] == "ok"
    assert [verdict["measure"] for verdict in report["verdicts"]] == list(MEASURES)
    assert {verdict["measure"] for verdict in report["verdicts"] if verdict["status"] != "ok"} == {"sticky"}
    assert "the model takes no charge" in done.stdout
    assert report["findings"]["device"] == "cpu"
    assert report["findings"]["packages"]["ase"]


def test_what_fails_is_told_for_each_model(mira, tmp_path):
    models = written(tmp_path, FAULTY)
    done = mira("models", "check", "nan", "crash", "load", "--models-file", models, "--json", code=1)
    nan, crash, load = json.loads(done.stdout)
    assert {report["status"] for report in (nan, crash, load)} == {"failed"}
    assert "not finite numbers" in next(v for v in nan["verdicts"] if v["measure"] == "forces")["reason"]
    assert crash["reason"]
    assert load["reason"] == "this model fails to load on purpose"


def test_several_models_are_one_table(mira, tmp_path):
    done = mira("models", "check", "mine", "load", "--models-file", written(tmp_path, LJ + FAULTY[8:]), code=1)
    header, _, *rows = [line for line in done.stdout.splitlines() if line.strip()]
    assert header.split() == ["model", "verdict", *MEASURES]
    named = [row.split()[:2] for row in rows if row.split()[0] in {"mine", "load"}]  # units may have lines of their own
    assert named == [["mine", "ok"], ["load", "failed"]]
    assert "load failed: this model fails to load on purpose" in done.stderr


def test_what_cannot_run_here(mira, tmp_path):
    """Named, it is an error with the command that helps; among all, a row."""
    nothing = {"MIRA_CACHE": str(tmp_path)}
    done = mira("models", "check", "chgnet-0.3.0", "--runtime", "venv", code=4, **nothing)
    assert "`mira images build matgl --runtime venv`" in done.stderr
    done = mira("models", "check", "all", "--runtime", "venv", "--json", **nothing)
    reports = {report["model"]: report for report in json.loads(done.stdout)}
    assert "fail" not in reports
    assert reports["emt"]["status"] == "ok"
    assert reports["chgnet-0.3.0"]["status"] == "skipped"
    assert "mira images build matgl" in reports["chgnet-0.3.0"]["reason"]


def test_wrong_use(mira, tmp_path):
    assert "unknown model `emtt`" in mira("models", "check", "emtt", code=2).stderr
    done = mira("models", "check", "emt", "--dtype", "float32", code=2)
    assert "`emt` does not run in float32" in done.stderr
    mira("models", "check", code=2)


def row(**changes) -> dict:
    plain = {"measure": "forces", "case": "x", "quantity": "forces", "deviation": 0.0, "size": 1.0, "error": None}
    return plain | {"energy_ev": -30.0, "fmax_ev_per_ang": 1.0, "noise": 190.0, "dtype": "float32"} | changes


@pytest.mark.parametrize("measure", ["forces", "stress"])
def test_a_hundredth_is_never_allowed(measure):
    for dtype in ("float32", "float64", "as-trained"):
        assert allowed(row(measure=measure, dtype=dtype)) < 0.009


def test_double_precision_is_held_to_more():
    for changes in ({}, {"measure": "batch"}, {"measure": "batch", "quantity": "energy"}):
        assert allowed(row(dtype="float64", **changes)) < allowed(row(**changes)) / 2


def test_the_worst_row_speaks_for_a_measure():
    facts = {"stress": False, "conservative": True, "takes_charge": True}
    rows = [row(deviation=1e-4), row(deviation=2e-2, case="here"), row(deviation=2.0, size=1e3)]
    findings = {"rows": rows, "facts": facts, "records": {}, "changed_inputs": []}
    forces, stress, rotation, *_, contract = judge_model(findings, "mace")
    assert (forces.status, forces.deviation, forces.case) == ("failed", 2e-2, "here (float32)")
    assert (stress.status, stress.reason) == ("skipped", "the model gives no stress")
    assert (rotation.status, rotation.reason) == ("skipped", "nothing was measured")
    assert contract.status == "ok"


@pytest.mark.parametrize(("wrong", "status"), [(0, "ok"), (2, "approximate"), (3, "failed")])
def test_an_energy_with_steps_is_no_excuse_for_a_mistake(wrong, status):
    """HIENet's slopes are wrong where a step lies between their energies; a mistake makes most of them wrong."""
    rows = [row(deviation=0.5 if number < wrong else 1e-4) for number in range(4)]
    findings = {"rows": rows, "facts": {"stress": True, "conservative": True, "takes_charge": False}}
    findings |= {"records": {}, "changed_inputs": []}
    assert judge_model(findings, "hienet")[0].status == status
    assert judge_model(findings, "mace")[0].status == ("failed" if wrong else "ok")
