"""What is made of relaxations: columns, geometries that anything reads on from, and how minima are compared."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian, FixScaled
from ase.io import read
from typer.testing import CliRunner

from mira_cli import tasks
from mira_cli.app import app
from mira_cli.catalogue.rows import file_name
from mira_cli.cleaning.runs import strangers
from mira_cli.compare import minima
from mira_cli.driver.collect import collect
from mira_cli.driver.realign import realign
from mira_cli.errors import UsageError
from mira_cli.files import read_json, write_json
from mira_cli.report.gathered import gather
from mira_cli.report.write import content
from mira_cli.results.print_summary import print_summary, run_summary
from mira_cli.results.read_tables import load_collected, read_table
from mira_cli.run.directory import RunDirectory
from mira_cli.structures.constraints import held_constraints
from tests.unit.results.relaxed_runs import End, relaxed_run


def scaled(atoms: Atoms, factor: float) -> Atoms:
    found = atoms.copy()
    found.set_cell(atoms.cell * factor, scale_atoms=True)
    return found


def starts() -> list[Atoms]:
    """A strained crystal, a slab whose lowest layer is held, a molecule, and a crystal of another structure."""
    strained = bulk("Cu", cubic=True)
    strained.set_cell(strained.cell.array @ np.diag([1.02, 1.0, 1.0]), scale_atoms=True)
    slab = fcc111("Cu", (1, 1, 3), vacuum=5.0)
    slab.set_constraint(FixAtoms([0]))
    return [strained, slab, molecule("CO"), scaled(bulk("Cu", "bcc", a=2.87), 1.0)]


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    """Model `a` ends in cubic copper, `b` 3 % larger and with another molecule; `c` blows up and stops short."""
    cubic = bulk("Cu", cubic=True)
    _, slab, carbon, bcc = starts()
    far = carbon.copy()
    far.positions[0, 2] += 0.5
    up = {"status": "blown_up", "error": "the volume became 2.1 of that of the start after 9 steps"}
    ends = {
        "a": [End(cubic, -4.0), End(slab, -3.0), End(carbon, -2.0), End(bcc, -0.9)],
        "b": [End(scaled(cubic, 1.01), -8.0), End(slab, -6.0), End(far, -2.5), End(bcc, -2.1)],
        "c": [End(scaled(cubic, 1.3), -1.0, **up), End(slab, -3.1, "not_converged", "no rest in 7 steps"), None, None],
    }
    reference = scaled(cubic, 1.02)
    reference.info["structure_id"] = "in.extxyz#0"
    reference.calc = SinglePointCalculator(reference, energy=-15.0)
    run = relaxed_run(tmp_path, starts(), ends, theory={"a": "PBE", "b": "PBE"}, reference=[reference])
    collect(run)
    return run


def rows_of(run: RunDirectory, name: str) -> list[dict]:
    return read_table(run, name).to_pylist()


def test_columns_say_what_became_of_each_structure(run) -> None:
    rows = {(row["structure_id"], row["model"]): row for row in rows_of(run, "comparison")}
    crystal, slab = rows["in.extxyz#0", "a"], rows["in.extxyz#1", "a"]
    assert crystal["volume_ang3"] == pytest.approx(3.61**3)
    assert crystal["volume_change_percent"] == pytest.approx(100 * (1 / 1.02 - 1))
    assert crystal["a_change_percent"] == pytest.approx(100 * (1 / 1.02 - 1))
    assert crystal["b_change_percent"] == pytest.approx(0, abs=1e-9)
    assert (crystal["start_a_ang"], crystal["start_gamma_deg"]) == (pytest.approx(1.02 * 3.61), pytest.approx(90))
    assert (crystal["start_space_group"], crystal["space_group"]) == ("I4/mmm (139)", "Fm-3m (225)")
    assert crystal["symmetry"] == "gained"
    assert crystal["energy_drop_per_atom_ev"] == pytest.approx(0.1 / 4)
    assert (slab["volume_ang3"], slab["c_ang"], slab["space_group"]) == (None, None, None)
    assert slab["a_ang"] == pytest.approx(3.61 / np.sqrt(2))
    blown, stopped = rows["in.extxyz#0", "c"], rows["in.extxyz#1", "c"]
    assert (blown["status"], stopped["status"]) == ("blown_up", "not_converged")
    assert blown["volume_ang3"] == pytest.approx((1.3 * 3.61) ** 3)
    assert rows["in.extxyz#2", "c"]["energy_ev"] is None


def test_nothing_is_compared_as_if_it_were_of_the_structures_as_they_are(run) -> None:
    for name in ("pairs", "disagreement", "reference", "reference_errors", "energies_aligned"):
        assert not (run.root / f"{name}.csv").exists()
        with pytest.raises(UsageError, match="task `relax` gives no energies or forces of the structures"):
            read_table(run, name)
    text = (run.root / "results.extxyz").read_text()
    assert not any(word in text for word in ("forces_", "energy_", "spread"))
    assert "energy_ev_" not in (run.root / "energies.csv").read_text()


def test_relaxed_geometries_are_read_on_with_labels_and_constraints(run) -> None:
    found = read(run.root / "relaxed" / "a.extxyz", ":")
    assert [atoms.info["structure_id"] for atoms in found] == [f"in.extxyz#{i}" for i in range(4)]
    np.testing.assert_allclose(found[0].cell, 3.61 * np.eye(3), atol=1e-12)
    assert found[0].get_potential_energy() == -4.0
    np.testing.assert_array_equal(found[0].get_stress(), [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    np.testing.assert_allclose(found[0].get_forces(), 0.001 * bulk("Cu", cubic=True).positions, atol=1e-8)
    assert [one.index.tolist() for one in found[1].constraints] == [[0]]
    stopped = read(run.root / "relaxed" / "c.extxyz", ":")  # neither what blew up nor what there is not
    assert [(atoms.info["structure_id"], atoms.info["status"]) for atoms in stopped] == [
        ("in.extxyz#1", "not_converged")
    ]


CONSTRAINTS = {
    "some atoms": [FixAtoms([0, 2])],
    "components": [FixCartesian([1], [True, False, True])],
    "atoms and components": [FixAtoms([0]), FixCartesian([1], [False, False, True])],
    "all components of an atom": [FixCartesian([2], [True, True, True]), FixCartesian([0], [True, False, False])],
    "along the cell": [FixAtoms([0]), FixScaled([1], [True, False, False])],
}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraints_come_back_from_relaxed_geometries_as_they_were_given(tmp_path, name) -> None:
    """ASE reads a mask of components as one `FixCartesian` an atom, also of free ones, of which it holds nothing."""
    start = bulk("Cu", cubic=True)
    start.set_constraint(CONSTRAINTS[name])
    run = relaxed_run(tmp_path, [start], {"a": [End(start)]}, suffix="traj")
    collect(run)
    (back,) = read(run.root / "relaxed" / "a.extxyz", ":")
    for one, given in zip(held_constraints([back]), held_constraints([start]), strict=True):
        assert one.tolist() == given.tolist()
    if name != "along the cell":  # which only MIRA reads
        held = [sum(one.get_removed_dof(atoms) for one in atoms.constraints) for atoms in (back, start)]
        assert held[0] == held[1]
        pushed = [atoms.copy() for atoms in (back, start)]
        for atoms in pushed:
            atoms.set_positions(start.positions + 0.1)
        np.testing.assert_allclose(pushed[0].positions, pushed[1].positions, atol=1e-7)


def test_all_that_is_written_is_known_as_the_runs_own(run) -> None:
    assert strangers(run) == []


def test_export_is_of_the_relaxed_geometries_at_rest_unless_all_are_asked_for(run, tmp_path) -> None:
    def exported(model: str, *more: str) -> list[str]:
        file = tmp_path / "labels.extxyz"
        done = CliRunner().invoke(app, ["export", str(run.root), "-m", model, "-o", str(file), "--force", *more])
        assert done.exit_code == 0, done.exception
        return [(atoms.info["structure_id"], atoms.info["status"]) for atoms in read(file, ":")]

    assert exported("b") == [(f"in.extxyz#{i}", "ok") for i in range(4)]
    assert exported("c", "--all") == [("in.extxyz#0", "blown_up"), ("in.extxyz#1", "not_converged")]


def test_models_that_a_run_has_no_more_have_no_file_of_geometries(run) -> None:
    (run.root / "relaxed" / "older.extxyz").write_text("")
    collect(run)
    assert sorted(file.name for file in (run.root / "relaxed").iterdir()) == ["a.extxyz", "b.extxyz", "c.extxyz"]


@pytest.mark.parametrize("others", [[], ["notes.txt"]])
def test_a_run_that_turns_to_a_task_without_geometries_keeps_no_folder_of_them_but_files_of_others(run, others) -> None:
    for name in others:
        (run.root / "relaxed" / name).write_text("")
    single = tasks.find_task("singlepoint")
    wanted = read_json(run.wanted) | {"task": tasks.asked(single, single.settings())}
    write_json(run.wanted, wanted | {"models": [model | {"key": "of single points"} for model in wanted["models"]]})
    collect(run)
    assert [file.name for file in run.root.glob("relaxed/*")] == others
    assert (run.root / "relaxed").exists() == bool(others)


def test_energies_of_minima_that_cannot_be_aligned_say_why(tmp_path, capsys) -> None:
    images = [bulk("Cu"), bulk("Al")]
    run = relaxed_run(tmp_path, images, {name: [End(one, -1.0) for one in images] for name in "ab"})
    collect(run)
    print_summary(run_summary(run))
    told = " ".join(capsys.readouterr().err.split())
    assert "energies are not compared: 2 structures cannot set 2 element shifts and leave something" in told


def test_files_of_geometries_are_named_as_models_are() -> None:
    assert file_name("sevennet-0") == "sevennet-0"
    assert file_name("mace-mp-0.3+d3") == "mace-mp-0.3+d3"
    assert file_name("mace:/my weights/a") == "mace__my_weights_a"


def test_minima_are_compared_in_pairs_and_with_references(run) -> None:
    rows = {(row["structure_id"], row["model_a"], row["model_b"]): row for row in rows_of(run, "minima")}
    assert set(rows) == {*((f"in.extxyz#{i}", "a", "b") for i in range(4)),
                         ("in.extxyz#0", "a", None), ("in.extxyz#0", "b", None)}  # fmt: skip
    crystal, carbon = rows["in.extxyz#0", "a", "b"], rows["in.extxyz#2", "a", "b"]
    assert crystal["volume_difference_percent"] == pytest.approx(100 * (1.01**-3 - 1))
    assert crystal["length_difference_percent"] == pytest.approx(100 * (1 / 1.01 - 1))
    assert (crystal["same_minimum"], crystal["differs_in"], crystal["rmsd_status"]) == (True, None, "measured")
    assert crystal["rms_displacement_ang"] == pytest.approx(0, abs=1e-9)
    assert crystal["energy_difference_ev_per_atom"] == pytest.approx(1.0)
    assert (carbon["same_minimum"], carbon["differs_in"]) == (False, "atoms")
    assert carbon["rms_displacement_ang"] == pytest.approx(0.25)
    assert (carbon["volume_difference_percent"], carbon["rmsd"]) == (None, None)
    against = rows["in.extxyz#0", "b", None]
    assert against["against"] == "reference"
    assert against["volume_difference_percent"] == pytest.approx(100 * ((1.01 / 1.02) ** 3 - 1))
    assert against["energy_difference_ev_per_atom"] is None  # of which zero the reference counts from, nobody knows


def test_quantities_are_compared_between_models_and_with_references(run) -> None:
    rows = {(row["quantity"], row["model_a"], row["model_b"]): row for row in rows_of(run, "scalars")}
    volume = rows["volume_ang3", "a", "b"]
    assert (volume["n"], volume["against"]) == (2, "model")
    assert volume["largest_difference"] == pytest.approx(3.61**3 * (1.01**3 - 1))
    assert volume["mean_difference"] == pytest.approx(-(3.61**3) * (1.01**3 - 1) / 2)
    reference = rows["volume_ang3", "a", None]
    assert (reference["n"], reference["against"]) == (1, "reference")
    assert reference["mean_absolute_percent"] == pytest.approx(100 * (1 - 1.02**-3))
    assert rows["energy_per_atom_ev", "a", "b"]["energy_alignment"] == "per-element"
    assert rows["volume_ang3", "a", "c"]["n"] == 0  # what blew up or did not come to rest is not compared
    spread = {row["structure_id"]: row for row in rows_of(run, "spread") if row["committee"] == "all"}
    assert spread["in.extxyz#0"]["spread_volume_ang3"] == pytest.approx(3.61**3 * (1.01**3 - 1) / np.sqrt(2))
    assert spread["in.extxyz#2"]["displacement_max_ang"] == pytest.approx(0.25)
    assert spread["in.extxyz#2"]["n_members"] == 2


def test_each_models_relaxations_are_told_with_the_order_of_energies(run) -> None:
    rows = {row["model"]: row for row in rows_of(run, "relax")}
    assert [rows["c"][f"n_{name}"] for name in ("ok", "not_converged", "blown_up", "without")] == [0, 1, 1, 2]
    assert (rows["a"]["n_ok"], rows["a"]["median_steps"], rows["a"]["n_symmetry_gained"]) == (4, 7, 1)
    assert (rows["a"]["n_order_compositions"], rows["a"]["n_order_changed"]) == (1, 0)
    assert rows["c"]["evaluations"] == 16


def test_another_structure_of_a_composition_may_be_lowest_after_the_relaxation(tmp_path) -> None:
    """Of three of copper, one of which the input holds twice, the second is lowest first, and the first in the end."""
    images = [bulk("Cu"), bulk("Cu", a=3.7), bulk("Cu", "bcc", a=2.87), bulk("Cu"), bulk("Al")]
    told = [(-1.0, -4.0), (-3.0, -3.5), (-2.0, -3.9), (-1.0, -4.0), (-1.0, -1.5)]
    ends = [
        End(image, after, values={"start_energy_ev": before})
        for image, (before, after) in zip(images, told, strict=True)
    ]
    run = relaxed_run(tmp_path, images, {"a": ends})
    collect(run)
    (row,) = rows_of(run, "relax")
    assert (row["n_order_compositions"], row["n_order_changed"]) == (1, 1)
    assert row["order_rank_correlation"] < 0


def test_what_the_input_holds_twice_was_relaxed_once_and_counts_once(tmp_path) -> None:
    images = [bulk("Cu"), bulk("Cu", a=3.7), bulk("Cu"), bulk("Cu")]
    far, lost = [scaled(image, 1.1) for image in images], {"status": "not_converged", "error": "no rest"}
    ends = [End(image, -4.0, values={"n_steps": steps}) for image, steps in zip(images, (9, 5, 9, 9), strict=True)]
    other = [End(far[0], -4.0), End(images[1], -3.0, **lost), End(far[2], -4.0), End(far[3], -4.0)]
    run = relaxed_run(tmp_path, images, {"a": ends, "b": other})
    collect(run)
    rows = {row["model"]: row for row in rows_of(run, "relax")}
    assert [rows["a"][name] for name in ("n_input", "n_ok", "median_steps", "evaluations")] == [2, 2, 7, 16]
    assert [rows["b"][f"n_{name}"] for name in ("input", "ok", "not_converged", "without")] == [2, 1, 1, 0]
    assert len(rows_of(run, "minima")) == 3  # a row for each id
    shown = content(gather(load_collected(run)))
    assert [(row["same"], row["n"]) for row in shown["minima"]["pairs"]] == [(0, 1)]
    assert shown["findings"][0] == "a and b came to one minimum in 0 of 1 structures."
    assert shown["minima"]["measured"] == ""


def test_the_order_of_starts_that_tie_is_no_order_that_changed(tmp_path) -> None:
    images, starts, ends = [bulk("Cu"), bulk("Cu", a=3.7)], (-1.0, -1.000001), (-4.0, -3.9)
    told = [End(image, end, values={"start_energy_ev": s}) for image, s, end in zip(images, starts, ends, strict=True)]
    run = relaxed_run(tmp_path, images, {"a": told})
    collect(run)
    (row,) = rows_of(run, "relax")
    assert (row["n_order_compositions"], row["n_order_changed"]) == (1, 0)


def test_cells_that_could_not_change_have_no_change(tmp_path) -> None:
    free = ["none", "in_plane", "volume"]
    told = [End(bulk("Cu", a=3.7), -4.0, values={"cell_relaxed": one}) for one in free]
    run = relaxed_run(tmp_path, [bulk("Cu"), bulk("Cu", a=3.62), bulk("Cu", a=3.63)], {"a": told})
    collect(run)
    changes = [(row["volume_change_percent"], row["a_change_percent"]) for row in rows_of(run, "comparison")]
    assert changes[0] == (None, None)
    assert changes[1] == (None, pytest.approx(100 * (3.7 / 3.62 - 1)))
    assert changes[2] == (pytest.approx(100 * ((3.7 / 3.63) ** 3 - 1)), pytest.approx(100 * (3.7 / 3.63 - 1)))


def test_energies_of_minima_are_aligned_in_another_way_when_asked(run) -> None:
    realign(run, "none")
    rows = [row for row in rows_of(run, "scalars") if row["quantity"] == "energy_per_atom_ev"]
    assert {row["energy_alignment"] for row in rows} == {"none"}
    pair = next(row for row in rows if (row["model_a"], row["model_b"]) == ("a", "b"))
    assert pair["mean_difference"] == pytest.approx(np.mean([1.0, 1.0, 0.25, 1.2]))


def test_structures_are_chosen_by_how_far_minima_are_apart(run, tmp_path) -> None:
    def chosen(by: str, *more: str):
        return CliRunner().invoke(app, ["select", str(run.root), "--by", by, "--json", *more])

    assert [one["structure_id"] for one in json.loads(chosen("rmsd-spread").stdout)][0] == "in.extxyz#2"
    file = tmp_path / "chosen.extxyz"
    assert [one["structure_id"] for one in json.loads(chosen("volume-spread", "-o", str(file)).stdout)] == [
        "in.extxyz#0"
    ]
    (atoms,) = read(file, ":")
    assert not [name for name in atoms.arrays if "spread" in name]  # forces at two minima have none
    assert atoms.info["spread_volume_change_percent"] > 0
    refused = chosen("force-spread").exception
    assert "says nothing of those" in str(refused)


def test_the_report_has_a_section_of_minima_and_none_of_forces(run) -> None:
    shown = content(gather(load_collected(run)))
    section = shown["minima"]
    assert [row["model"] for row in section["relax"]] == ["a", "b", "c"]
    assert (shown["titles"]["a_ang"], shown["table"]["whole"]) == ("Length a", ["n_steps"])
    assert [(row["model_a"], row["model_b"], row["same"], row["n"]) for row in section["pairs"]] == [
        ("a", "b", 3, 4), ("a", None, 1, 1), ("b", None, 1, 1)
    ]  # fmt: skip
    first = section["drawn"][0]
    assert (first["id"], first["minima"][2]) == ("in.extxyz#2", None)
    np.testing.assert_allclose(np.mean(np.reshape(first["minima"][1]["positions"], (-1, 3)), axis=0),
                               starts()[2].positions.mean(axis=0), atol=1e-3)  # fmt: skip
    assert (shown["points"], shown["distributions"], shown["look_at"]["structures"]) == (None, [], [])
    assert not shown["pairs"]["columns"]["model_a"]
    assert "energy_per_atom_ev" in shown["table"]["quantities"]
    assert "fmax" not in shown["table"]["quantities"]
    assert any("StructureMatcher" in text for text in shown["methods"])
    assert shown["findings"][0] == "a and b came to one minimum in 3 of 4 structures."


@pytest.mark.parametrize("others", [0, 1])
def test_the_report_of_one_model_draws_what_has_changed_most(tmp_path, others) -> None:
    """Of cells or atoms; also if another model has come to rest nowhere."""
    images = [bulk("Cu", a=3.6 + 0.01 * i, cubic=True) for i in range(9)]
    factors = [1.0, 1.001, 1.05, 1.0, 1.002, 1.03, 1.0, 1.01, 1.0]
    moved = [0.0, 0.0, 0.0, 0.4, 0.0, 0.0, 0.0, 0.0, 0.03]
    ends = [
        End(scaled(image, factor), values={"max_displacement_ang": far})
        for image, factor, far in zip(images, factors, moved, strict=True)
    ]
    run = relaxed_run(tmp_path, images, {"a": ends, **dict.fromkeys("b"[:others], [None] * 9)})
    collect(run)
    drawn = content(gather(load_collected(run)))["minima"]["drawn"]
    assert [int(one["id"].rpartition("#")[2]) for one in drawn] == [3, 2, 5, 7, 8, 4]


@pytest.mark.slow
def test_rmsd_are_measured_once_and_again_only_of_other_minima(tmp_path, monkeypatch) -> None:
    images = [bulk("Cu", cubic=True), bulk("Cu", a=3.7, cubic=True), bulk("Cu", cubic=True)]
    far = [scaled(image, 1.01) for image in images]
    run = relaxed_run(tmp_path, images, {"a": list(map(End, images)), "b": list(map(End, far))})
    measured = []
    measure = minima._measured
    monkeypatch.setattr(minima, "_measured", lambda *given, **more: measured.append(1) or measure(*given, **more))
    collect(run)
    assert len(measured) == 2  # the first and the last are equal
    before = (run.root / "minima.csv").read_bytes()
    collect(run)
    assert (len(measured), (run.root / "minima.csv").read_bytes()) == (2, before)
    monkeypatch.setitem(minima.MATCHER, "stol", 0.9)  # another way to measure
    collect(run)
    assert len(measured) == 4
    for damaged in ("[1, 2", '{"a": "b"}', "[]"):
        run.rmsd.write_text(damaged)
        collect(run)
        assert len(measured) == 6
        measured[-2:] = []


def test_tables_are_shown(run) -> None:
    for name in ("summary", "relax", "minima", "scalars", "spread", "comparison"):
        done = CliRunner().invoke(app, ["table", str(run.root), "-t", name])
        assert done.exit_code == 0, done.exception
    assert "at rest" in CliRunner().invoke(app, ["table", str(run.root)]).stdout
