"""Elastic constants against numbers that are known otherwise, in any cell, and refused where they mean nothing."""

import numpy as np
import pytest
from ase.build import bulk, fcc111
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.tersoff import Tersoff, TersoffParameters
from ase.units import GPa
from scipy.spatial.transform import Rotation

from tests.unit.worker.tasks.told_properties import at_minimum, minimum, told
from worker.minimum.symmetry import standard_axes, symmetrized
from worker.properties.elasticity import (
    averages,
    equal_strains,
    smallest_eigenvalue,
    stiffness,
    strained,
    strains_of,
    symmetric,
    turned,
)

CU = bulk("Cu", a=3.62, cubic=True)
OF_SILICON = TersoffParameters(  # J. Tersoff, Phys. Rev. B 39, 5566 (1989)
    m=3, gamma=1, lambda3=0, c=1.0039e5, d=16.217, h=-0.59825, n=0.78734, beta=1.1e-6, lambda2=1.7322, B=471.18,
    R=2.85, D=0.15, lambda1=2.4799, A=1830.8,
)  # fmt: skip
INVARIANT = ("bulk_modulus_gpa", "shear_modulus_gpa", "young_modulus_gpa", "poisson_ratio", "smallest_eigenvalue_gpa",
             "universal_anisotropy", "clamped_shear_modulus_gpa")  # fmt: skip


def silicon() -> Tersoff:
    return Tersoff({("Si", "Si", "Si"): OF_SILICON})


