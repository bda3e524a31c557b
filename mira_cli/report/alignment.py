"""What a report says of how energies were made comparable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mira_cli.compare.theory import same_zero
from mira_cli.console import count

if TYPE_CHECKING:
    from mira_cli.compare.schemes import Scheme
    from mira_cli.report.gathered import Gathered

FEW_DOF = 10  # left in a fit of energies, below which its error is clearly too small

TAKEN: dict[Scheme, str] = {  # from each difference of energies per atom
    "per-element": "a shift of each element, by least squares",
    "mean-shift": "its mean over the structures of the same composition",
    "composition": "its value for the lowest structure of the same composition",
    "elemental": "its values for the lowest structures of the pure elements, by the shares of the elements",
}
ALIGNED = (
    "Total energies of differently trained models have different zeros, so they were aligned before they were "
    "compared (scheme {scheme}): from the difference of energies per atom of two models was taken {taken}; structures "
    "that alone set a shift do not count. "
)
AS_THEY_ARE = "Total energies per atom were compared as they are, without alignment. "
ERRORS = (
    "Energy errors are root mean squares of these differences. Force errors are over atoms and Cartesian components; "
    "cosines leave out atoms where both forces are below 0.01 eV/Å. Numbers are taken only over structures that both "
    "models answered."
)


def method(scheme: Scheme) -> str:
    """Sentences for a methods section."""
    said = AS_THEY_ARE if scheme == "none" else ALIGNED.format(scheme=scheme, taken=TAKEN[scheme])
    return said + ERRORS


def words(scheme: Scheme) -> dict[str, str]:
    """What the page says beside the numbers of pairs, and above columns of aligned energies."""
    if scheme == "none":
        bare = "Energies are compared as they are (scheme none): what differs may be the zero alone."
        return {"scheme": scheme, "note": bare, "column": bare}
    note = (
        f"Energies are aligned (scheme {scheme}): from each difference was taken {TAKEN[scheme]}. Where few degrees of "
        "freedom are left, the error looks too small; pairs.csv also has the error with each structure left out, and "
        "what stands behind each number."
    )
    column = (
        f"From each column's difference to the mean of all models, where all answered, was taken {TAKEN[scheme]} "
        f"(scheme {scheme}). Columns can be compared."
    )
    return {"scheme": scheme, "note": note, "column": column}


def about_energies(gathered: Gathered) -> list[dict[str, Any]]:
    """What a reader must know of the energies of two models before their numbers."""
    rows = gathered.statistics.pairs.to_pylist()
    refused = [row["energy_refusal"] for row in rows if row["energy_refusal"]]
    if refused:
        reasons = [f"{reason} ({count(refused.count(reason), 'pair')})" for reason in list(dict.fromkeys(refused))[:3]]
        what = "Energies cannot be compared" + ("" if len(refused) == len(rows) else " for some pairs") + "."
        return [{"level": "warn", "text": what, "details": reasons}]
    if gathered.statistics.scheme == "none":
        return [] if _share_a_zero(gathered) else [_as_they_are()]
    against = [row for row in gathered.statistics.reference.to_pylist() if row["subset"] == "all"]
    return [*_few_left("Aligned energies", rows), *_few_left("Aligned energies against the reference", against)]


def _few_left(what: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A banner where the fit that left the fewest degrees of freedom left few."""
    fits = [row for row in rows if row["energy_alignment"] and not row["energy_refusal"]]
    few = min(fits, key=lambda row: row["energy_alignment_dof"], default=None)
    if few is None or few["energy_alignment_dof"] >= FEW_DOF:
        return []
    fit = f"{count(few['energy_alignment_rows'], 'structure')} and {count(few['energy_alignment_rank'], 'shift')}"
    left = count(few["energy_alignment_dof"], "degree")
    words = f"{fit} leave {left} of freedom; believe the errors with each structure left out."
    return [{"level": "note", "text": f"{what} look better than they are.", "details": [words]}]


def _share_a_zero(gathered: Gathered) -> bool:
    models = gathered.answers.models
    return all(same_zero(a, b) for i, a in enumerate(models) for b in models[:i])


def _as_they_are() -> dict[str, Any]:
    why = "Not all of these models are known to count energies from one zero: a difference may be nothing but that."
    return {"level": "warn", "text": "Energies are compared as they are.", "details": [why]}
