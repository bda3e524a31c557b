"""`mira inspect`: what was understood of an input, against what ASE and hand calculation say."""

import json
import re

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from mira_cli.inspecting.structures import shortest_distance_ang, space_group
from mira_cli.structures.find import find_sources
from mira_cli.structures.packs import load_structures
from mira_cli.tasks import find_task


@pytest.fixture
def inputs(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    copper = bulk("Cu", a=3.6)
    copper.calc = SinglePointCalculator(copper, energy=-3.7, stress=np.full(6, -0.01))
    write(folder / "Cu.extxyz", copper)
    write(folder / "slab.extxyz", fcc111("Pt", (1, 1, 2), vacuum=8.0))
    write(folder / "water.xyz", molecule("H2O"))
    (folder / "again.xyz").write_text((folder / "water.xyz").read_text())
    (folder / "broken.cif").write_text("data_x\n")
    (folder / "notes.md").write_text("nothing\n")
    return folder


def test_json_holds_the_facts_of_each_structure_and_the_summary(inputs, mira) -> None:
    said = json.loads(mira("inspect", inputs, "--json", "-m", "chgnet-0.3.0,emt", code=1).stdout)
    rows = {row["structure_id"]: row for row in said["structures"]}
    assert list(rows) == ["Cu.extxyz#0", "again.xyz#0", "broken.cif", "slab.extxyz#0", "water.xyz#0"]
    copper = rows["Cu.extxyz#0"]
    assert copper["space_group"] == "Fm-3m (225)"
    assert copper["density_g_per_cm3"] == pytest.approx(63.546 * 1.66053906660 / (3.6**3 / 4))
    assert copper["shortest_distance_ang"] == pytest.approx(3.6 / np.sqrt(2))
    assert copper["cell_angles_deg"] == [60.0, 60.0, 60.0]
    slab = rows["slab.extxyz#0"]
    assert (slab["periodic"], slab["density_g_per_cm3"], slab["space_group"]) == ([True, True, False], None, None)
    assert rows["broken.cif"]["invalid"]
    summary = said["summary"]
    assert (summary["structures"], summary["unusable"], summary["duplicates"]) == (5, 1, 1)
    assert summary["elements"] == {"H": 2, "O": 2, "Cu": 1, "Pt": 1}
    assert summary["references"]["energy"]["ev_per_atom"] == {"smallest": -3.7, "largest": -3.7}
    assert summary["references"]["stress"]["pressure_gpa"]["largest"] == pytest.approx(1.602, rel=1e-3)
    assert summary["models"]["chgnet-0.3.0"] == {"unknown_elements": [], "structures": 0}
    assert summary["evaluations"] == 3 * 2


def test_what_a_model_does_not_know_is_counted(inputs, mira, tmp_path) -> None:
    rows = tmp_path / "rows.yaml"
    rows.write_text("models: {mine: {title: t, family: ase_builtin, checkpoint: {bundled: lj}, elements: H Cu}}")
    done = mira("inspect", inputs, "-m", "mine", "--models-file", rows, code=1)
    assert "mine: does not know O, Pt: 3 structures without an answer" in done.stdout


def test_the_table_and_the_summary_on_a_terminal(inputs, mira) -> None:
    done = mira("inspect", inputs, code=1)
    assert "Fm-3m" in done.stdout
    assert "5 structures, 1 of them unusable, 1 duplicate among them" in done.stdout
    assert "1 file passed over, by name no structures: notes.md" in done.stderr
    assert list(inputs.parent.iterdir()) == [inputs]  # nothing is written


def test_many_structures_are_summed_up(tmp_path, mira) -> None:
    write(tmp_path / "many.extxyz", [bulk("Cu", a=3.5 + 0.001 * i) for i in range(150)])
    done = mira("inspect", tmp_path / "many.extxyz")
    assert "many.extxyz#0" not in done.stdout
    assert "150 structures, 0 of them unusable" in done.stdout
    assert "150 periodic in 3 directions" in done.stdout


def test_a_path_that_is_not_there_is_one_sentence(tmp_path, mira) -> None:
    assert "no file, folder or pattern" in mira("inspect", tmp_path / "nothing", code=3).stderr


@pytest.mark.parametrize(
    ("atoms", "expected"),
    [
        (bulk("Cu", a=3.6), 3.6 / np.sqrt(2)),
        (Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]]), 0.74),
        (Atoms("H2", positions=[[0, 0, 0.1], [0, 0, 4.9]], cell=[9, 9, 5], pbc=True), 0.2),
        (Atoms("H3", positions=[[0, 0, 0], [0, 0, 9], [0, 0, 9.7]]), 0.7),
        (Atoms("H", cell=[5, 2, 5], pbc=[True, False, True]), 5.0),
        (Atoms("H"), None),
        (Atoms("H", cell=[[3, 0, 0], [0, 3, 0], [300, 300, 3]], pbc=True), 3.0),
        (Atoms("H2", positions=[[0, 0, 0], [0, 0, 1.2]], cell=[[3, 0, 0], [30, 3, 0], [0, 0, 3]], pbc=[1, 1, 0]), 1.2),
    ],
)
def test_shortest_distances_count_images(atoms, expected) -> None:
    found = shortest_distance_ang(atoms)
    assert found is expected if expected is None else found == pytest.approx(expected)