class WrongStress(Calculator):
    """EMT whose stress is not the derivative of its energy."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, wrong, reference) -> None:
        super().__init__()
        self.wrong, self.cell0 = wrong, np.array(reference.cell)

    def calculate(self, atoms=None, properties=("energy",), system_changes=()) -> None:
        super().calculate(atoms, properties, system_changes)
        emt = EMT()
        strain = np.linalg.solve(self.cell0, np.array(atoms.cell)[: len(self.cell0)]) - np.eye(3)
        stress = emt.get_stress(atoms) + self.wrong(strain)
        self.results = {
            "energy": emt.get_potential_energy(atoms),
            "forces": emt.get_forces(atoms),
            "stress": stress,
        }


def second_derivative(atoms, calculator, strain, size=2e-3) -> float:
    """GPa: of the energy a volume along a (3, 3) strain, made without anything of MIRA."""
    energies = []
    for s in (-size, 0, size):
        one = atoms.copy()
        one.set_cell(np.array(atoms.cell) @ (np.eye(3) + s * strain), scale_atoms=True)
        one.calc = calculator
        energies.append(one.get_potential_energy())
    return (energies[0] - 2 * energies[1] + energies[2]) / size**2 / atoms.get_volume() / GPa


def test_emt_copper_has_the_curvatures_of_its_energy() -> None:
    start = minimum(CU, EMT())
    c = told("elastic", start, EMT()).arrays["stiffness_gpa"]
    along, shear = np.diag([1.0, 0, 0]), np.zeros((3, 3))
    shear[1, 2] = shear[2, 1] = 0.5
    assert c[0, 0] == pytest.approx(second_derivative(start, EMT(), along), rel=0.01)
    assert c[3, 3] == pytest.approx(second_derivative(start, EMT(), shear), rel=0.01)
    assert 2 * (c[0, 0] + c[0, 1]) == pytest.approx(second_derivative(start, EMT(), np.diag([1.0, 1, 0])), rel=0.01)


def test_tersoff_silicon_has_the_published_constants_with_relaxed_and_with_clamped_ions() -> None:
    """Balamane, Halicioglu and Tiller, Phys. Rev. B 46, 2250 (1992): C11, C12, C44, and C44 with clamped ions."""
    found = at_minimum("elastic", bulk("Si", a=5.45, cubic=True), silicon())
    assert found.status == "ok"
    c, clamped = found.arrays["stiffness_gpa"], found.arrays["clamped_stiffness_gpa"]
    assert (c[0, 0], c[0, 1], c[3, 3]) == pytest.approx((142.5, 75.4, 69.0), abs=0.2)
    assert clamped[3, 3] == pytest.approx(118.8, abs=0.2)
    assert found.values["n_evaluations"] > 7  # which are of clamped ions
    assert found.values["clamped_shear_modulus_gpa"] > found.values["shear_modulus_gpa"] + 15


def test_pair_forces_in_a_lattice_of_inversion_centres_obey_cauchy() -> None:
    found = at_minimum("elastic", bulk("Ar", a=1.55), LennardJones(sigma=1.0, epsilon=0.01, rc=5.0))
    assert found.status == "ok"
    assert found.values["bulk_modulus_gpa"] * GPa == pytest.approx(0.01 * 75.16, rel=0.02)  # of lattice sums
    start = minimum(bulk("Ar", a=1.55, cubic=True), LennardJones(sigma=1.0, epsilon=0.01, rc=5.0))
    c = told("elastic", start, LennardJones(sigma=1.0, epsilon=0.01, rc=5.0), strain=0.001).arrays["stiffness_gpa"]
    assert c[0, 1] == pytest.approx(c[3, 3], rel=0.01)


def test_the_cell_that_is_chosen_changes_nothing_but_the_frame() -> None:
    base = at_minimum("elastic", bulk("Cu", "hcp", a=2.55, c=4.2), EMT())
    left = bulk("Cu", "hcp", a=2.55, c=4.2)
    left.set_cell(left.cell[[1, 0, 2]])
    turned = bulk("Cu", "hcp", a=2.55, c=4.2)
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    assert base.status == "ok"
    for other in (left, turned, bulk("Cu", "hcp", a=2.55, c=4.2).repeat((2, 1, 1))):
        found = at_minimum("elastic", other, EMT())
        assert [found.values[name] for name in INVARIANT] == pytest.approx(
            [base.values[name] for name in INVARIANT], rel=5e-3
        )
    primitive, cubic = (at_minimum("elastic", atoms, EMT()) for atoms in (bulk("Cu", a=3.62), CU))
    assert primitive.arrays["stiffness_gpa"] == pytest.approx(cubic.arrays["stiffness_gpa"], abs=0.02)


def test_a_turned_cell_has_a_turned_tensor() -> None:
    turned = CU.copy()
    turned.rotate(45, "z", rotate_cell=True)
    c, base = (at_minimum("elastic", atoms, EMT()).arrays["stiffness_gpa"] for atoms in (turned, CU))
    assert c[0, 0] == pytest.approx((base[0, 0] + base[0, 1]) / 2 + base[3, 3], rel=2e-3)  # by hand, 45° about z
    assert c[5, 5] == pytest.approx((base[0, 0] - base[0, 1]) / 2, rel=0.01)


def test_strains_are_engineering_strains_that_turn_nothing() -> None:
    strains = strains_of(np.array([0.01]), np.eye(3))[:, 0, 0]
    for component, (i, j) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        change = np.linalg.solve(np.array(CU.cell), np.array(strained(CU, strains[component]).cell)) - np.eye(3)
        wanted = np.zeros((3, 3))
        wanted[i, j] = wanted[j, i] = 0.01 if i == j else 0.005
        assert change == pytest.approx(wanted)


def test_strains_that_symmetry_makes_equal_are_asked_for_once() -> None:
    sizes = np.array([0.005, 0.01])
    turned_copper = bulk("Cu", a=3.62)
    turned_copper.rotate(33, (3, 1, 2), rotate_cell=True)
    for atoms, number in ((CU, 6), (turned_copper, 6), (bulk("Si", a=5.43), 6), (bulk("Cu", "hcp", a=2.55, c=4.2), 18)):
        rotations = symmetrized(atoms)[1].rotations
        strains = strains_of(sizes, standard_axes(atoms)).reshape(-1, 3, 3)
        first, turns = equal_strains(strains, rotations)
        assert len(np.unique(first)) <= number
        assert turns @ strains[first] @ turns.transpose(0, 2, 1) == pytest.approx(strains, abs=1e-9)
    first, turns = equal_strains(strains, np.eye(3)[None])
    assert (first == np.arange(24)).all()


@pytest.mark.parametrize("atoms", [bulk("Cu", "hcp", a=2.55, c=4.2), bulk("Au", a=4.06)], ids=["hcp", "fcc"])
def test_distinct_strains_give_what_all_give(atoms) -> None:
    start = minimum(atoms, EMT())
    few, every = (told("elastic", start, EMT(), strains=which) for which in ("distinct", "all"))
    assert few.values["n_evaluations"] < every.values["n_evaluations"]
    for name in ("stiffness_gpa", "clamped_stiffness_gpa"):
        assert few.arrays[name] == pytest.approx(every.arrays[name], abs=0.05)


def test_a_stiffness_turns_with_its_crystal() -> None:
    random = np.random.default_rng(2)
    c = symmetric(random.normal(size=(6, 6)), np.eye(3)[None])
    rotation = Rotation.from_rotvec([0.3, -0.8, 0.5]).as_matrix()
    strain = random.normal(size=(3, 3))
    strain += strain.T
    weights = np.array([1, 1, 1, 2, 2, 2])

    def stress(c, strain) -> np.ndarray:
        xx, yy, zz, yz, xz, xy = c @ (weights * strain[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]])
        return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])

    turned_stress = stress(turned(c, rotation), rotation @ strain @ rotation.T)
    assert turned_stress == pytest.approx(rotation @ stress(c, strain) @ rotation.T)


def test_stiffness_is_the_odd_part_of_the_stress() -> None:
    random = np.random.default_rng(0)
    c, even = random.normal(size=(6, 6)), random.normal(size=(6, 6))
    sizes = np.array([0.005, 0.01])
    stresses = np.array(
        [[[sign * e * c[:, j] + e**2 * even[:, j] for sign in (1, -1)] for e in sizes] for j in range(6)]
    )
    assert stiffness(sizes, stresses) == pytest.approx(c)


def test_symmetry_leaves_what_the_point_group_allows() -> None:
    random = np.random.default_rng(1)
    c = random.normal(size=(6, 6))
    trigonal = bulk("Cu", "hcp", a=2.5, c=4.1)
    found = symmetric(c, symmetrized(trigonal)[1].rotations)  # 6/mmm
    assert found == pytest.approx(found.T)
    assert found[5, 5] == pytest.approx((found[0, 0] - found[0, 1]) / 2)
    assert (found[0, 0], found[3, 3]) == pytest.approx((found[1, 1], found[4, 4]))
    assert np.abs(found[:3, 3:]).max() < 1e-12
    three = Rotation.from_rotvec(np.array([0, 0, 2 * np.pi / 3]) * np.arange(3)[:, None]).as_matrix()
    two = Rotation.from_rotvec([np.pi, 0, 0]).as_matrix()
    c32 = symmetric(c, np.array([*three, *(two @ one for one in three)]))  # quartz, α
    assert abs(c32[0, 3]) > 1e-3
    assert (c32[1, 3], c32[4, 5]) == pytest.approx((-c32[0, 3], c32[0, 3]))
    assert symmetric(c, np.eye(3)[None]) == pytest.approx((c + c.T) / 2)


def test_an_isotropic_crystal_has_its_two_moduli() -> None:
    bulk_modulus, shear = 100.0, 40.0
    c = np.diag([*[bulk_modulus + 4 * shear / 3] * 3, *[shear] * 3])
    c[:3, :3] += (bulk_modulus - 2 * shear / 3) * (1 - np.eye(3))
    found = averages(c)
    assert (found.bulk_voigt, found.bulk_reuss, found.bulk) == pytest.approx([bulk_modulus] * 3)
    assert (found.shear_voigt, found.shear_reuss, found.shear) == pytest.approx([shear] * 3)
    assert found.young == pytest.approx(9 * bulk_modulus * shear / (3 * bulk_modulus + shear))
    assert found.poisson_ratio == pytest.approx(found.young / (2 * shear) - 1)
    assert found.universal_anisotropy == pytest.approx(0, abs=1e-12)
    assert smallest_eigenvalue(c) == pytest.approx(2 * shear)


def test_a_crystal_that_shears_by_itself_is_unstable_and_has_no_such_moduli() -> None:
    found = at_minimum("elastic", bulk("Cu", "bcc", a=2.88), EMT())
    assert found.status == "ok"
    assert found.values["is_stable"] is False
    assert found.values["smallest_eigenvalue_gpa"] < 0
    assert found.values["bulk_modulus_voigt_gpa"] > 0
    assert found.values["shear_modulus_gpa"] is None
    assert found.values["young_modulus_gpa"] is None


def test_slabs_have_none() -> None:
    found = told("elastic", fcc111("Cu", (1, 1, 3), vacuum=6, periodic=True), EMT())
    assert (found.status, found.error) == ("invalid_result", "it has vacuum: only crystals have this property")


def test_atoms_that_do_not_see_one_another_have_none() -> None:
    found = told("elastic", bulk("Cu", a=8), LennardJones(sigma=1.0, rc=3.0))
    assert found.status == "invalid_result"
    assert "too far apart" in found.error


def test_a_start_under_stress_has_none() -> None:
    squeezed = minimum(CU, EMT())
    squeezed.set_cell(squeezed.cell * 0.999, scale_atoms=True)
    found = told("elastic", squeezed, EMT())
    assert found.status == "invalid_result"
    assert found.error.startswith("the start is not without stress: 0.4")


def test_ions_that_are_not_at_rest_have_none() -> None:
    start = minimum(bulk("Si", a=5.45), silicon())
    found = told("elastic", start, silicon(), max_steps=1)
    assert found.status == "invalid_result"
    assert found.error.startswith("ions were not at rest in ")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda e: np.array([0, 0, 0, 0, 0, 2000 * e[0, 0] ** 3 / 0.01]), "not linear in the strain"),
        (lambda e: np.array([0.2 * e[1, 1], 0, 0, 0, 0, 0]), "C is not symmetric"),
    ],
)
def test_stresses_that_are_no_derivatives_of_an_energy_have_none(wrong, words) -> None:
    start = minimum(bulk("Cu", "hcp", a=2.55, c=4.2), EMT())
    found = told("elastic", start, WrongStress(wrong, start), strains="all")  # it is of no symmetry
    assert found.status == "invalid_result"
    assert words in found.error
    assert not found.arrays
