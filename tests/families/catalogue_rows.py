"""Runs in an image: what the packages there say of the catalogue's rows; called with rows and a file to write to."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow"))


def published(family: str) -> set[str] | None:
    """Names that a package's own tables hold, as its downloader takes them; None where it has no table."""
    if family == "mace":
        from mace.calculators import foundations_models as models

        return {f"mace_mp:{n}" for n in models.mace_mp_urls} | {f"mace_off:{n}" for n in models.mace_off_urls}
    if family == "orb":
        from orb_models.forcefield.pretrained import ORB_PRETRAINED_MODELS

        return set(ORB_PRETRAINED_MODELS)
    if family == "fairchem":
        from fairchem.core import pretrained_mlip

        return set(pretrained_mlip.available_models)
    if family == "grace":
        from tensorpotential.calculator.foundation_models import MODELS_NAME_LIST

        return set(MODELS_NAME_LIST)
    if family == "ani":
        from torchani import models

        return {name for name in vars(models) if name.startswith("ANI")}
    if family == "dpa":
        from deepmd.pretrained.registry import available_model_names

        return set(available_model_names())
    if family == "aimnet":
        from aimnet.calculators.model_registry import load_model_registry

        return set(load_model_registry()["models"])
    if family == "tace":
        from tace.foundations import tace_foundations

        return set(tace_foundations)
    if family == "upet":
        from upet._version import UPET_AVAILABLE_MODELS

        return set(UPET_AVAILABLE_MODELS)
    return None  # SevenNet, MatterSim and MatRIS know their names in code, MatGL and NequIP ask a server


def refusal(row: dict) -> str:
    """What loading says when the weights are not there."""
    from worker.errors import WorkerError
    from worker.families import find_family
    from worker.job import read_model

    absent = {"path": f"/no/such/place/{row['name']}"}
    try:
        find_family(row["family"]).load(read_model(row | {"checkpoint": absent}), "cpu", row["dtype"])
    except WorkerError as error:
        return str(error)
    return "loaded"


def main(rows_file: str, findings_file: str) -> None:
    """Ask about every row."""
    from worker import isolation

    isolation.set_job_environment(1, in_container=False)
    isolation.leave_network()
    rows = json.loads(Path(rows_file).read_text())
    families = dict.fromkeys(row["family"] for row in rows)
    tables = {family: published(family) for family in families}
    findings = {
        "published": {family: sorted(names) for family, names in tables.items() if names is not None},
        "refusals": {row["name"]: refusal(row) for row in rows},
    }
    Path(findings_file).write_text(json.dumps(findings))


if __name__ == "__main__":
    main(*sys.argv[1:])
