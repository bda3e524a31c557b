"""Geometry of many cells at once, against ASE's of each."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule

from mira_cli.lattice import cell_parameters, root_mean_square_displacements, space_groups, volumes


def stacked(images: list[Atoms]):
    sizes, pbc = np.array([len(a) for a in images]), np.array([a.pbc for a in images])
    numbers, positions = (np.concatenate([getattr(a, name) for a in images]) for name in ("numbers", "positions"))
    return sizes, numbers, positions, np.array([a.cell.array for a in images]), pbc


def apart(one: Atoms, other: Atoms) -> float:
    (sizes, _, p, c, pbc), (_, _, q, d, _) = stacked([one, bulk("Cu")]), stacked([other, bulk("Cu")])
    found = root_mean_square_displacements(sizes, pbc, (p, c), (q, d))
    assert found[1] == pytest.approx(0, abs=1e-12)
    return float(found[0])


def test_cells_are_as_ase_has_them_and_nothing_is_said_of_a_vacuum() -> None:
    skew = bulk("Mg")
    skew.set_cell(skew.cell.array @ np.array([[1, 0.1, 0], [0, 1.2, 0.3], [0, 0, -1]]), scale_atoms=True)
    slab, water = fcc111("Cu", (1, 1, 3), vacuum=5.0), molecule("H2O")
    *_, cell, pbc = stacked([bulk("Cu"), skew, slab, water])
    np.testing.assert_allclose(volumes(cell, pbc)[:2], [bulk("Cu").get_volume(), skew.get_volume()])
    assert np.isnan(volumes(cell, pbc)[2:]).all()
    found = cell_parameters(cell, pbc)
    np.testing.assert_allclose(found[:2], [bulk("Cu").cell.cellpar(), skew.cell.cellpar()])
    np.testing.assert_allclose(found[2, [0, 1, 5]], slab.cell.cellpar()[[0, 1, 5]])
    assert np.isnan(found[2, [2, 3, 4]]).all()
    assert np.isnan(found[3]).all()


def test_space_groups_have_the_operations_of_the_cell_as_it_is() -> None:
    off = bulk("Cu", cubic=True)
    off.positions[0, 0] += 0.02
    near = bulk("Cu", cubic=True)
    near.positions[0, 0] += 0.002
    names, operations = space_groups(*stacked([bulk("Cu"), near, off, molecule("H2O"), fcc111("Cu", (1, 1, 2))]))
    assert names.tolist() == ["Fm-3m (225)", "Fm-3m (225)", "P4mm (99)", None, None]
    assert operations.tolist() == [48, 192, 8, 0, 0]


def test_drift_images_and_the_cells_own_size_count_nowhere() -> None:
    one = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    other = one.copy()
    other.set_cell(one.cell * 1.1, scale_atoms=True)
    other.positions += 0.31
    other.positions[3] += other.cell[0] - 2 * other.cell[2]
    assert apart(one, other) == pytest.approx(0, abs=1e-9)
    other = one.copy()
    other.positions[2, 1] += 0.08
    assert apart(one, other) == pytest.approx(0.08 * np.sqrt(1 / 8 - 1 / 64))


def test_a_molecule_may_turn_and_a_slab_may_slide() -> None:
    water = molecule("CH3CH2OH")
    turned = water.copy()
    turned.rotate(73, (1, 2, 3))
    turned.positions += 4
    assert apart(water, turned) == pytest.approx(0, abs=1e-9)
    mirrored = water.copy()
    mirrored.positions[:, 0] *= -1
    mirrored.rattle(0.3, seed=1)
    assert apart(water, mirrored) > 0.05
    slab = fcc111("Cu", (2, 2, 3), vacuum=5.0)
    other = slab.copy()
    other.positions += [1.3, 0.2, 0.7] + slab.cell[0]
    assert apart(slab, other) == pytest.approx(0, abs=1e-9)
    other.positions[0, 2] += 0.12
    assert apart(slab, other) == pytest.approx(0.12 * np.sqrt(1 / 12 - 1 / 144))
