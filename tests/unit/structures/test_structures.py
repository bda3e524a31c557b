"""What a user names is found, read, checked and identified; nothing is dropped without a word."""

import json
import os
import shutil

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.io import write
from hypothesis import given, settings
from hypothesis import strategies as st

from mira_cli.errors import InputError
from mira_cli.structures import blocks
from mira_cli.structures.find import find_sources
from mira_cli.structures.geometry import structure_hash
from mira_cli.structures.packs import load_structures, pack_path


def names(*arguments) -> list[str]:
    return [source.name for source in find_sources(map(str, arguments)).sources]


def read(tmp_path, *arguments):
    index = load_structures(tmp_path / "packs", find_sources(map(str, arguments)).sources)
    return {row["id"]: row for row in index.table.to_pylist()}


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "in put"
    (root / "süb").mkdir(parents=True)
    write(root / "Cu.cif", bulk("Cu", cubic=True))
    write(root / "süb" / "POSCAR", bulk("NaCl", "rocksalt", a=5.64))
    write(root / "-dash.xyz", molecule("H2O"))
    return root


def test_folder_is_read_recursively_with_relative_names(folder) -> None:
    (folder / "README.md").write_text("not a structure")
    (folder / ".hidden.cif").write_text("x")
    assert names(folder) == ["-dash.xyz", "Cu.cif", "süb/POSCAR"]


def test_file_glob_and_folder_name_a_file_once(folder) -> None:
    assert names(folder / "Cu.cif", folder / "*.cif", folder) == ["Cu.cif", "-dash.xyz", "süb/POSCAR"]


def test_equal_names_below_two_folders_stay_apart(tmp_path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "x.cif", bulk("Cu"))
    assert names(tmp_path / "a", tmp_path / "b") == ["a/x.cif", "b/x.cif"]


def test_names_that_no_text_could_show_are_escaped_and_stay_apart(tmp_path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    escaped = {
        b"new\nline.cif": "new%0Aline.cif",
        b"new%0Aline.cif": "new%250Aline.cif",
        b"back\\slash.cif": "back%5Cslash.cif",
        b"esc\x1b[31m.cif": "esc%1B[31m.cif",
        b"bad\xff.cif": "bad%FF.cif",
        "right\u202e.cif".encode(): "right%E2%80%AE.cif",
        b"cell #1.cif": "cell %231.cif",
        b"cell %231.cif": "cell %25231.cif",
        "50% café.cif".encode(): "50% café.cif",
    }
    for name in escaped:
        write(tmp_path / "one.cif", bulk("Cu"))
        os.rename(tmp_path / "one.cif", os.path.join(os.fsencode(folder), name))  # noqa: PTH104, PTH118  (bytes)
    assert sorted(names(folder)) == sorted(escaped.values())
    for _ in range(2):  # the second time from what the first has noted
        assert sorted(read(tmp_path, folder)) == sorted(f"{name}#0" for name in escaped.values())


def test_sheet_names_files_beside_it(folder) -> None:
    (folder / "sheet.csv").write_text("structure_path,remark\nCu.cif,1\nsüb/POSCAR,2\ngone.cif,3\n", encoding="utf-8")
    assert names(folder / "sheet.csv") == ["Cu.cif", "süb/POSCAR", "gone.cif"]


def test_a_name_like_that_of_a_frame_is_no_twin_of_it(tmp_path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / "a.extxyz", [bulk("Cu"), bulk("Cu", a=3.7)])
    (folder / "a.extxyz#1").write_text("nothing that ASE knows")
    index = load_structures(tmp_path / "packs", find_sources([str(folder)]).sources)
    assert index.column("id") == ["a.extxyz#0", "a.extxyz#1", "a.extxyz%231"]
    assert [reason is None for reason in index.column("invalid")] == [True, True, False]


def test_a_file_that_is_reached_by_several_ways_counts_once(tmp_path, folder) -> None:
    (tmp_path / "link").symlink_to(folder)
    (folder / "süb" / "sheet.csv").write_text("structure_path\nPOSCAR\n../süb/POSCAR\n../Cu.cif\n", encoding="utf-8")
    assert names(folder / "süb" / "sheet.csv") == ["POSCAR", "../Cu.cif"]
    assert names(folder / "Cu.cif", folder / "süb" / ".." / "Cu.cif", tmp_path / "link" / "Cu.cif") == ["Cu.cif"]
    assert names(folder, tmp_path / "link") == names(folder)


def test_names_stay_apart_however_folders_are_called(tmp_path) -> None:
    places = ["a/a/x.cif", "a/x.cif", "b/a/x.cif", "b/x.cif", "x.cif", "b/a#0/x.cif", "b/a%230/x.cif"]
    for place in places:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / place, bulk("Cu"))
    found = names(*(tmp_path / place for place in places), tmp_path)
    assert len(set(found)) == len(found) == len(places)


