"""Results of tasks that give properties: curves, errors against references of a sheet, and what the report is told."""

import json

import numpy as np
import pytest

from mira_cli.errors import UsageError
from mira_cli.report import properties as section
from mira_cli.report.write import write_report
from mira_cli.results.read_tables import load_collected, read_table
from mira_cli.run.record_block import Record
from mira_cli.tasks import Curve
from mira_cli.tasks.eos import delta
from tests.runs import rows
from tests.unit.results.property_runs import (
    ERRORS,
    NO_MINIMUM,
    WIEN2K,
    elastic_of,
    elastic_run,
    eos_run,
    phonons_of,
    property_run,
)


@pytest.fixture(scope="module")
def eos(tmp_path_factory):
    return eos_run(tmp_path_factory.mktemp("eos"))


@pytest.fixture(scope="module")
def elastic(tmp_path_factory):
    return elastic_run(tmp_path_factory.mktemp("elastic"))


def shown(run) -> dict:
    html = write_report(load_collected(run)).read_text(encoding="utf-8")
    told = html.partition('<script type="application/json" id="data">')[2].partition("</script>")[0]
    return json.loads(told)


def test_errors_are_those_against_the_columns_of_the_sheet(eos) -> None:
    errors = read_table(eos, "scalar_errors").to_pylist()
    own = [row for row in errors if (row["model"], row["quantity"]) == ("b", "bulk_modulus_gpa")]
    assert [row["structure_id"] for row in own] == ["Cu.cif#0", "Al.cif#0", "Ag.cif#0"]  # of gold there is no reference
    for row, (_, modulus, _) in zip(own, (WIEN2K[0], WIEN2K[2], WIEN2K[3]), strict=True):
        assert row["reference"] == pytest.approx(modulus)
        assert row["difference"] == pytest.approx(-0.1 * modulus)
    scalars = read_table(eos, "scalars").to_pylist()
    (told,) = [r for r in scalars if r["quantity"] == "bulk_modulus_gpa" and r["model_a"] == "b" and not r["model_b"]]
    assert (told["n"], told["mean_absolute_percent"]) == (3, pytest.approx(10))


def test_delta_is_of_three_columns_together(eos) -> None:
    errors = [row for row in read_table(eos, "scalar_errors").to_pylist() if row["quantity"] == "delta_mev_per_atom"]
    assert [row["model"] for row in errors] == [*"aaaa", *"bbb", *"ccc"]
    wanted = delta(np.array([WIEN2K[0]]) * np.array(ERRORS["b"]), np.array([WIEN2K[0]]))
    assert errors[4]["difference"] == pytest.approx(wanted[0])
    found = [row for row in read_table(eos, "scalars").to_pylist() if row["quantity"] == "delta_mev_per_atom"]
    assert [(row["model_a"], row["model_b"]) for row in found] == [
        ("a", "b"), ("a", "c"), ("b", "c"), ("a", None), ("b", None), ("c", None),
    ]  # fmt: skip
    assert found[3]["mae"] == pytest.approx(np.mean([row["value"] for row in errors[:4]]))
    assert found[3]["mean_difference"] is None
    assert found[0]["n"] == 4  # not of what is no result


def test_what_is_no_result_has_its_points_and_no_numbers(eos) -> None:
    (row,) = [r for r in rows(eos.root) if (r["structure_id"], r["model"]) == ("Ni.cif#0", "b")]
    assert (row["status"], row["error"]) == ("invalid_result", NO_MINIMUM)
    assert not row["bulk_modulus_gpa"]
    assert row["n_points"] == "7"
    curves = [line.split(",") for line in (eos.root / "curves.csv").read_text().splitlines()]
    assert [name.strip('"') for name in curves[0]] == ["structure_id", "model", "curve", "line", "x", "y"]
    own = [line for line in curves if line[:2] == ['"Ni.cif#0"', '"b"']]
    assert len(own) == 2 * 7
    assert len(curves) == 1 + (3 * 5 - 1) * 2 * 7


