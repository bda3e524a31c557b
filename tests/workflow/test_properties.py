"""Properties from the command line: references of a sheet, what is refused, and what several tasks share."""

import csv
from itertools import pairwise

import pytest
from ase.build import bulk, fcc111, molecule
from ase.collections import dcdft

from tests.runs import rows

pytestmark = pytest.mark.workflow


def csv_rows(file) -> list[dict]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_sheet_of_references_ends_in_errors_and_delta(mira, tmp_path) -> None:
    lines = [
        "structure_path,reference_volume_per_atom_ang3,reference_bulk_modulus_gpa,reference_bulk_modulus_derivative"
    ]
    for element in ("Cu", "Al", "Ag"):
        bulk(element).write(tmp_path / f"{element}.extxyz")
        known = dcdft.data[element]
        lines.append(f"{element}.extxyz,{known['wien2k_volume']},{known['wien2k_B']},{known['wien2k_Bp']}")
    fcc111("Cu", (1, 1, 3), vacuum=6, periodic=True).write(tmp_path / "slab.extxyz")
    (tmp_path / "sheet.csv").write_text("\n".join([*lines, "slab.extxyz,,,", ""]))
    run = tmp_path / "runs" / "r"
    told = " ".join(mira("run", tmp_path / "sheet.csv", "-m", "emt", "-o", run, "--task", "eos", code=1).stderr.split())
    assert "columns of sheet.csv that are references: reference_volume_per_atom_ang3, reference_bulk" in told
    inspected = mira("inspect", tmp_path / "sheet.csv", "--task", "eos").stderr
    assert "that are references: reference_volume_per_atom_ang3, reference_bulk" in " ".join(inspected.split())
    assert "1 structure will have no answer, `slab.extxyz#0` is the first" in told
    assert "1 of 4 rows do not pass the task's own checks" in told
    errors = {(row["structure_id"][:2], row["quantity"]): row for row in csv_rows(run / "scalar_errors.csv")}
    copper = errors["Cu", "bulk_modulus_gpa"]
    assert float(copper["value"]) == pytest.approx(134.37, rel=0.02)
    assert float(copper["reference"]) == 141.335
    assert float(errors["Cu", "delta_mev_per_atom"]["value"]) == pytest.approx(11.87, abs=0.1)  # by ASE of the table
    curve = [row for row in csv_rows(run / "curves.csv") if row["structure_id"][:2] == "Cu"]
    assert len(curve) == 14
    assert all(float(one["x"]) < float(other["x"]) for one, other in pairwise(curve[:7]))


def test_no_crystal_at_all_is_refused_before_any_job(mira, tmp_path) -> None:
    molecule("H2O").write(tmp_path / "a.xyz")
    for task in ("eos", "elastic"):
        told = mira("run", tmp_path / "a.xyz", "-m", "emt", "-o", tmp_path / "r", "--task", task, code=2).stderr
        assert f"task `{task}` means nothing where a structure has vacuum or is not periodic" in " ".join(told.split())
    assert not (tmp_path / "r" / "work").exists() or not list((tmp_path / "r" / "work").glob("jobs/*"))


def test_a_dry_run_looks_at_what_is_new_and_at_what_was_there(mira, tmp_path) -> None:
    bulk("Cu").write(tmp_path / "Cu.cif")
    run = tmp_path / "r"
    mira("run", tmp_path / "Cu.cif", "-m", "emt", "-o", run, "--task", "elastic")
    (row,) = rows(run)
    assert (row["status"], row["is_stable"]) == ("ok", "true")
    fcc111("Cu", (1, 1, 3), vacuum=6, periodic=True).write(tmp_path / "slab.cif")
    told = mira(
        "run", tmp_path / "Cu.cif", tmp_path / "slab.cif", "-m", "emt", "-o", run, "--task", "elastic", "-n"
    ).stderr
    assert "`slab.cif#0` is the first" in " ".join(told.split())
    assert "1 structure to compute in 1 job, 1 kept" in " ".join(told.split())
