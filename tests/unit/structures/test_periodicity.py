"""Whether a structure repeats: what its file says, else what its format means, else what is assumed and told."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from ase.units import Bohr

from mira_cli.structures.formats.periodicity import BOX, SILENT
from mira_cli.structures.frame import Frame
from mira_cli.structures.parts import Part
from mira_cli.structures.read import read_frames

AT = np.array([1.0, 2.0, 3.0])


def coord(folder, unit: str, place: str, groups: str) -> Frame:
    """What is read of copper at the origin and oxygen at a place."""
    groups += "\n" if groups else ""
    (folder / "coord").write_text(f"$coord {unit}\n0 0 0 cu\n{place} o\n{groups}$end\n")
    (frame,) = read_frames(Part("coord", folder / "coord"))
    return frame


@pytest.mark.parametrize(
    ("unit", "place", "groups", "cell", "expected", "pbc"),
    [
        ("", "1 2 3", "", [0, 0, 0], AT * Bohr, "FFF"),
        ("angs", "1 2 3", "", [0, 0, 0], AT, "FFF"),
        ("", "1 2 3", "$periodic 3\n$cell angs\n 4 5 6 90 90 90", [4, 5, 6], AT * Bohr, "TTT"),
        ("", "1 2 3", "$periodic 3\n$cell angs 4 5 6 90 90 90", [4, 5, 6], AT * Bohr, "TTT"),
        ("frac", ".5 .5 .25", "$periodic 3\n$lattice angs\n 4 0 0\n 0 5 0\n 0 0 6", [4, 5, 6], [2, 2.5, 1.5], "TTT"),
        ("frac", ".5 .5 4", "$periodic 2\n$cell angs\n4 5 90", [4, 5, 0], [2, 2.5, 4 * Bohr], "TTF"),
        ("", "1 2 3", "$lattice bohr\n8 0 0\n0 8 0\n0 0 8", [8 * Bohr] * 3, AT * Bohr, "TTT"),
        ("", "1 2 3", "$periodic 1\n$lattice\n 8", [8 * Bohr, 0, 0], AT * Bohr, "TFF"),
    ],
)
def test_units_and_cells_of_turbomole(tmp_path, unit, place, groups, cell, expected, pbc) -> None:
    atoms = coord(tmp_path, unit, place, groups).atoms
    assert str(atoms.symbols) == "CuO"
    assert atoms.positions[1] == pytest.approx(np.array(expected))
    assert atoms.cell.lengths() == pytest.approx(np.array(cell))
    assert atoms.pbc.tolist() == [one == "T" for one in pbc]


@pytest.mark.parametrize(
    ("unit", "groups", "reason"),
    [
        ("", "$periodic 3", "`$periodic 3` wants a `$cell` or `$lattice` for as many directions"),
        ("", "$periodic 3\n$cell\n4 5", "`$periodic 3` wants a `$cell` or `$lattice` for as many directions"),
        ("", "$periodic 2\n$lattice\n1", "`$periodic 2` wants a `$cell` or `$lattice` for as many directions"),
        ("", "$periodic x", "`$periodic x` is no count of directions"),
        ("frac", "", "coordinates are fractions (`$coord frac`) of a cell that the file does not give"),
    ],
)
def test_a_cell_of_turbomole_that_is_not_there_is_missed(tmp_path, unit, groups, reason) -> None:
    assert coord(tmp_path, unit, "1 2 3", groups).unreadable == f"cannot be read: {reason}"


@pytest.mark.parametrize(
    ("name", "form", "repeats", "note"),
    [
        ("x.con", "eon", True, None),
        ("x.sys", "sys", True, None),
        ("x.cube", "cube", True, SILENT["cube"]),
        ("x.traj", "traj", False, None),
    ],
)
def test_a_cell_repeats_where_a_format_means_that(tmp_path, name, form, repeats, note) -> None:
    crystal = bulk("Cu", cubic=True)
    crystal.pbc = repeats
    write(tmp_path / name, crystal, format=form)
    (frame,) = read_frames(Part(name, tmp_path / name))
    assert frame.atoms.pbc.tolist() == [repeats] * 3
    assert frame.notes == ((note,) if note else ())


def test_a_cell_that_is_not_said_to_repeat_is_told(tmp_path, monkeypatch) -> None:
    box = Atoms("Cu", cell=[4.0] * 3)
    monkeypatch.setattr("ase.io.iread", lambda *_, **__: iter([box]))
    (tmp_path / "x.gen").write_text("1 C\nCu\n1 1 0 0 0\n")
    (frame,) = read_frames(Part("x.gen", tmp_path / "x.gen"))
    assert frame.notes == (BOX,)