def test_space_groups_are_those_within_a_hundredth() -> None:
    diamond = bulk("Si", cubic=True)
    assert space_group(diamond) == "Fd-3m (227)"
    diamond.positions[0] += 0.05
    assert space_group(diamond) != "Fd-3m (227)"


ANGLES = "".join(f"_cell_angle_{angle} 90\n" for angle in ("alpha", "beta", "gamma"))
MIXED = "data_x\n" + "".join(f"_cell_length_{x} 3.6\n" for x in "abc") + ANGLES
MIXED += "_space_group_name_H-M_alt 'P 1'\nloop_\n_atom_site_label\n"
MIXED += "".join(f"_atom_site_fract_{x}\n" for x in "xyz") + "_atom_site_occupancy\nFe1 0 0 0 0.5\nNi1 0 0 0 0.5\n"


def test_facts_stay_with_their_structures_beside_one_that_cannot_be_used(tmp_path, mira) -> None:
    (tmp_path / "a.cif").write_text(MIXED)
    write(tmp_path / "b.extxyz", [bulk("W"), bulk("Cu", cubic=True)])
    said = json.loads(mira("inspect", tmp_path, "--json", code=1).stdout)["structures"]
    alone = json.loads(mira("inspect", tmp_path / "b.extxyz", "--json").stdout)["structures"]
    assert said[1:] == alone
    assert (said[0]["periodic"], said[0]["shortest_distance_ang"]) == (None, None)


def test_nothing_that_can_be_used_is_invalid_input(tmp_path, mira) -> None:
    (tmp_path / "a.cif").write_text(MIXED)
    assert "a.cif#0: site `Fe1` at 0 0 0 is" in mira("inspect", tmp_path / "a.cif", code=3).stdout
    (tmp_path / "nothing").mkdir()
    mira("inspect", tmp_path / "nothing", code=3)


def test_the_table_fits_eighty_columns(tmp_path, mira) -> None:
    write(tmp_path / f"{'a_long_name_' * 8}.extxyz", bulk("Cu"))
    lines = mira("inspect", tmp_path).stdout.split("space groups within")[0].splitlines()
    assert max(map(len, lines)) <= 80
    assert any("name_.extxyz#0" in line for line in lines)


def test_the_summary_fits_80_columns(tmp_path, mira) -> None:
    symbols = ["H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar"]
    write(tmp_path / "all.extxyz", [bulk(symbol, "fcc", a=5.0) for symbol in symbols])
    lines = mira("inspect", tmp_path / "all.extxyz").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    first = next(number for number, line in enumerate(lines) if line.startswith("elements: "))
    assert lines[first + 1].startswith("  ")
    assert all(re.fullmatch(r"(elements:|[A-Z]) ?.*\(1\),?", line.strip()) for line in lines[first : first + 2])


def test_how_many_were_read_so_far_is_told(tmp_path) -> None:
    told: list[int] = []
    write(tmp_path / "all.extxyz", [bulk("Cu", a=3.5 + i / 1e4) for i in range(1500)])
    load_structures(tmp_path / "packs", find_sources([str(tmp_path / "all.extxyz")]).sources, told=told.append)
    assert told == [1000, 1500]