def test_a_sheet_with_two_columns_of_paths_is_refused(folder) -> None:
    (folder / "sheet.csv").write_text("structure_path,structure_path\nCu.cif,gone.cif\n")
    with pytest.raises(InputError, match="two `structure_path` columns"):
        names(folder / "sheet.csv")


def test_a_file_is_read_once_whatever_leads_to_it(folder) -> None:
    (folder / "süb" / "sheet.csv").write_text("structure_path\n../Cu.cif\n../süb/../Cu.cif\n", encoding="utf-8")
    around = folder / "süb" / ".." / "Cu.cif"
    assert names(folder / "Cu.cif", around, folder / "süb" / "sheet.csv") == ["Cu.cif"]
    (folder.parent / "elsewhere").mkdir()
    write(folder.parent / "Cu.cif", bulk("Al"))
    (folder / "link").symlink_to(folder.parent / "elsewhere")
    assert len(names(folder / "Cu.cif", folder / "link" / ".." / "Cu.cif")) == 2  # the second one is above


def test_what_is_passed_over_is_told(folder) -> None:
    (folder / "notes.txt").touch()
    assert [path.name for path in find_sources([str(folder)]).passed_over] == ["notes.txt"]


def test_links_that_lead_back_or_nowhere_do_no_harm(tmp_path, folder) -> None:
    (folder / "loop").symlink_to(folder)
    (folder / "süb" / "up").symlink_to(folder)
    (folder / "gone.cif").symlink_to(tmp_path / "nothing")
    assert names(folder) == ["-dash.xyz", "Cu.cif", "gone.cif", "süb/POSCAR"]
    assert names(folder / "gone.cif") == ["gone.cif"]
    rows = read(tmp_path, folder)
    assert rows["gone.cif"]["invalid"] == "cannot be read: no such file or directory"


def test_a_pipe_is_no_structure_and_is_not_waited_for(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.xyz")
    assert read(tmp_path, tmp_path / "pipe.xyz")["pipe.xyz"]["invalid"] == "not a file"


@pytest.mark.parametrize("content", ["", "path\nCu.cif\n", "structure_path\n"])
def test_sheet_without_rows_or_column_is_refused(folder, content) -> None:
    (folder / "sheet.csv").write_text(content)
    with pytest.raises(InputError, match="structure_path"):
        names(folder / "sheet.csv")


def test_missing_path_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="nothing-here"):
        names(tmp_path / "nothing-here")


def test_run_directories_inside_a_folder_are_not_input(folder) -> None:
    (folder / "old" / "work").mkdir(parents=True)
    (folder / "old" / "work" / "run.json").write_text("{}")
    write(folder / "old" / "results.extxyz", bulk("Cu"))
    assert "old/results.extxyz" not in names(folder)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.cif", b"", "empty"),
        ("junk.dat", bytes(range(256)) * 20, "not a structure file"),
        ("trunc.cif", b"data_\n_cell_length_a 3\n", ""),
        ("POSCAR", b"\x00\x01\x02", "cannot be read"),
        ("zero.xyz", b"0\n\n", "no atoms"),
        ("bad.extxyz", b'2\nLattice="1 0 0 0 1 0 0 0 1"\nCu 0 0 0\n', "cannot be read"),
        ("dummy.xyz", b"1\n\nX 0 0 0\n", "no element"),
    ],
)  # fmt: skip
def test_unusable_file_is_a_row_with_its_reason(tmp_path, folder, name, content, reason) -> None:
    (folder / name).write_bytes(content)
    rows = read(tmp_path, folder)
    (bad,) = [row for row in rows.values() if row["id"].startswith(name)]
    assert reason in bad["invalid"]
    assert "\n" not in bad["invalid"]
    assert sum(row["invalid"] is None for row in rows.values()) == 3


