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
