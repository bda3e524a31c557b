"""Near atoms are those that ASE finds, in cells of any shape."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from worker.minimum.pairs import near_pairs


def left_handed() -> Atoms:
    atoms = bulk("ZnO", "wurtzite", 3.25, 5.2)
    atoms.set_cell(atoms.cell[[1, 0, 2]])
    return atoms


def wire() -> Atoms:
    atoms = bulk("Cu")
    atoms.pbc = (False, False, True)
    return atoms


def far_from_the_cell() -> Atoms:
    atoms = bulk("NaCl", "rocksalt", 5.6, cubic=True) * (2, 2, 1)
    atoms.rattle(0.1, seed=1)
    atoms.positions += 50
    return atoms


def fused() -> Atoms:
    atoms = bulk("Cu") * (2, 1, 1)
    atoms.positions[1] = atoms.positions[0]
    return atoms


KINDS = {
    "one atom": bulk("Cu"),
    "squeezed": bulk("Cu", a=1.2),
    "molecule": molecule("C6H6"),
    "molecule in a box": molecule("C6H6", vacuum=2),
    "slab": fcc111("Al", (2, 1, 3), periodic=False),
    "wire": wire(),
    "left-handed": left_handed(),
    "sheared": Atoms("Si2", [[0, 0, 0], [1, 1, 1]], cell=[[4, 0, 0], [7, 4, 0], [3, 5, 4]], pbc=True),
    "far away": far_from_the_cell(),
    "two at one place": fused(),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("reach", [0.5, 1.9])
def test_pairs_are_those_of_ase(name, reach) -> None:
    atoms = KINDS[name]
    radii = reach * covalent_radii[atoms.numbers]
    ours, theirs = (
        np.c_[first, second, np.round(vectors, 6) + 0.0]
        for first, second, vectors in (near_pairs(atoms, radii), neighbor_list("ijD", atoms, radii))
    )
    assert ours.shape == theirs.shape
    assert ours[np.lexsort(ours.T)] == pytest.approx(theirs[np.lexsort(theirs.T)], abs=2e-6)
