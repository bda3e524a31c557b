"""Checkpoints of a user's own, made tiny by each family's own code: the worker's whole contract, without downloads."""

from pathlib import Path

import numpy as np
import pytest

from mira_cli.catalogue.sniff import look
from mira_cli.verdicts.judge import LEARNED, allowed
from tests.families import contract
from tests.families.conftest import FAMILIES


@pytest.fixture(scope="module", params=FAMILIES)
def findings(request, findings_of):
    return findings_of(request.param)


def faults(findings: dict, of) -> list[str]:
    """What is wrong with any of a family's models."""
    return [f"{contract.title(examined)}: {fault}" for examined in findings["models"] for fault in of(examined)]


def test_a_users_own_file_is_known_by_its_looks(request, findings):
    places = [path for examined in findings["models"] if (path := examined["model"]["checkpoint"].get("path"))]
    assert {path: look(Path(path)).family for path in places} == dict.fromkeys(
        places, request.node.callspec.params["findings"]
    )


def test_there_are_models(findings):
    assert findings["models"]
    assert findings["refusals"]
    assert {examined["code"] for examined in findings["models"]} == {0}


def test_records_agree_with_the_familys_own_calculator(findings):
    assert faults(findings, contract.disagreements) == []


def test_an_answer_does_not_depend_on_its_company(findings):
    for examined in findings["models"]:
        batches, single = examined["mixed"]["batches"], examined["mixed"]["single"]
        assert {case for batch in batches for case in batch} == set(single)
        assert {"skewed", "left-handed", "one atom", "slab", "wire", "molecule"} < set(single)
        assert len({len(batch) for batch in batches}) >= 4
    assert faults(findings, contract.disturbances) == []


def test_trouble_gets_a_status_and_no_number(findings):
    assert faults(findings, contract.mishandled) == []


def test_the_check_passes(findings):
    """Forces of direct models are no gradients, which is said; what networks only learn is approximate."""

    def broken(examined):
        conservative = examined["model"]["conservative"]
        assert examined["check"]["facts"]["conservative"] is conservative
        for measure, verdict in contract.verdicts(examined).items():
            fine = {"ok"}
            if measure in {"forces", "stress"} and not conservative:
                fine = {"direct"}
            if measure == "stress" and not examined["check"]["facts"]["stress"]:
                fine = {"skipped"}
            if measure == "sticky" and not examined["check"]["facts"]["takes_charge"]:
                fine = {"skipped"}
            if measure in LEARNED.get(examined["model"]["family"], ()):
                fine |= {"approximate"}
            if verdict.status not in fine:
                yield str(verdict)

    assert faults(findings, broken) == []


def test_what_is_checked_is_worth_checking(findings):
    """Random weights give forces and stresses that are large beside what is allowed."""

    def flat(examined):
        for measure in ("forces", "stress"):
            rows = [row for row in examined["check"]["rows"] if row["measure"] == measure]
            if rows and max(row["size"] / allowed(row) for row in rows) < 20:
                yield f"{measure} are close to nothing"

    assert faults(findings, flat) == []


def test_two_thousand_atoms_are_as_many_times_one_cell(findings):
    large, dtype = findings["large"], findings["models"][0]["check"]["facts"]["dtype"]
    many, cell = large["many"], large["cell"]
    assert (many["status"], cell["status"]) == ("ok", "ok")
    assert many["n_atoms"] >= 2000
    energy, forces = cell["energy_ev"] / cell["n_atoms"], np.asarray(cell["forces"])
    row = {"measure": "cell", "dtype": dtype, "fmax_ev_per_ang": np.abs(forces).max()}
    assert abs(many["energy_ev"] / many["n_atoms"] - energy) < allowed(
        row | {"quantity": "energy", "size": abs(energy)}
    )
    repeated = np.tile(forces, (many["n_atoms"] // cell["n_atoms"], 1))
    limit = allowed(row | {"quantity": "forces", "size": np.abs(forces).max()})
    assert np.abs(np.asarray(many["forces"]) - repeated).max() < limit


def test_what_cannot_be_loaded_is_refused_in_one_sentence(findings):
    for name, refusal in findings["refusals"].items():
        assert refusal["said"] is not None, name
        assert refusal["words"] in refusal["said"], name
        assert "\n" not in refusal["said"], name


def test_nothing_is_left_in_the_run_directory(findings):
    expected = ["done.json", "job.json", "records", "records/forces.f64", "records/lock", "records/records.jsonl"]
    assert {tuple(examined["left"]) for examined in findings["models"]} == {(*expected, "work", "work/00000.npz")}


def test_the_network_is_out_of_reach(findings):
    assert findings["network"] == "isolated"
    assert len(findings["unreachable"]) == 2
    assert findings["unreachable"][0].endswith("Network is unreachable")
