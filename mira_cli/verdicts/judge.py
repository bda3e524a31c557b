"""From what was measured about a model to a verdict for each measure. Pure functions: no files, no processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Status: TypeAlias = Literal["ok", "failed", "direct", "approximate", "skipped"]
Numbers: TypeAlias = "Mapping[str, Any]"

UNITS = {"energy": "eV/atom", "forces": "eV/Å", "stress": "eV/Å³"}
MEASURES = (
    "forces",
    "stress",
    "rotation",
    "translation",
    "permutation",
    "cell",
    "supercell",
    "box",
    "batch",
    "stale",
    "sticky",
    "calculator",
    "contract",
)
# compared with slopes of the energy
GRADIENTS = ("forces", "stress")
# measures that not every model can be put to: the fact that says so, and in words
LACKING = {"stress": ("stress", "the model gives no stress"), "sticky": ("takes_charge", "the model takes no charge")}
# What a family's own networks do not have, whoever runs them. Orb's and PET's see Cartesian vectors and learn what a
# rotation is; the repulsion in Orb's third generation is a mean over all atoms, so that two cells are not twice one.
# HIENet's first layer does not fade out at the cutoff: its energy has steps where a neighbour passes it.
LEARNED = {
    "orb": frozenset({"rotation", "supercell"}),
    "upet": frozenset({"rotation"}),
    "hienet": frozenset(GRADIENTS),
}

EPSILON = {"float32": 1.2e-7, "float64": 2.2e-16}
# Share of its size by which a slope may be off. A wrong factor of a hundredth must not pass. Kinks, where graphs end
# abruptly, make up to 0.002 (CHGNet; smaller steps make it less), SevenNet is off by 0.0008 at most.
SLOPE = {"float32": 5e-3, "float64": 2e-3}
# energies err by a few units in their last place
LAST_PLACES = 4.0
# a slope that is known to worse than this share of its size proves nothing
UNRESOLVED = 0.1
# Two answers that should be one: share of the size, and what is always allowed. In single precision seven models were
# off by at most 1e-6 eV/atom, 4e-5 of the forces and 3e-5 of the stress, in double precision EMT by 1e-13 of each.
# Untrained networks of large scale reach 1.2e-5 eV/atom.
SAME = {"float32": 5e-4, "float64": 1e-6}
FLOOR = {
    "float32": {"energy": 3e-5, "forces": 5e-5, "stress": 2e-6},
    "float64": {"energy": 1e-7, "forces": 1e-6, "stress": 1e-8},
}
# energies per atom are sums: units in the last place
ENERGY_PLACES = 16.0
# positions are as large as this, and their last digits do work against the forces
EXTENT_ANG = 20.0


@dataclass(frozen=True)
class Verdict:
    """What one measure says about a model.

    Attributes
    ----------
    measure
        One of `MEASURES`.
    status
        `ok`; `failed`; `direct`, forces of a model that does not derive them from an energy; `approximate`, a symmetry
        that the family's networks do not have by construction, or an energy with steps; `skipped`, with the reason.
    deviation, allowed
        Of the row that comes closest to its limit or is farthest beyond it, in `unit`.
    case
        What was compared there.
    reason
        Why it was skipped, or what is wrong where there is no number.
    """

    measure: str
    status: Status
    deviation: float | None = None
    allowed: float | None = None
    unit: str = ""
    case: str = ""
    reason: str | None = None


def judge_model(findings: Numbers, family: str, learned: Collection[str] = ()) -> list[Verdict]:
    """Judge all measures of one model; see `worker.check.session.measure` for the findings.

    Parameters
    ----------
    learned
        Measures that the model is said to fulfil only as far as it has learned, beside those of its family.
    """
    rows, known = findings["rows"], LEARNED.get(family, frozenset()) | set(learned)
    verdicts = [_numbers(m, [r for r in rows if r["measure"] == m], findings, known) for m in MEASURES[:-1]]
    return [*verdicts, contract(findings)]


def allowed(row: Numbers) -> float:
    """Largest deviation that precision and kinks explain, in the row's own unit."""
    precision = "float64" if row["dtype"] == "float64" else "float32"  # `as-trained` is single, if nothing says more
    epsilon, floor = EPSILON[precision], FLOOR[precision][row["quantity"]]
    work_ev = epsilon * EXTENT_ANG * row["fmax_ev_per_ang"]
    if row["measure"] in GRADIENTS:
        energy_ev = LAST_PLACES * epsilon * abs(row["energy_ev"]) + work_ev
        return float(SLOPE[precision] * row["size"] + energy_ev * row["noise"] + floor)
    if row["quantity"] == "energy":
        return float(ENERGY_PLACES * epsilon * row["size"] + work_ev + floor)
    return float(SAME[precision] * row["size"] + floor)


def contract(findings: Numbers) -> Verdict:
    """Judge what the worker would have recorded, and whether the model left its inputs alone."""
    wrong = [said for name, record in findings["records"].items() if (said := _broken(name, record, findings))]
    if findings["changed_inputs"]:
        wrong.append(f"the model changes its input: {', '.join(findings['changed_inputs'])}")
    if findings.get("deaf"):
        wrong.append("the model is said to read a charge, and one electron less changes no energy")
    return Verdict("contract", "failed" if wrong else "ok", reason="; ".join(wrong) or None)


def _broken(name: str, record: Numbers, findings: Numbers) -> str | None:
    wanted = "unsupported_element" if name == "unknown element" else "ok"
    if record["status"] != wanted:
        return f"{name}: {record['status']} instead of {wanted}" + (f" ({record['error']})" if record["error"] else "")
    numbers = wanted == "ok"
    stress = numbers and findings["facts"]["stress"] and name in {"elemental", "compound", "triclinic"}
    for quantity, expected in {"energy": numbers, "forces": numbers, "stress": stress}.items():
        if record[quantity] is not expected:
            return f"{name}: {'no' if expected else 'an unexpected'} {quantity}"
    return None


def _numbers(measure: str, rows: Sequence[Numbers], findings: Numbers, learned: Collection[str]) -> Verdict:
    if not rows:
        lacking = measure in LACKING and not findings["facts"][LACKING[measure][0]]
        return Verdict(measure, "skipped", reason=LACKING[measure][1] if lacking else "nothing was measured")
    if broken := next((row for row in rows if row["error"]), None):
        return Verdict(measure, "failed", case=broken["case"], reason=broken["error"])
    telling = [row for row in rows if measure not in GRADIENTS or allowed(row) <= UNRESOLVED * row["size"]]
    if not telling:
        energy = max(abs(row["energy_ev"]) for row in rows)
        return Verdict(measure, "skipped", reason=f"too small beside the last digits of {energy:.4g} eV")
    worst = max(telling, key=lambda row: row["deviation"] / allowed(row))
    status: Status = "ok" if worst["deviation"] <= allowed(worst) else "failed"
    if measure in GRADIENTS and not findings["facts"]["conservative"]:
        status = "direct"
    elif status == "failed" and measure in learned:
        right = sum(row["deviation"] <= allowed(row) for row in telling)
        # few structures have a step where their slopes are taken; a mistake is seen in all of them
        status = "approximate" if measure not in GRADIENTS or 2 * right >= len(telling) else "failed"
    case = worst["case"] + (f" ({worst['dtype']})" if measure in GRADIENTS else "")
    return Verdict(measure, status, worst["deviation"], allowed(worst), UNITS[worst["quantity"]], case)
