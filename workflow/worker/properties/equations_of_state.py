"""Equations of state: energy over volume, and what is read off them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from ase import eos
from scipy.optimize import curve_fit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FORMS: dict[str, Callable[..., Floats]] = {
    "birch_murnaghan": eos.birchmurnaghan,
    "vinet": eos.vinet,
    "murnaghan": eos.murnaghan,
    "poirier_tarantola": eos.pouriertarantola,
}
ROUGH = 0.05  # root mean square of what a fit leaves, in depths of the curve
FLAT_EV = 1e-6  # an atom: softer than any crystal within 1 % of its volume
PRECISE = 1e-12  # relative change at which a fit ends; at 1e-8, B0' of a soft crystal is off by 1e-3
NEAREST = 3  # points from which the slope of the pressure is taken


class Fit(NamedTuple):
    """Parameters of an equation of state; energies and volumes are of one atom, or of one cell, as they were given."""

    e0_ev: float
    b0_ev_per_ang3: float
    b0_derivative: float
    v0_ang3: float
    rms_ev: float


def fitted(form: str, volumes: Floats, energies: Floats, near: Fit | None = None) -> Fit | None:
    """Least-squares fit of (n,) energies in eV over volumes in Å³; None where there is none.

    `near` is a fit to nearly the same points, to begin with.
    """
    lowest = int(energies.argmin())
    curvature = 2 * np.polyfit(volumes, energies - energies[lowest], 2)[0]
    guess = (energies[lowest], abs(curvature) * volumes[lowest], 4.0, volumes[lowest]) if near is None else near[:4]
    origin = np.array([guess[0], 0.0, 0.0, 0.0])
    try:
        found, _ = curve_fit(
            FORMS[form], volumes, energies - guess[0], p0=guess - origin, method="lm", ftol=PRECISE, xtol=PRECISE
        )
    except RuntimeError:  # no convergence
        return None
    left = energies - FORMS[form](volumes, *(found + origin))
    e0, b0, derivative, v0 = (found + origin).tolist()
    return Fit(e0, b0, derivative, v0, float(np.sqrt(np.mean(left**2))))


def spread(form: str, volumes: Floats, energies: Floats, whole: Fit) -> float | None:
    """Largest difference in eV/Å³ between bulk moduli of fits that leave out one point each, or both ends."""
    left_out = [[i] for i in range(len(volumes))] + [[0, len(volumes) - 1]]
    parts = [fitted(form, np.delete(volumes, some), np.delete(energies, some), whole) for some in left_out]
    moduli = [fit.b0_ev_per_ang3 for fit in parts if fit is not None]
    return max(moduli) - min(moduli) if len(moduli) == len(parts) else None


def bulk_modulus_of_pressures(volumes: Floats, pressures: Floats, v0: float) -> float | None:
    """Bulk modulus where (n,) pressures are zero, in their unit; None where they are zero nowhere near `v0`.

    It is the slope of a parabola over ln V through the points nearest to `v0`.
    """
    near = np.sort(np.argsort(np.abs(np.log(volumes / v0)))[:NEAREST])
    x = np.log(volumes[near] / v0)
    parabola = np.polynomial.Polynomial.fit(x, pressures[near], 2)
    roots = parabola.roots()
    real = roots[np.abs(roots.imag) < 1e-12].real
    if not len(real):
        return None
    zero = real[np.abs(real).argmin()]
    return float(-parabola.deriv()(zero)) if x[0] <= zero <= x[-1] else None


def why_no_minimum(volumes: Floats, energies: Floats, fit: Fit | None) -> str | None:
    """Why (n,) energies over rising volumes say nothing of a minimum, in a sentence; None where they do."""
    if np.ptp(energies) < FLAT_EV:
        return "the energy does not depend on the volume: the atoms are too far apart for the model"
    lowest = int(energies.argmin())
    if lowest in {0, len(energies) - 1}:
        return f"the lowest energy is at the {'smallest' if lowest == 0 else 'largest'} volume of the range"
    if fit is None:
        return "the equation of state could not be fitted"
    slopes = np.diff(energies) / np.diff(volumes)
    checks = {
        "the fitted bulk modulus is not positive": fit.b0_ev_per_ang3 > 0,
        "the fitted minimum is at the edge of the range of volumes": volumes[1] <= fit.v0_ang3 <= volumes[-2],
        "the energy is not convex over the volume: the model is rough, or the phase changes": (
            (np.diff(slopes) > 0).all()
        ),
        "the energy over the volume is not smooth: no equation of state fits it": (
            fit.rms_ev <= ROUGH * np.ptp(energies)
        ),
    }
    return next((why for why, holds in checks.items() if not holds), None)
