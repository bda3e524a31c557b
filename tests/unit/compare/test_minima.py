"""Whether two geometries are one minimum."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.io import write

from mira_cli.compare import minima
from mira_cli.compare.minima import count_measured, minima_apart
from mira_cli.structures.find import find_sources
from mira_cli.structures.packs import load_structures
from mira_cli.structures.relaxed_references import match_references
from mira_cli.tasks import Starts

SALT = bulk("NaCl", "rocksalt", a=5.6, cubic=True)


def stacked(images: list[Atoms]) -> Starts:
    return Starts(
        np.array([len(a) for a in images]), np.concatenate([a.numbers for a in images]),
        np.concatenate([a.positions for a in images]), np.array([a.cell.array for a in images]),
        np.array([a.pbc for a in images]),
    )  # fmt: skip


def judged(one: Atoms, other: Atoms, measured: int = 9) -> minima.Apart:
    return minima_apart(stacked([one]), stacked([other]), measured=measured)


def strained(atoms: Atoms, *factors: float) -> Atoms:
    found = atoms.copy()
    found.set_cell(atoms.cell.array @ np.diag(factors), scale_atoms=True)
    return found


def test_equations_of_state_may_differ_but_not_cells() -> None:
    assert judged(SALT, strained(SALT, 1.02, 1.02, 1.02)).same == [True]
    larger = judged(strained(SALT, 1.04, 1.04, 1.04), SALT)
    assert (larger.same, larger.differs_in) == ([False], ["volume"])
    assert larger.volume_percent[0] == pytest.approx(100 * (1.04**3 - 1))
    assert larger.rmsd[0] == pytest.approx(0, abs=1e-6)  # which is blind to it
    longer = judged(SALT, strained(SALT, 1, 1, 1.06))
    assert (longer.same, longer.differs_in) == ([False], ["lengths"])
    assert longer.length_percent[0] == pytest.approx(100 * (1 / 1.06 - 1))


def test_atoms_that_have_changed_places_are_the_same_crystal() -> None:
    swapped = SALT.copy()
    swapped.positions[[0, 2]] = swapped.positions[[2, 0]]
    found = judged(SALT, swapped)
    assert found.displacement_ang[0] > 1
    assert (found.same, found.rmsd_status) == ([True], ["measured"])
    other = SALT.copy()
    other.positions[[0, 1]] = other.positions[[1, 0]]  # sodium in the place of chlorine
    assert judged(SALT, other).same == [False]


def test_a_distortion_that_the_matcher_averages_away_is_another_minimum() -> None:
    """Of 0.11 Å this way and that StructureMatcher sees nothing: it first makes the cell primitive, within 0.25 Å."""
    moved = SALT.copy()
    moved.positions[:, 0] += 0.11 * np.array([1, 1, -1, -1, 1, 1, -1, -1])
    found = judged(SALT, moved)
    assert found.rmsd_ang[0] < 0.05
    assert found.displacement_ang[0] == pytest.approx(0.11)
    assert (found.same, found.differs_in) == ([False], ["atoms"])


def test_what_only_the_matcher_could_tell_is_not_known_without_it(monkeypatch) -> None:
    swapped = SALT.copy()
    swapped.positions[[0, 2]] = swapped.positions[[2, 0]]
    monkeypatch.setattr(minima, "has_matcher", lambda: False)
    assert (judged(SALT, swapped).same, judged(SALT, swapped).rmsd_status) == ([None], ["not measured"])
    assert judged(SALT, SALT).same == [True]
    assert judged(SALT, strained(swapped, 1.1, 1.1, 1.1)).same == [False]


def test_no_more_are_measured_than_are_allowed() -> None:
    many = stacked([SALT, fcc111("Cu", (1, 1, 2), vacuum=5), bulk("Cu") * (5, 5, 5), SALT, SALT])
    found = minima_apart(many, many, measured=2)
    assert found.rmsd_status == ["measured", "not measured", "not measured", "measured", "not measured"]
    assert count_measured(found.rmsd_status) == 2
    assert found.same == [True] * 5


def matched(tmp_path, inputs: dict[str, list[Atoms]], references: dict[str, list[Atoms]]):
    found = []
    for name, files in (("in", inputs), ("reference", references)):
        (tmp_path / name).mkdir()
        for file, images in files.items():
            write(tmp_path / name / file, images)
        found.append(load_structures(tmp_path / f"packs-{name}", find_sources([str(tmp_path / name)]).sources))
    return match_references(*found)


def test_references_belong_to_structures_by_their_id(tmp_path) -> None:
    cu, al, salt = bulk("Cu"), bulk("Al"), SALT.copy()
    salt.info["structure_id"] = "b.extxyz#1"
    found = matched(
        tmp_path,
        {"a.cif": [cu], "b.extxyz": [al, SALT], "c.cif": [al]},
        {"a.extxyz": [cu], "x.extxyz": [salt], "c.cif": [cu]},
    )
    assert found.places.tolist() == [0, -1, 2, -1]
    assert found.other_atoms.tolist() == [[3, 1]]
    assert found.left_over.tolist() == []
