"""Atoms too near are found wherever the cell hides them; what people compute on purpose is let through."""

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, graphene, molecule
from ase.data import covalent_radii
from ase.units import Bohr

from mira_cli.structures import plausible
from mira_cli.structures.check import judge_structures
from mira_cli.structures.geometry import geometry_from_ase


def judged(atoms: Atoms) -> tuple[str | None, list[str]]:
    (reason,), (notes,) = judge_structures(geometry_from_ase([atoms]))
    return reason, notes


def near(atoms: Atoms) -> float | None:
    """The smallest distance as a fraction of the sum of radii, if it is odd."""
    found = list(plausible._nearest(geometry_from_ase([atoms]), plausible._radii(atoms.numbers), np.array([True])))
    if not found:
        return None
    ((_, first, second, distance),) = found
    return distance / covalent_radii[atoms.numbers[[first, second]]].sum()


def near_by_all_images(atoms: Atoms, images: int = 8) -> float | None:
    best = plausible.ODD
    steps = itertools.product(*(range(-images, images + 1) if p else [0] for p in atoms.pbc))
    shifts = np.array(list(steps)) @ atoms.cell.array
    periodic = atoms.cell.array[atoms.pbc]
    for i, j in itertools.combinations_with_replacement(range(len(atoms)), 2):
        apart = atoms.positions[j] - atoms.positions[i]
        if len(periodic):
            apart = apart - np.rint(np.linalg.lstsq(periodic.T, apart, rcond=None)[0]) @ periodic
        distances = np.linalg.norm(apart + shifts, axis=1)
        distances = distances[distances > 1e-8] if i == j else distances
        best = min(best, *(distances / covalent_radii[atoms.numbers[[i, j]]].sum()), np.inf)
    return None if best == plausible.ODD else best


@pytest.mark.parametrize("all_pairs", [200, 0])
def test_the_nearest_atoms_are_those_of_all_images(monkeypatch, all_pairs) -> None:
    monkeypatch.setattr(plausible, "ALL_PAIRS", all_pairs)
    rng = np.random.default_rng(5)
    compared = 0
    for number in range(60):
        n = int(rng.choice([1, 2, 5, 12]))
        cell = rng.normal(0, 1, (3, 3)) + np.eye(3) * rng.choice([2, 4, 6])
        if number % 2:  # a skewed cell
            cell[1] += rng.integers(-3, 4) * cell[0]
        if abs(np.linalg.det(cell)) < 4:
            continue
        atoms = Atoms(rng.choice([1, 8, 26, 55], n), positions=rng.normal(0, 5, (n, 3)), cell=cell)
        atoms.pbc = rng.integers(0, 2, 3)
        expected, found = near_by_all_images(atoms), near(atoms)
        assert (found is None) == (expected is None)
        assert found is None or found == pytest.approx(expected, abs=1e-5)
        compared += found is not None
    assert compared > 5


@pytest.mark.parametrize("box", [None, 8.0, 40.0])
@pytest.mark.parametrize(
    ("pair", "distance", "verdict"),
    [
        ("O2", 0.25, "absurd"),
        ("H2", 0.11, "absurd"),
        ("Mg2", 0.003, "absurd"),
        ("H2", 0.74, "plain"),
        ("N2", 1.10, "plain"),
        ("CO", 1.13, "plain"),
        ("V2", 1.77, "plain"),  # the shortest bond for its radii
        ("UO", 1.77, "plain"),  # as in uranyl
        ("O2", 0.5, "odd"),  # where curves of dimers begin
        ("H2", 0.25, "odd"),
        ("C2", 0.6, "odd"),
    ],
)
def test_distances_of_pairs(box, pair, distance, verdict) -> None:
    atoms = Atoms(pair, positions=[[0.01, 0, 0], [0.01 - distance, 0, 0]])
    if box:
        atoms.set_cell([box] * 3)
        atoms.pbc = True
        atoms.wrap()
    reason, notes = judged(atoms)
    assert (reason is not None) == (verdict == "absurd")
    assert bool(notes) == (verdict == "odd")
    if reason:
        assert reason.startswith(f"atoms 0 and 1 (counted from 0) are {distance:.3g} Å apart, ")


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.3])
@pytest.mark.parametrize(
    "atoms",
    [bulk("Cu"), bulk("K"), bulk("Fe", cubic=True), bulk("C"), bulk("NaCl", "rocksalt", a=5.64), graphene(vacuum=8)]
    + [molecule(name) for name in ("C6H6", "CH3CH2OH", "HCN", "LiH", "Si2H6", "SO2")],
    ids=lambda atoms: str(atoms.symbols),
)
def test_what_is_computed_every_day_is_let_through(atoms, scale) -> None:
    atoms = atoms.copy()
    if atoms.pbc.any():
        atoms.set_cell(atoms.cell.array * scale, scale_atoms=True)
    assert judged(atoms) == (None, [])


