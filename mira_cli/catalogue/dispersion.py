"""Dispersion beside a model: which D3(BJ) goes with the level of theory that it was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mira_cli.catalogue.rows import ADDED_DISPERSION, Damping
from mira_cli.errors import UsageError

if TYPE_CHECKING:
    from mira_cli.catalogue.rows import Model

SUFFIX = "+d3"
HEAVIEST = 103  # element for which D3 has coefficients; for others dftd3 returns nothing, and no error
# Two-body terms alone: Grimme, Ehrlich, Goerigk, J. Comput. Chem. 32, 1456 (2011); for r2SCAN Ehlert et al., J. Chem.
# Phys. 154, 061101 (2021).
PBE = Damping(functional="PBE", s8=0.7875, a1=0.4289, a2_bohr=4.4407)
OF_LEVEL = {
    "PBE": PBE,
    "PBE+U": PBE,  # a Hubbard U is of some transition metals' d electrons
    "PBEsol": Damping(functional="PBEsol", s8=2.9491, a1=0.4466, a2_bohr=6.1742),
    "PBE0": Damping(functional="PBE0", s8=1.2177, a1=0.4145, a2_bohr=4.8593),
    "r2SCAN": Damping(functional="r2SCAN", s8=0.78981345, a1=0.49484001, a2_bohr=5.73083694),
}


def base_of(name: str) -> str:
    """The name of the model to which a name adds dispersion; the name itself if it adds none."""
    return name[: -len(SUFFIX)] if name.lower().endswith(SUFFIX) else name


def with_dispersion(name: str, row: Model) -> Model:
    """The row of a model with D3(BJ) beside it.

    Raises
    ------
    UsageError
        It has dispersion, or nothing is known that would go with it.
    """
    if why := _refusal(row):
        raise UsageError(f"`{name}{SUFFIX}` {why}", hint=f"leave out {SUFFIX}; `mira models show {name}` has its facts")
    elements = frozenset(range(1, HEAVIEST + 1))
    return row.model_copy(
        update={
            "title": f"{row.title}, with D3(BJ) added",
            "aliases": [],
            "dispersion": ADDED_DISPERSION,
            "added_dispersion": OF_LEVEL[str(row.level_of_theory)],
            "elements": elements if row.elements is None else row.elements & elements,
        }
    )


def _refusal(row: Model) -> str | None:
    level = row.level_of_theory
    if row.dispersion == "included":
        return f"would have dispersion twice: the model was trained on {level or 'energies'} with it"
    if level is None or level == "empirical":
        why = "the model is empirical" if level else "the model's level of theory is not known"
        return f"has no functional whose D3 parameters could be taken: {why}"
    if level not in OF_LEVEL:
        of_solids = "bind solids by electronvolts" if level.startswith("RPBE") else "are not established"
        return f"has no D3 parameters: those of {level} {of_solids}"
    return "may have dispersion twice: it is not known whether the model has any" if row.dispersion is None else None


def dispersion_in_words(names: list[str], damping: Damping) -> str:
    """Sentence of a methods section on models with dispersion of one functional."""
    numbers = f"s6 = 1, s8 = {damping.s8:g}, a1 = {damping.a1:g}, a2 = {damping.a2_bohr:g} Bohr"
    return (
        f"To each energy, force and stress of {', '.join(names)}, D3(BJ) dispersion with the parameters of "
        f"{damping.functional} ({numbers}) was added by simple-dftd3, without three-body terms: in crystals by Ewald "
        "summation, elsewhere up to 60 Bohr; coordination numbers up to 40 Bohr."
    )
