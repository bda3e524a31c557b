"""What holds for every model, tiny or real: sentences about what is wrong, none if nothing is."""

from collections.abc import Iterator

import numpy as np

from mira_cli.verdicts.judge import Verdict, allowed, judge_model
from tests.families.cases import PERIODIC

TROUBLE = {
    "empty": ("failed", "the structure has no atoms"),
    "flat cell": ("failed", "the cell vector along a periodic axis is zero"),
    "unknown element": ("unsupported_element", "the model does not know "),
    "charged": ("unsupported_property", "a charge of +1 e"),
}
QUANTITIES = {"energy": "energy_ev", "forces": "forces", "stress": "stress_ev_per_ang3"}


def title(examined: dict) -> str:
    """Name of a model, with its options: two may share a file."""
    model = examined["model"]
    return " ".join([model["name"], *(str(option)[:40] for option in model["options"].values())])


def verdicts(examined: dict) -> dict[str, Verdict]:
    """Verdicts of the check by measure."""
    return {verdict.measure: verdict for verdict in judge_model(examined["check"], examined["model"]["family"])}


def disagreements(examined: dict) -> Iterator[str]:
    """Where records differ from the family's own calculator by more than a model's precision explains."""
    facts = examined["check"]["facts"]
    for case, own in examined["own"].items():
        record = examined["records"][case]
        finite = "error" not in own and np.isfinite(own["energy_ev"]) and np.isfinite(own["forces"]).all()
        if case == "coincident":
            if not finite and record["status"] not in {"nonfinite", "failed"}:
                yield f"{case}: {record['status']}, and the family's own calculator has no number"
            continue
        if record["status"] != "ok" or not finite:
            said = own.get("error", "a number")
            yield f"{case}: {record['status']} ({record['error']}), and the family's own calculator says {said}"
            continue
        if (record["stress_ev_per_ang3"] is not None) is not (facts["stress"] and case in PERIODIC):
            yield f"{case}: a stress is missing, or should be"
        yield from (f"{case}: {words}" for words in _differences(record, own, facts["dtype"]))


def disturbances(examined: dict) -> Iterator[str]:
    """Where a structure's answer depends on the others of its batch by more than a model's precision explains."""
    single, dtype = examined["mixed"]["single"], examined["check"]["facts"]["dtype"]
    for batch in examined["mixed"]["batches"]:
        for case, answer in batch.items():
            yield from (
                f"{case} among {', '.join(batch)}: {words}" for words in _differences(answer, single[case], dtype)
            )


def _differences(record: dict, own: dict, dtype: str) -> Iterator[str]:
    fmax = np.abs(own["forces"]).max()
    for quantity, key in QUANTITIES.items():
        if record[key] is None or own[key] is None:
            continue
        per = record["n_atoms"] if quantity == "energy" else 1
        found, wanted = np.asarray(record[key]) / per, np.asarray(own[key]) / per
        row = {"measure": "calculator", "quantity": quantity, "dtype": dtype, "fmax_ev_per_ang": fmax}
        row["size"] = np.abs(wanted).max()
        if (deviation := np.abs(found - wanted).max()) > allowed(row):
            yield f"{quantity} off by {deviation:.2g} of {row['size']:.2g}"


def mishandled(examined: dict) -> Iterator[str]:
    """Structures that should have been refused, and were not, or in other words, or got a number all the same."""
    for case, (status, words) in TROUBLE.items():
        if case == "charged" and examined["check"]["facts"]["takes_charge"]:
            continue
        record = examined["records"][case]
        if record["status"] != status or words not in (record["error"] or ""):
            yield f"{case}: {record['status']} ({record['error']})"
        if any(record[key] is not None for key in QUANTITIES.values()):
            yield f"{case}: a number"
