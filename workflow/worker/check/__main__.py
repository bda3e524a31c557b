"""The door of the check: a request in, findings out.

REQUEST.json holds `model` (as in a job), `device`, `gpus`, `quick` where few structures are enough, and `answer_s`, the
longest in s that the first answer about each may take, after which the process ends and stderr says where it was. Exit
codes are those of the worker: 0 measured, 1 the model cannot be loaded or asked, and why is on stderr.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from worker import isolation
from worker.atomic import write_json
from worker.errors import WorkerError, guarded, leave
from worker.job import DEVICES, Job, read_model


def main(arguments: list[str] | None = None) -> int:
    """Check one model and return the exit code."""
    parser = argparse.ArgumentParser(prog="worker.check", description="Measure whether a model's numbers hold.")
    parser.add_argument("request", type=Path, metavar="REQUEST.json")
    parser.add_argument("findings", type=Path, metavar="FINDINGS.json")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), metavar="N")
    asked = parser.parse_args(arguments)
    return guarded(lambda: _run(asked.request, asked.findings.absolute(), asked.threads))


def _run(request: Path, findings: Path, threads: int) -> int:
    job, quick, answer_s = _read(request)
    isolation.set_job_environment(threads, in_container="APPTAINER_CONTAINER" in os.environ)
    network = isolation.leave_network()  # while there is one thread
    from worker.check import session

    found = session.check(job, threads, quick=quick, answer_s=answer_s)
    write_json(findings, {"network": network, **found}, durable=False)
    return 0


def _read(request: Path) -> tuple[Job, bool, float | None]:
    try:
        content = json.loads(request.read_bytes())
        model, device, gpus = read_model(content["model"]), content["device"], tuple(content["gpus"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise WorkerError(f"{request} is not a request for a check: {error}") from error
    if device not in DEVICES:
        raise WorkerError(f"{request}: device {device!r} is none of {', '.join(DEVICES)}")
    return Job("check", model, device, gpus), bool(content.get("quick")), content.get("answer_s")


if __name__ == "__main__":
    leave(main())