def broken(change) -> Atoms:
    atoms = bulk("Cu", cubic=True)
    change(atoms)
    return atoms


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda a: a.positions.__setitem__((0, 0), np.nan), "not finite"),
        (lambda a: a.set_cell(np.zeros((3, 3))), "without"),
        (lambda a: a.set_cell([[1, 0, 0], [2, 0, 0], [0, 0, 1]]), "without volume"),
        (lambda a: a.set_cell([[4, 0, 0], [0, 4, 0], [0, 0, 0]]), "without"),
    ],
)
def test_geometry_without_meaning_is_refused(tmp_path, change, reason) -> None:
    write(tmp_path / "x.traj", broken(change))
    (row,) = read(tmp_path, tmp_path / "x.traj").values()
    assert reason in row["invalid"]


def test_good_frames_before_a_broken_one_are_kept(tmp_path) -> None:
    write(tmp_path / "x.extxyz", [bulk("Cu"), bulk("Al")])
    with (tmp_path / "x.extxyz").open("a") as stream:
        stream.write("5\nbroken\nCu 0 0\n")
    rows = read(tmp_path, tmp_path / "x.extxyz")
    assert [row["invalid"] is None for row in rows.values()] == [True, True, False]


def test_at_sign_in_a_name_is_part_of_the_name(tmp_path) -> None:
    write(tmp_path / "scratch.traj", [bulk("Cu"), bulk("Al")])
    (tmp_path / "scratch.traj").rename(tmp_path / "x@1.traj")
    assert list(read(tmp_path, tmp_path / "x@1.traj")) == ["x@1.traj#0", "x@1.traj#1"]


def test_references_are_kept_apart(tmp_path) -> None:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    atoms.calc = EMT()
    forces, energy = atoms.get_forces(), atoms.get_potential_energy()
    stress = atoms.get_stress()
    write(tmp_path / "x.extxyz", [atoms, bulk("Al")])
    first, second = read(tmp_path, tmp_path / "x.extxyz").values()
    assert first["reference_energy_ev"] == pytest.approx(energy, abs=1e-8)
    assert first["reference_stress_ev_per_ang3"] == pytest.approx(list(stress), abs=1e-8)
    assert second["reference_energy_ev"] is None
    with np.load(pack_path(tmp_path / "packs", 0)) as pack:
        assert np.allclose(pack["reference_forces"][:4], forces, atol=1e-7)
        assert np.isnan(pack["reference_forces"][4:]).all()


def test_packs_hold_the_exact_geometry(tmp_path) -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    atoms.rattle(0.1, seed=3)
    atoms.info.update(charge=1, spin=2)
    write(tmp_path / "x.traj", atoms)
    read(tmp_path, tmp_path / "x.traj")
    with np.load(pack_path(tmp_path / "packs", 0)) as pack:
        assert pack["positions"].tobytes() == atoms.positions.tobytes()
        assert pack["cell"][0].tobytes() == np.asarray(atoms.cell).tobytes()


def test_unchanged_input_is_not_read_again_and_changed_input_is(tmp_path, monkeypatch) -> None:
    write(tmp_path / "x.cif", bulk("Cu"))
    before = read(tmp_path, tmp_path / "x.cif")
    monkeypatch.setattr("mira_cli.structures.packs.read_blocks", None)
    assert read(tmp_path, tmp_path / "x.cif") == before
    monkeypatch.undo()
    write(tmp_path / "x.cif", bulk("Al"))
    assert read(tmp_path, tmp_path / "x.cif") != before


@pytest.mark.parametrize("how", ["swapped", "rewritten", "link"])
def test_other_content_of_the_same_size_and_time_is_read(tmp_path, how) -> None:
    files = [tmp_path / name for name in ("a.cif", "b.cif")]
    for file, element in zip(files, ("Cu", "Al"), strict=True):
        write(file, bulk(element, "fcc", a=4.0))
        os.utime(file, ns=(10**18, 10**18))
    assert files[0].stat().st_size == files[1].stat().st_size
    seen, link = files[0], tmp_path / "link.cif"
    if how == "link":
        seen = link
        link.symlink_to(files[0])
    before = read(tmp_path, seen)
    if how == "swapped":
        files[0].rename(tmp_path / "c")
        files[1].rename(files[0])
    elif how == "link":
        link.unlink()
        link.symlink_to(files[1])
    else:
        files[0].write_bytes(files[1].read_bytes())
        os.utime(files[0], ns=(10**18, 10**18))
    ((now,), (then,)) = read(tmp_path, seen).values(), before.values()
    assert (then["formula"], now["formula"]) == ("Cu", "Al")


