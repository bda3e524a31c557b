"""A job holds the structures that it names, and not the packs that they are from."""

import numpy as np
import pytest
from ase import Atoms

from tests.unit.worker.jobs import hash_of, write_pack
from worker.job import PackRows
from worker.structures import read_structures


def random_structures(n: int) -> list[Atoms]:
    """Structures of 0 to 8 atoms; each third has a charge."""
    random = np.random.default_rng(n)
    return [
        Atoms(
            random.integers(1, 90, size=size),
            positions=random.normal(size=(size, 3)),
            cell=random.normal(size=(3, 3)),
            pbc=random.integers(0, 2, size=3),
            info={"charge": float(i), "spin": 2.0} if i % 3 == 0 else {},
        )
        for i, size in enumerate(random.integers(0, 9, size=n))
    ]


def held_bytes(structures: list) -> int:
    """Memory of all arrays that structures refer to, whole where it is a view that they have."""
    arrays = [array for s in structures for array in (*s.pack.arrays.values(), s.pack.starts)]
    whole = [array if array.base is None else array.base for array in arrays]
    return sum({id(array): array.nbytes for array in whole}.values())


@pytest.mark.parametrize("rows", [(), (0,), (29,), (29, 3, 3, 17, 0, 29), tuple(range(29)), tuple(range(30))[::-1]])
def test_any_rows_come_back_as_they_were(tmp_path, rows):
    given = random_structures(30)
    write_pack(tmp_path / "p.npz", given)
    found = read_structures([PackRows(tmp_path / "p.npz", rows)])
    wanted = list(dict.fromkeys(rows))
    assert [s.hash for s in found] == [hash_of(row) for row in wanted]
    for structure, row in zip(found, wanted, strict=True):
        atoms = structure.atoms()
        assert atoms == given[row]
        assert atoms.info == given[row].info
        assert structure.n_atoms == len(atoms)
        assert structure.numbers.tolist() == given[row].numbers.tolist()


def test_packs_are_not_kept_for_one_of_their_rows(tmp_path):
    given = random_structures(200)
    write_pack(tmp_path / "all.npz", given)
    write_pack(tmp_path / "one.npz", given[7:8])
    (alone,) = read_structures([PackRows(tmp_path / "one.npz", (0,))])
    of_many = read_structures([PackRows(tmp_path / "all.npz", (7,))])
    assert held_bytes(of_many) == held_bytes([alone])
    some, every = (read_structures([PackRows(tmp_path / "all.npz", tuple(range(n)))]) for n in (20, 200))
    assert held_bytes(some) < held_bytes(every) / 5
