"""`python -m worker.probe MODEL.json FACTS.json`: load a checkpoint on the CPU and say what is in it.

MODEL.json is the `model` part of a job. A checkpoint that no job could load fails here, in the words that the job
would use: a head that is missing, with those that there are; another family's file; a damaged one.
Exit codes: 0 it loads · 1 it does not, and why is on stderr.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker import isolation
from worker.atomic import write_json
from worker.errors import WorkerError, guarded, leave
from worker.job import read_model

if TYPE_CHECKING:
    from worker.families.base import Potential


def checkpoint_facts(potential: Potential) -> dict[str, Any]:
    """Return what a loaded checkpoint says about itself, JSON-ready."""
    return {
        "elements": None if potential.elements is None else sorted(potential.elements),
        "cutoff_ang": potential.cutoff_ang,
        "dtype": potential.dtype,
        "stress": potential.gives_stress,
        "conservative": potential.conservative,
        "takes_charge": potential.takes_charge,
        "checkpoint_sha256": potential.checkpoint_sha256,
    }


def _run(model_file: Path, facts_file: Path) -> int:
    isolation.set_job_environment(1, in_container="APPTAINER_CONTAINER" in os.environ)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    isolation.leave_network()
    from worker import device, families
    from worker.session import import_family, load_model

    try:
        model = read_model(json.loads(model_file.read_bytes()))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise WorkerError(f"{model_file} does not describe a model: {error}") from error
    family = families.find_family(model.family)
    import_family(family)
    chosen = device.choose_device("cpu", family.FRAMEWORK, threads=1)
    write_json(facts_file, checkpoint_facts(load_model(family, model, chosen)), durable=False)
    return 0


if __name__ == "__main__":
    leave(guarded(lambda: _run(Path(sys.argv[1]), Path(sys.argv[2]))))
