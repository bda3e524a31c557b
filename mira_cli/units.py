"""Units in which the field writes energies, forces and stresses, as eV, eV/Å and eV/Å³ (CODATA 2018)."""

from __future__ import annotations

HARTREE, BOHR_ANG = 27.211386245988, 0.529177210903
KCAL, KJ = 0.0433641153087705, 0.0103642696562621  # per mole
EV_PER_ANG3_IN_GPA = 160.21766208  # GPa in 1 eV/Å³ (CODATA 2014, as in ase.units)
GPA = 1 / EV_PER_ANG3_IN_GPA  # eV/Å³ in 1 GPa
VOIGT = ("xx", "yy", "zz", "yz", "xz", "xy")  # order of the components of a stress, as in ASE

UNITS: dict[str, dict[str, float]] = {
    "energy": {"eV": 1.0, "meV": 1e-3, "Hartree": HARTREE, "Rydberg": HARTREE / 2, "kcal/mol": KCAL, "kJ/mol": KJ},
    "forces": {
        "eV/Ang": 1.0,
        "meV/Ang": 1e-3,
        "Hartree/Bohr": HARTREE / BOHR_ANG,
        "Rydberg/Bohr": HARTREE / 2 / BOHR_ANG,
        "kcal/mol/Ang": KCAL,
        "kJ/mol/Ang": KJ,
    },
    "stress": {"eV/Ang3": 1.0, "GPa": GPA, "kbar": GPA / 10, "Hartree/Bohr3": HARTREE / BOHR_ANG**3},
}
PER_ATOM = "/atom"  # behind a unit of energy
OPPOSITE = "-"  # before a unit: the other sign, as VASP's stresses have it


def factor(quantity: str, unit: str) -> tuple[float, bool]:
    """Return what a number in a unit is multiplied with, and whether it is one for each atom.

    Raises
    ------
    KeyError
        The quantity has no such unit.
    """
    sign, name = (-1.0, unit[1:]) if unit.startswith(OPPOSITE) else (1.0, unit)
    per_atom = quantity == "energy" and name.endswith(PER_ATOM)
    return sign * UNITS[quantity][name.removesuffix(PER_ATOM) if per_atom else name], per_atom


def named(quantity: str, text: str) -> str:
    """A unit as it is called here, however it is spelled: `eV/Å`, `ev/ang`, `HARTREE`.

    Raises
    ------
    KeyError
        The quantity has no such unit.
    """
    plain = text.strip().replace("Å", "Ang").replace("^", "").replace("³", "3").lower()
    sign = OPPOSITE if plain.startswith(OPPOSITE) else ""
    known = {unit.lower(): unit for unit in UNITS[quantity]}
    known |= {(unit + PER_ATOM).lower(): unit + PER_ATOM for unit in UNITS[quantity] if quantity == "energy"}
    return sign + known[plain.removeprefix(OPPOSITE)]