def test_a_cell_of_one_angstrom_is_too_small() -> None:
    reason, _ = judged(Atoms("Cu", cell=[0.5, 3, 3], pbc=True))
    assert reason == "the cell is too small: atom 0 (counted from 0) is 0.5 Å from its own image"


def test_near_atoms_are_found_among_many() -> None:
    atoms = bulk("Cu", cubic=True) * (6, 6, 6)
    assert judged(atoms) == (None, [])
    atoms.positions[700] = atoms.positions[3] + atoms.cell[1] + [0.1, 0, 0]
    reason, _ = judged(atoms)
    assert reason == "atoms 3 and 700 (counted from 0) are 0.1 Å apart, 0.04 of the sum of their covalent radii"


def test_density_and_atoms_beyond_a_slab_are_told() -> None:
    heavy = bulk("Os")
    heavy.set_cell(heavy.cell.array * 0.85, scale_atoms=True)
    (note,) = judged(heavy)[1]
    assert note.startswith("a density of 36.")
    slab = Atoms("Cu2", positions=[[0, 0, -2], [0, 0, 4.5]], cell=[3, 3, 5], pbc=[True, True, False])
    assert judged(slab)[1] == ["atoms reach out of the cell in a direction that is not periodic"]
    slab.positions[1, 2] = 2.5  # beside the cell, but no longer than it
    assert judged(slab)[1] == []


def test_structures_do_not_disturb_one_another() -> None:
    bad, none = Atoms("O2", positions=[[0, 0, 0], [0, 0, 0.2]]), Atoms()
    reasons, _ = judge_structures(geometry_from_ase([bulk("Cu"), bad, none, molecule("H2O"), bad, bulk("Si"), none]))
    assert [reason and reason[:7] for reason in reasons] == [
        None,
        "atoms 0",
        "no atom",
        None,
        "atoms 0",
        None,
        "no atom",
    ]


CRYSTALS = [
    *(bulk(symbol).repeat((2, 2, 1)) for symbol in ("Cu", "Fe", "Mg", "W", "Na", "Si", "Al", "Ti")),
    *(bulk(name, kind, a=a).repeat((2, 1, 1)) for name, kind, a in [
        ("NaCl", "rocksalt", 5.64), ("CsCl", "cesiumchloride", 4.12),
        ("GaAs", "zincblende", 5.65), ("C", "diamond", 3.57),
    ]),
]  # fmt: skip
IN_A_BOX = [
    *(molecule(name, vacuum=vacuum) for name in ("H2O", "C6H6", "CH4", "O2", "Na2") for vacuum in (1.5, 3, 8)),
    *(fcc111("Cu", (2, 2, 3), vacuum=vacuum) for vacuum in (2, 10)),
    graphene(vacuum=6), bulk("Ar").repeat((2, 1, 1)), bulk("Xe").repeat((2, 1, 1)), Atoms("Cs", cell=[10] * 3),
    Atoms("Cs2", [(0, 0, 0), (0, 0, 8)], cell=[16] * 3), Atoms("H", cell=[5] * 3), Atoms("Fe", cell=[4.8] * 3),
]  # fmt: skip


def test_crystals_in_bohr_are_noted_and_nothing_that_is_meant_to_be_wide() -> None:
    def noted(atoms: Atoms, scale: float = 1.0) -> bool:
        scaled = atoms.copy()
        scaled.set_cell(atoms.cell * scale, scale_atoms=True)
        scaled.pbc = True
        return plausible.IN_BOHR in judged(scaled)[1]

    assert [str(atoms.symbols) for atoms in CRYSTALS if not noted(atoms, 1 / Bohr)] == []
    assert [str(atoms.symbols) for atoms in CRYSTALS + IN_A_BOX if noted(atoms)] == []
    assert [str(atoms.symbols) for atoms in CRYSTALS if noted(atoms, 1.15)] == []  # as in curves of energy and volume


@pytest.mark.parametrize("seed", range(5))
def test_pairs_are_those_of_a_search(seed, monkeypatch) -> None:
    rng = np.random.default_rng(seed)
    cell, positions = np.diag(rng.uniform(3, 8, 3)) + rng.uniform(-1, 1, (3, 3)), rng.uniform(-9, 9, (4, 3))
    found = plausible._pairs(positions, cell, 6.0)
    monkeypatch.setattr(plausible, "MOST_PAIRS", 0)
    searched = plausible._pairs(positions, cell, 6.0)
    rows, expected = (sorted(zip(*map(np.ndarray.tolist, pairs), strict=True)) for pairs in (found, searched))
    assert [row[:2] for row in rows] == [row[:2] for row in expected]
    np.testing.assert_allclose([row[2] for row in rows], [row[2] for row in expected], rtol=1e-12)