def test_a_copy_of_input_and_run_is_known_by_its_content(tmp_path, monkeypatch) -> None:
    write(tmp_path / "x.cif", bulk("Cu"))
    before = read(tmp_path, tmp_path / "x.cif")
    sources = json.loads((tmp_path / "packs" / "sources.json").read_text())["sources"]
    (tmp_path / "y").write_bytes((tmp_path / "x.cif").read_bytes())
    (tmp_path / "y").rename(tmp_path / "x.cif")
    shutil.copytree(tmp_path / "packs", tmp_path / "copy" / "packs")
    monkeypatch.setattr("mira_cli.structures.packs.read_blocks", lambda tasks, _: (_ for _ in tasks))
    assert read(tmp_path / "copy", tmp_path / "x.cif") == before
    now = json.loads((tmp_path / "copy" / "packs" / "sources.json").read_text())
    assert now["sources"] == sources  # so that no table is made anew
    monkeypatch.setattr("mira_cli.structures.packs._sha256", None)  # what is known is not read again
    assert read(tmp_path / "copy", tmp_path / "x.cif") == before


def test_many_structures_go_into_several_packs(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("mira_cli.structures.pack_files.PACK_ATOMS", 10)
    monkeypatch.setattr("mira_cli.structures.blocks.BLOCK_ATOMS", 10)
    frames = [bulk("Cu", a=3.5 + 0.01 * i, cubic=True) for i in range(8)]
    write(tmp_path / "x.traj", frames)
    rows = list(read(tmp_path, tmp_path / "x.traj").values())
    assert [row["pack"] for row in rows] == [0, 0, 0, 1, 1, 1, 2, 2]
    with np.load(pack_path(tmp_path / "packs", 2)) as pack:
        assert pack["hash"][rows[7]["row"]].decode() == structure_hash(frames[7])


@given(st.floats(-1e3, 1e3), st.integers(0, 3), st.integers(0, 2))
def test_identity_follows_content(shift, atom, axis) -> None:
    atoms = bulk("Cu", cubic=True)
    moved = atoms.copy()
    moved.positions[atom, axis] += shift
    same = (moved.positions == atoms.positions).all()
    assert (structure_hash(moved) == structure_hash(atoms)) == same


def test_identity_ignores_minus_zero_and_labels_but_not_charge() -> None:
    atoms = bulk("Cu")
    other = atoms.copy()
    other.positions[:] = -0.0
    other.info["comment"] = "x"
    assert structure_hash(other) == structure_hash(atoms)
    other.info["charge"] = 1
    assert structure_hash(other) != structure_hash(atoms)


@pytest.mark.parametrize("pbc", [True, False, (True, True, False), (False, True, False)])
@pytest.mark.parametrize("handed", [1, -1])
def test_atoms_at_one_place_are_refused(tmp_path, pbc, handed) -> None:
    skewed = np.array([[4.0, 0.3, 0.0], [1.0, 5.0, -0.2], [0.4, 0.0, 6.0]]) * handed
    atoms = Atoms("Cu3", scaled_positions=[[0.1, 0.2, 0.3], [0.6, 0.5, 0.4], [0.6, 0.5, 0.9]], cell=skewed, pbc=pbc)
    write(tmp_path / "a.traj", atoms)
    atoms.positions[2] = atoms.positions[1] + (skewed[1] if atoms.pbc[1] else 0) + 1e-9
    write(tmp_path / "b.traj", atoms)
    found = read(tmp_path, tmp_path / "a.traj", tmp_path / "b.traj")
    assert found["a.traj#0"]["invalid"] is None
    assert found["b.traj#0"]["invalid"] == "atoms 1 and 2 (counted from 0) are at the same place"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 118), min_size=1, max_size=30))
def test_formulas_are_those_of_ase(numbers) -> None:
    expected = Atoms(numbers, np.zeros((len(numbers), 3))).get_chemical_formula()
    assert blocks._formula(np.sort(numbers).tobytes()) == expected
