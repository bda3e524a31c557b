"""Dispersion beside a model: D3(BJ) by simple-dftd3, added to each of its answers, whatever the family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.mixing import SumCalculator
from ase.units import Bohr, Hartree

from worker.errors import WorkerError, sentence
from worker.families.base import Result, charge_aware
from worker.prepare import PERIODIC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    from worker.families.base import Potential
    from worker.job import Model

DISTRIBUTION = "dftd3"
PAIRS_BOHR, COORDINATION_BOHR = 60.0, 40.0  # dftd3's own, said so that another version has no others
KNOWN = frozenset(range(1, 104))  # of elements beyond, dftd3 1.7 says that they have none, without an error
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True)
class PairDamping:
    """Parameters of D3(BJ) without three-body terms; s6 is 1."""

    s8: float
    a1: float
    a2_bohr: float


def dispersed(potential: Potential, model: Model) -> Potential:
    """A potential with the dispersion that its model is to have; itself if none.

    Raises
    ------
    WorkerError
        The image has no dftd3.
    """
    if model.added_dispersion is None:
        return potential
    try:
        import dftd3.interface  # noqa: F401
    except ImportError as error:
        raise WorkerError(f"{model.name}: this image cannot import dftd3: {sentence(error)}") from error
    wrapped: Any = Dispersed(potential, PairDamping(**model.added_dispersion))
    return wrapped  # type: ignore[no-any-return]


class Dispersed:
    """A potential whose answers have dispersion added; all else is the potential's."""

    def __init__(self, potential: Potential, damping: PairDamping) -> None:
        self._potential, self._damping = potential, damping
        self.elements = KNOWN if potential.elements is None else potential.elements & KNOWN

    def __getattr__(self, name: str) -> Any:
        return getattr(self._potential, name)

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures."""
        return self._added(batch, self._potential.evaluate(batch))

    def answer(self, batch: Sequence[Atoms], graphs: Any) -> list[Result]:
        """Evaluate prepared structures whose input is made."""
        return self._added(batch, self._potential.answer(batch, graphs))  # type: ignore[attr-defined]

    def calculator(self) -> Calculator:
        """Return an ASE calculator of both."""
        return charge_aware(SumCalculator([self._potential.calculator(), _beside(self._damping)]))

    def _added(self, batch: Sequence[Atoms], results: list[Result]) -> list[Result]:
        return [_sum(one, dispersion(atoms, self._damping)) for atoms, one in zip(batch, results, strict=True)]


def dispersion(atoms: Atoms, damping: PairDamping) -> Result:
    """Return the dispersion of a prepared structure: energy, forces, and the virial over its cell's volume.

    Pairs are summed by Ewald's method in what is periodic in three directions, and up to `PAIRS_BOHR` otherwise.
    """
    from dftd3.interface import DispersionModel, RationalDampingParam

    periodic = np.array(atoms.info.get(PERIODIC, atoms.pbc), bool)
    lattice = {"lattice": _out_of_reach(atoms.cell.array / Bohr, periodic)} if periodic.any() else {}
    model = DispersionModel(atoms.numbers, atoms.positions / Bohr, **lattice)
    model.set_realspace_cutoff(disp2=PAIRS_BOHR, disp3=COORDINATION_BOHR, cn=COORDINATION_BOHR)
    if periodic.all():
        model.set_ewald_summation()
    of_pairs: Any = RationalDampingParam(s6=1.0, s8=damping.s8, s9=0.0, a1=damping.a1, a2=damping.a2_bohr)  # type: ignore[no-untyped-call]
    found = model.get_dispersion(of_pairs, grad=True)
    stress = found["virial"] * Hartree / abs(np.linalg.det(atoms.cell.array))
    return Result(
        float(found["energy"]) * Hartree,
        -found["gradient"] * Hartree / Bohr,
        np.array([(stress[i, j] + stress[j, i]) / 2 for i, j in VOIGT]),
    )


def _out_of_reach(cell: NDArray[np.float64], periodic: NDArray[np.bool_]) -> NDArray[np.float64]:
    """A cell in Bohr whose edges across what is not periodic are longer, by more than pairs reach.

    dftd3 1.7 itself knows partial periodicity, but its sums are then others in a structure that is turned.
    """
    lengths = np.linalg.norm(cell, axis=1)
    longer = 1.0 + (PAIRS_BOHR + 1.0) / lengths
    return cell * np.where(periodic, 1.0, longer)[:, None]


def _sum(one: Result, other: Result) -> Result:
    stress, added = one.stress_ev_per_ang3, other.stress_ev_per_ang3
    return Result(
        one.energy_ev + other.energy_ev,
        np.asarray(one.forces_ev_per_ang, np.float64) + other.forces_ev_per_ang,
        None if stress is None or added is None else np.asarray(stress, np.float64) + added,
        dispersion_energy_ev=other.energy_ev,
    )


def _beside(damping: PairDamping) -> Calculator:
    """A calculator of the dispersion alone."""

    class Beside(Calculator):
        implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012  (as ASE has it)

        def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
            super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
            found = dispersion(self.atoms, damping)  # type: ignore[arg-type]
            self.results = {
                "energy": found.energy_ev,
                "forces": found.forces_ev_per_ang,
                "stress": found.stress_ev_per_ang3,
            }

    return Beside()  # type: ignore[no-untyped-call]
