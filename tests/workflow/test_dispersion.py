"""`NAME+d3` through whole runs: beside the model without it, in tables, statuses, records and words."""

import json

import pytest
from ase.build import bulk
from ase.io import write

from tests.runs import rows

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def run(tmp_path_factory, mira):
    top = tmp_path_factory.mktemp("dispersion")
    (top / "structures").mkdir()
    for a in (3.5, 3.7):
        write(top / "structures" / f"cu{a}.extxyz", bulk("Cu", a=a))
    row = {
        "title": "t", "family": "ase_builtin", "checkpoint": {"bundled": "emt"}, "level_of_theory": "PBE",
        "dispersion": "none", "stress": True,
    }  # fmt: skip
    (top / "models.yaml").write_text(json.dumps({"models": {"made": row}}))
    run = top / "runs" / "both"
    mira("run", top / "structures", "-m", "made,made+d3", "--models-file", top / "models.yaml", "-o", run)
    return run


def test_both_stand_in_one_table(run) -> None:
    from dftd3.ase import DFTD3

    found = {(row["structure_id"], row["model"]): row for row in rows(run)}
    assert {row["dispersion"] for row in found.values()} == {"none", "D3(BJ)"}
    for a in (3.5, 3.7):
        plain, both = (found[f"cu{a}.extxyz#0", name] for name in ("made", "made+d3"))
        atoms = bulk("Cu", a=a)
        atoms.calc = DFTD3(method="pbe", damping="d3bj", ewald={})
        added = float(both["energy_ev"]) - float(plain["energy_ev"])
        assert added == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
        assert float(both["dispersion_energy_ev"]) == pytest.approx(added, abs=1e-10)
        assert plain["dispersion_energy_ev"] == ""


def test_the_report_says_what_was_added(run) -> None:
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "of made+d3, D3(BJ) dispersion with the parameters of PBE" in report
    assert "without three-body terms" in report


def test_attempts_say_with_what(run) -> None:
    logs = sorted(run.glob("work/records/made_d3/*/*/records.jsonl"))
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    attempts = [line for line in lines if line["kind"] != "record"]
    assert "dftd3" in attempts[0]["packages"]


def test_what_can_have_none_is_refused_before_any_job(run, mira) -> None:
    told = mira("run", run.parent.parent / "structures", "-m", "emt+d3", "-o", run.parent / "other", code=2).stderr
    assert "the model is empirical" in told
    assert not (run.parent / "other").exists()