def test_references_are_told_as_they_are_read_in_the_units_that_are_named(tmp_path, mira) -> None:
    copper = bulk("Cu", a=3.6)
    copper.info["REF_energy"] = -0.5
    write(tmp_path / "x.extxyz", copper)
    done = mira("inspect", tmp_path / "x.extxyz", "--ref-units", "energy=hartree")
    assert "reference energy: `REF_energy` (1), -13.61 to -13.61 eV/atom, read in Hartree" in done.stdout
    told = json.loads(mira("inspect", tmp_path / "x.extxyz", "--ref-units=energy=Hartree", "--json").stdout)
    assert told["summary"]["references"]["energy"]["unit"] == "Hartree"
    wrong = mira("inspect", tmp_path / "x.extxyz", "--ref-units", "energy=parsec", code=2)
    assert "no unit `parsec` of energy" in wrong.stderr


def test_evaluations_are_those_that_models_can_answer(tmp_path, mira) -> None:
    write(tmp_path / "x.extxyz", [bulk("Cu"), bulk("Nb"), bulk("Nb", a=3.4)])
    told = json.loads(mira("inspect", tmp_path / "x.extxyz", "-m", "emt,lj", "--json").stdout)["summary"]
    counted = {name: one["evaluations"] for name, one in told["cost"].items()}
    assert counted["emt"] == 1
    assert told["evaluations"] == sum(counted.values())


def test_cost_is_what_a_run_on_this_machine_took(tmp_path, mira, monkeypatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    write(tmp_path / "x.extxyz", [bulk("Cu", a=3.5 + 0.01 * i, cubic=True) for i in range(8)])
    before = json.loads(mira("inspect", tmp_path / "x.extxyz", "-m", "emt", "--json").stdout)["summary"]["cost"]
    assert before == {"emt": {"evaluations": 8, "atoms": 32, "measured": None, "seconds": None}}
    assert "no run on this machine says how fast emt" in mira("inspect", tmp_path / "x.extxyz", "-m", "emt").stdout
    run = tmp_path / "run"
    mira("run", tmp_path / "x.extxyz", "-m", "emt", "-o", run)
    dones = sorted((run / "work" / "done" / "emt").glob("*.json"))
    for file in dones:  # as if it had taken long enough to say something
        file.write_text(json.dumps({**json.loads(file.read_text()), "evaluate_s": 2.0, "atoms_per_s": 8.0}))
    said = json.loads(mira("inspect", tmp_path / "x.extxyz", "-m", "emt,lj", "--json").stdout)["summary"]["cost"]
    assert said["lj"]["measured"] is None
    assert said["emt"]["measured"]["atoms_per_s"] == pytest.approx(8.0)
    assert said["emt"]["measured"]["run"] == str(run)
    assert said["emt"]["seconds"] == pytest.approx(4.0)
    of_task = mira("inspect", tmp_path / "x.extxyz", "-m", "emt", "--task", "relax", "--json").stdout
    relaxed = json.loads(of_task)["summary"]
    times = find_task("relax").evaluations(find_task("relax").settings())
    assert times > 1
    assert (relaxed["task"], relaxed["evaluations"]) == ("relax", 8 * times)
    assert relaxed["cost"]["emt"]["seconds"] == pytest.approx(4.0 * times)
    shown = mira("inspect", tmp_path / "x.extxyz", "-m", "emt", "--task", "relax").stdout
    assert "of task singlepoint with 32 atoms on this machine" in " ".join(shown.split())
    assert "there is no task `rleax`" in mira("inspect", tmp_path / "x.extxyz", "--task", "rleax", code=2).stderr
    shown = mira("inspect", tmp_path / "x.extxyz", "-m", "emt").stdout
    assert "emt: about 4 s of one job for 32 atoms" in shown
    assert "8 atoms/s" in shown
    assert str(run) in shown
    for file in (run / "work" / "records" / "emt").glob("*/*/records.jsonl"):  # of another machine
        file.write_text(file.read_text().replace('"host": "', '"host": "not-'))
    said = json.loads(mira("inspect", tmp_path / "x.extxyz", "-m", "emt", "--json").stdout)["summary"]["cost"]
    assert said["emt"]["measured"] is None