def test_the_report_has_curves_parities_and_who_is_closest(eos) -> None:
    data = shown(eos)
    found = data["properties"]
    assert [one["name"] for one in found["curves"]] == ["energy_volume", "pressure_volume"]
    nickel = found["structures"][1]
    assert [model and model["ok"] for model in nickel["models"]] == [True, False, True]
    energies = nickel["models"][0]["curves"][0]["y"][0]
    assert min(energies) == 0
    assert [one["quantity"] for one in found["parity"]] == [
        "v0_per_atom_ang3", "bulk_modulus_gpa", "bulk_modulus_derivative",
    ]  # fmt: skip
    assert [len(model["x"]) for model in found["parity"][1]["models"]] == [4, 3, 3]
    assert any("Closest to the references in bulk_modulus_gpa" in text and ": a," in text for text in data["findings"])
    assert "minima" not in data
    assert data["compared"] is False


def test_elements_and_matrices_are_those_of_the_records(elastic) -> None:
    found = {(row["structure_id"], row["model"]): row for row in rows(elastic.root)}
    first, unstable, none = found["Cu.cif#0", "a"], found["Cu.cif#0", "b"], found["Ni.cif#0", "b"]
    assert [float(first[name]) for name in ("c11_gpa", "c12_gpa", "c23_gpa", "c44_gpa", "c45_gpa")] == [
        170,
        120,
        120,
        75,
        0,
    ]
    assert (first["is_stable"], unstable["is_stable"]) == ("true", "false")
    assert not unstable["shear_modulus_gpa"]
    assert not none["c11_gpa"]
    told = shown(elastic)["properties"]
    assert told["structures"][0]["models"][0]["matrices"][0][:3] == [170, 120, 120]
    assert told["parity"] == []
    with pytest.raises(UsageError, match="no references of what task `elastic` gives"):
        read_table(elastic, "scalar_errors")
    assert elastic_of(110.0, 120.0, 75.0).values["is_stable"] is False


def test_lines_and_marks_of_bands_are_kept_apart() -> None:
    curve = Curve("bands", "Bands", "path", "bands", "x", "y", marks="labels")
    arrays = {"path": np.array([[0.0], [0.5], [1.0]]), "bands": np.arange(6.0).reshape(3, 2)}
    record = Record({"status": "ok", "n_atoms": 1, "labels": "Γ 0.0 X 0.5 K|U 1.0"}, None, {}, arrays)
    found = section._curve(record, curve)
    assert found == {"x": [0, 0.5, 1], "y": [[0, 2, 4], [1, 3, 5]], "marks": [["Γ", 0.0], ["X", 0.5], ["K|U", 1.0]]}
    assert (
        section._curve(Record({"status": "ok"}, None, {}, {"path": np.zeros((3, 1)), "bands": np.zeros((4, 1))}), curve)
        is None
    )


def test_lowest_frequencies_are_compared_only_where_they_are_imaginary(tmp_path) -> None:
    """That of a stable crystal is the one of the q-point nearest to Γ: it says how fine a mesh is."""
    run = property_run(
        tmp_path,
        "phonons",
        {"a": [phonons_of(0.3), phonons_of(-2.0)], "b": [phonons_of(0.9), phonons_of(-3.0)]},
        {"reference_lowest_frequency_thz": [0.1, 0.1], "reference_imaginary_frequency_thz": ["", -2.5]},
    )
    assert [row["lowest_frequency_thz"] for row in rows(run.root)] == ["0.3", "0.9", "-2", "-3"]
    compared = {row["quantity"]: row for row in read_table(run, "scalars").to_pylist() if row["against"] == "model"}
    assert "lowest_frequency_thz" not in compared
    assert (compared["imaginary_frequency_thz"]["n"], compared["imaginary_frequency_thz"]["mae"]) == (1, 1.0)
    against = read_table(run, "scalar_errors").to_pylist()
    assert {(row["quantity"], row["model"], row["difference"]) for row in against} == {
        ("imaginary_frequency_thz", "a", 0.5), ("imaginary_frequency_thz", "b", -0.5),
    }  # fmt: skip
