"""Headers of xyz files whose words ASE takes for others: no cell is lost, no coordinate made up."""

import pytest

from tests.unit.test_formats import WATER, rows_of, told, xyz


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
