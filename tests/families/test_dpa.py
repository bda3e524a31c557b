"""What is DPA's own: atoms that no training data had, charges, and heads."""

import pytest


@pytest.fixture(scope="module")
def examined(findings_of):
    return {one["model"]["name"]: one for one in findings_of("dpa")["models"]}


def test_elements_are_those_of_the_training_data_and_not_of_the_network(examined) -> None:
    for one in examined.values():
        assert set(one["check"]["facts"]["elements"]) == {1, 6, 7, 8, 11, 17, 29}  # its inputs have xenon, too


def test_charges_are_read_where_the_network_reads_them(examined) -> None:
    assert {name: one["check"]["facts"]["takes_charge"] for name, one in examined.items()} == {
        "dpa3": False, "heads": False, "charged": True, "dpa4": False,
    }  # fmt: skip
    records = examined["charged"]["records"]
    assert abs(records["charged"]["energy_ev"] - records["molecule"]["energy_ev"]) > 1e-3


def test_a_precision_is_that_of_the_weights(examined) -> None:
    assert {name: one["attempt"]["dtype"] for name, one in examined.items()} == {
        "dpa3": "float64", "heads": "float64", "charged": "float64", "dpa4": "float32",
    }  # fmt: skip


def test_a_head_that_is_not_named_is_asked_for_before_any_job(examined, mira, structures, tmp_path) -> None:
    rows = tmp_path / "rows.yaml"
    place = examined["heads"]["model"]["checkpoint"]["path"]
    rows.write_text(f"models: {{mine: {{title: t, family: dpa, checkpoint: {{path: {place}}}, user_options: [head]}}}}")
    run = ("run", structures, "--models-file", rows, "-o", tmp_path / "run", "--runtime", "venv")
    refused = mira(*run, "-m", "mine", code=2).stderr
    assert "its heads are Metals, Molecules: `?head=Metals` after its name" in refused
    assert "`mine?head=…`" in refused
    assert not (tmp_path / "run").exists()
    wrong = mira(*run, "-m", "mine?head=oxides", code=2).stderr
    assert "has no head 'oxides'" in wrong
