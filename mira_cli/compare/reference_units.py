"""Whether references are in another unit, or of another sign, than they were read in: told, never corrected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.units import OPPOSITE, PER_ATOM, UNITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa

    from mira_cli.compare.answers import Answers
    from mira_cli.compare.force_pairs import ForceStatistics
    from mira_cli.compare.forces import Array

OPTION = "--ref-units"
FEWEST_ENERGIES = 5  # different structures: energies have zeros, which can look like a factor in few of them
FEWEST = 3  # structures, or components of forces and stresses times ten
ALIKE = 0.95  # cosine between references and a model's numbers, from which a factor between them means something
NEAR = 0.2  # how far the factor may be from that of a unit: models are that good


def suspicions(answers: Answers, forces: ForceStatistics, m: int) -> list[str]:
    """Sentences on units in which the references would agree with a model, each with the option that names the unit."""
    found = [("energy", unit) for unit in _of_energies(answers, m)]
    slope, cosine = float(forces.slope[m, -1]), float(forces.cosine[m, -1])
    if forces.structures[m, -1] >= FEWEST and abs(cosine) > ALIKE and slope:
        found += [("forces", unit) for unit in _units("forces", 1 / slope)]
    found += [("stress", unit) for unit in _of_stresses(answers, m)]
    return [
        f"the reference {quantity} would agree with the model if it were in {unit.removeprefix(OPPOSITE)}"
        + (" with the opposite sign" if unit.startswith(OPPOSITE) else "")
        + f": `{OPTION} {quantity}={unit}`"
        for quantity, unit in found
    ]


def unit_doubts(reference: pa.Table) -> list[str]:
    """What the notes of a `reference.csv` say of units, each sentence once, with the first model that it is of."""
    return unit_doubts_of(reference.select(["model", "notes"]).to_pylist())


def unit_doubts_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The same of rows with `model` and `notes`."""
    found: dict[str, str] = {}
    for row in rows:
        for sentence in (row["notes"] or "").split("; "):
            if OPTION in sentence:
                found.setdefault(sentence, row["model"])
    return [sentence.replace("the model", model, 1) for sentence, model in found.items()]


def _units(quantity: str, ratio: float) -> Iterator[str]:
    """Units, other than that of eV and Å, in which a number is so many times the one in eV and Å."""
    for unit, value in UNITS[quantity].items():
        for sign, word in ((1.0, unit), (-1.0, OPPOSITE + unit)):
            if sign / value != 1.0 and abs(ratio * value * sign - 1) < NEAR:
                yield word


def _of_stresses(answers: Answers, m: int) -> Iterator[str]:
    both = np.isfinite(answers.stress[:, m]).all(axis=1) & np.isfinite(answers.reference_stress).all(axis=1)
    if both.sum() >= FEWEST:
        ratio, cosine = _ratio(answers.reference_stress[both], answers.stress[both, m])
        if abs(cosine) > ALIKE:
            yield from _units("stress", ratio)


def _of_energies(answers: Answers, m: int) -> Iterator[str]:
    """Energies have zeros of their own: a unit is only seen where with it they agree at once, and without it do not."""
    energy, reference, n = answers.energy[:, m], answers.reference_energy, answers.n_atoms
    both = np.isfinite(energy) & np.isfinite(reference) & (energy != 0)
    if len(np.unique(answers.made_of.identity[both])) < FEWEST_ENERGIES:
        return
    energy, reference, n = energy[both], reference[both], n[both]
    if _off(reference, energy) < NEAR:
        return
    if (n > 1).any() and _off(reference * n, energy) < NEAR / 2:
        yield "eV" + PER_ATOM
    for unit, value in UNITS["energy"].items():
        if value != 1.0 and _off(reference * value, energy) < NEAR / 2:
            yield unit


def _off(one: Array, other: Array) -> float:
    """Relative difference below which nine tenths of some numbers are from one another."""
    return float(np.quantile(np.abs(one / other - 1), 0.9))


def _ratio(reference: Array, model: Array) -> tuple[float, float]:
    """How many times a model's numbers the references are, by least squares, and the cosine between both."""
    product, own, others = (model * reference).sum(), (model**2).sum(), (reference**2).sum()
    if not own or not others:
        return 0.0, 0.0
    return float(product / own), float(product / np.sqrt(own * others))
