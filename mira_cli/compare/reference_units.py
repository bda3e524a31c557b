"""Whether references are in another unit, or of another sign, than they were read in: told, never corrected."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare.alignment import Refusal, shifts
from mira_cli.compare.theory import EACH_ITS_OWN
from mira_cli.units import GPA, OPPOSITE, PER_ATOM, UNITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa

    from mira_cli.compare.answers import Answers
    from mira_cli.compare.force_pairs import ForceStatistics
    from mira_cli.compare.forces import Array

OPTION = "--ref-units"
FEWEST_ENERGIES = 5  # different structures, or degrees of freedom: energies have zeros, which can look like a factor
FEWEST = 3  # structures, below which a factor is told as what it may be, and a sign alone not at all
FEWEST_ATOMS = 4  # with forces
ALIKE, ALIKE_FEW = 0.85, 0.95  # cosine between references and a model's numbers, from which a factor means something
OWN = 0.999  # cosine from which references are those of an empirical potential itself
NEAR = 0.2  # how far energies as they are may be from those in another unit
# how far the factor may be from a unit's: at most half the way to the next; models can be too soft by a third
WITHIN = {"energy": 2**0.5, "forces": 2**0.5, "stress": 2.0}
AS_READ = {quantity: next(unit for unit, value in by.items() if value == 1.0) for quantity, by in UNITS.items()}
SMALL_GPA, SMALL_FOR_A_SIGN_GPA = 0.1, 1.0  # a model's stresses below which its factor, or its sign, is noise


def suspicions(answers: Answers, forces: ForceStatistics) -> list[list[str]]:
    """For each model sentences on units in which the references would agree with it, each with the option for the unit.

    None of a quantity that agrees with any of the models as it is read. An empirical potential speaks of references of
    its own and of no others: how far it is from those says nothing.
    """
    least = [OWN if facts.level_of_theory == EACH_ITS_OWN else 0.0 for facts in answers.models]
    found: list[dict[str, list[tuple[str, int]]]] = [
        {
            "energy": [(unit, FEWEST) for unit in _of_energies(answers, m, least[m])],
            "forces": list(_of_forces(forces, m, least[m])),
            "stress": list(_of_stresses(answers, m, least[m])),
        }
        for m in range(len(answers.models))
    ]
    right = {quantity for by in found for quantity, told in by.items() for unit, _ in told if unit == AS_READ[quantity]}
    return [
        [_sentence(quantity, *one) for quantity, told in by.items() if quantity not in right for one in told]
        for by in found
    ]


def _sentence(quantity: str, unit: str, structures: int) -> str:
    name = unit.removeprefix(OPPOSITE) + (" with the opposite sign" if unit.startswith(OPPOSITE) else "")
    option = f"`{OPTION} {quantity}={unit}`"
    if structures < FEWEST:
        few = "1 structure" if structures == 1 else f"{structures} structures"
        return f"the reference {quantity} may be in {name}, as far as {few} can tell against the model: {option}"
    return f"the reference {quantity} would agree with the model if it were in {name}: {option}"


def unit_doubts(reference: pa.Table) -> list[str]:
    """Sentences about units in the notes of a `reference.csv`, each once, with the first model that it is of."""
    return unit_doubts_of(reference.select(["model", "notes"]).to_pylist())


def unit_doubts_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The same of rows with `model` and `notes`."""
    found: dict[str, str] = {}
    for row in rows:
        for sentence in (row["notes"] or "").split("; "):
            if OPTION in sentence:
                found.setdefault(sentence, row["model"])
    return [sentence.replace("the model", model, 1) for sentence, model in found.items()]


def _unit(quantity: str, ratio: float) -> str | None:
    """The unit in which a number is about so many times the one in eV and Å; None if of none."""
    by_name = {unit: abs(math.log(abs(ratio) * value)) for unit, value in UNITS[quantity].items()} if ratio else {}
    unit = min(by_name, key=lambda unit: by_name[unit], default="")
    if not unit or by_name[unit] > math.log(WITHIN[quantity]):
        return None
    return (OPPOSITE if ratio < 0 else "") + unit


