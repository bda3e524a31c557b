"""Headers of xyz files whose words ASE takes for others: no cell is lost, no coordinate made up."""

import pytest

from tests.unit.structures.test_formats import NO_COUNT, WATER, rows_of, told, xyz


@pytest.mark.parametrize("key", ["lattice", "LATTICE", "cell", "Cell", "unit_cell"])
def test_a_cell_of_xyz_under_another_key_makes_no_molecule(tmp_path, key) -> None:
    header = f'{key}="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3'
    good, bad = xyz(*WATER), xyz("Cu .5 .5 .5", comment=header)
    reason = f'cannot be read: `{key}` is no key of extended xyz: a cell is `Lattice`, and of none is `pbc="F F F"`'
    assert told(rows_of(tmp_path, "x.xyz", good + bad + good)) == ["H2O", reason, "H2O"]
    assert told(rows_of(tmp_path, "y.xyz", good + xyz("Cu1 .5 .5 .5", comment=header)))[1] == reason
    assert told(rows_of(tmp_path, "z.xyz", xyz("Cu .5 .5 .5", comment=f'{header} pbc="F F F"'))) == ["Cu"]
    assert told(rows_of(tmp_path, "t.xyz", xyz("Cu .5 .5 .5", comment=f"{key}=9 kind=cell"))) == ["Cu"]


def test_coordinates_of_xyz_that_are_none_are_not_taken_for_zeros(tmp_path) -> None:
    header = 'Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:frac:R:3'
    reason = "cannot be read: `Properties` has the columns species, frac and no `pos`: these are coordinates in Å"
    assert told(rows_of(tmp_path, "x.xyz", xyz("Cu .5 .5 .5", comment=header) + xyz(*WATER))) == [reason, "H2O"]
    assert told(rows_of(tmp_path, "y.xyz", xyz("Cu1 .5 .5 .5", comment=header))) == [reason]


@pytest.mark.parametrize("part_bytes", [100, 250, 10_000_000])
def test_frames_of_extended_xyz_behind_a_count_that_is_none_are_found(tmp_path, monkeypatch, part_bytes) -> None:
    monkeypatch.setattr("mira_cli.structures.parts.PART_BYTES", part_bytes)
    good = [xyz(*WATER, comment=f"Properties=species:S:1:pos:R:3 i={i}") for i in range(7)]
    good[2], good[4] = good[2].replace("3\n", "three\n", 1), good[4].replace("3\n", "4\n", 1)
    rows = rows_of(tmp_path, "x.extxyz", "".join(good))
    assert told(rows) == [
        "H2O", "H2O", NO_COUNT.format("three", "lines 11 to 15 are no frame"), "H2O",
        "cannot be read: line 6 of the frame has 1 columns, not 4",
        NO_COUNT.format("Properties=species:S:1:pos:R:3", "lines 27 to 30 are no frame"), "H2O",
    ]  # fmt: skip
    assert [row["id"] for row in rows] == [f"x.extxyz#{i}" for i in range(7)]


@pytest.mark.parametrize("header", ["", "Properties=species:S:1:pos:R:3"])
def test_a_frame_with_more_atoms_than_its_count_says_is_refused(tmp_path, header) -> None:
    good = xyz(*WATER, comment=header)
    rows = told(rows_of(tmp_path, "x.xyz", good + good.replace("3\n", "2\n", 1) + good))
    assert rows[:2] == ["H2O", "cannot be read: its count says 2 atoms, and one more follows: `H 0 -0.76 -0.47`"]
    told_of_the_rest = "from here, line 10, on nothing is read" if not header else "lines 10 to 10 are no frame"
    assert rows[2:] == [NO_COUNT.format("H 0 -0.76 -0.47", told_of_the_rest), *(["H2O"] if header else [])]