def _told(quantity: str, ratio: float, cosine: float, structures: int, least: float) -> Iterator[tuple[str, int]]:
    """The unit that a ratio of so many structures speaks for, if it does, and the number of them."""
    unit = _unit(quantity, ratio)
    if unit is None or abs(cosine) < max(least, ALIKE if structures >= FEWEST else ALIKE_FEW):
        return
    if structures >= FEWEST or unit != OPPOSITE + AS_READ[quantity]:
        yield unit, structures


def _of_forces(forces: ForceStatistics, m: int, least: float) -> Iterator[tuple[str, int]]:
    """The cosine is that of all components together: large forces show a unit, whatever the small ones do."""
    structures, atoms = int(forces.structures[m, -1]), int(forces.atoms[m, -1])
    slope, back = float(forces.slope[m, -1]), float(forces.slope[-1, m])
    if atoms >= FEWEST_ATOMS and slope * back > 0:
        ratio, cosine = math.copysign(math.sqrt(back / slope), slope), math.sqrt(slope * back)
        yield from _told("forces", ratio, cosine, structures, least)


def _of_stresses(answers: Answers, m: int, least: float) -> Iterator[tuple[str, int]]:
    both = np.isfinite(answers.stress[:, m]).all(axis=1) & np.isfinite(answers.reference_stress).all(axis=1)
    if not both.any():
        return
    reference, model = answers.reference_stress[both], answers.stress[both, m]
    ratio, cosine = _ratio(reference, model)
    size = math.sqrt(float((model**2).mean())) / GPA
    for unit, structures in _told("stress", ratio, cosine, int(both.sum()), least):
        is_sign = unit == OPPOSITE + AS_READ["stress"]
        if unit == AS_READ["stress"] or size > (SMALL_FOR_A_SIGN_GPA if is_sign else SMALL_GPA):
            yield unit, structures


def _of_energies(answers: Answers, m: int, least: float) -> Iterator[str]:
    """Energies have zeros of their own: first as they are, then what is left when each element has a zero."""
    energy, reference, n = answers.energy[:, m], answers.reference_energy, answers.n_atoms
    both = np.isfinite(energy) & np.isfinite(reference) & (energy != 0)
    if len(np.unique(answers.made_of.identity[both])) < FEWEST_ENERGIES:
        return
    near = min(NEAR, 2 * (1 - least))
    if _off(reference, energy, both) < near:
        yield "eV"
        return
    as_read = {unit: reference * value for unit, value in UNITS["energy"].items()}
    as_read |= {"eV" + PER_ATOM: reference * n} if (n[both] > 1).any() else {}
    found = [unit for unit, said in as_read.items() if unit != "eV" and _off(said, energy, both) < near / 2]
    yield from found or _of_relative_energies(answers, both, energy, as_read, least)


def _of_relative_energies(
    answers: Answers, both: Array, energy: Array, as_read: dict[str, Array], least: float
) -> Iterator[str]:
    fit = shifts(answers.made_of, "per-element", both, energy)
    if isinstance(fit, Refusal) or fit.rows - fit.rank < FEWEST_ENERGIES:
        return
    apart = {}
    for unit, said in as_read.items():
        own, other = (np.where(both, values, 0.0) for values in (energy, said))
        ratio, cosine = _ratio((other - fit.of(other))[both], (own - fit.of(own))[both])
        if cosine > max(least, ALIKE):
            apart[unit] = abs(math.log(ratio))
    near = {unit: off for unit, off in apart.items() if off < math.log(WITHIN["energy"])}
    if near:
        yield "eV" if "eV" in near else min(near, key=lambda unit: near[unit])


def _off(one: Array, other: Array, both: Array) -> float:
    """Relative difference below which nine tenths of some numbers are from one another."""
    return float(np.quantile(np.abs(one[both] / other[both] - 1), 0.9))


def _ratio(reference: Array, model: Array) -> tuple[float, float]:
    """How many times a model's numbers the references are, by the sizes of both and their sign; and the cosine."""
    product, own, others = (float(x.sum()) for x in (model * reference, model**2, reference**2))
    if not own or not others:
        return 0.0, 0.0
    return math.copysign(math.sqrt(others / own), product), product / math.sqrt(own * others)
