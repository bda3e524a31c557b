"""`python -m worker JOB.json --records DIR --done FILE [--threads N]`: the worker's only door.

Exit codes: 0 every structure has a record · 1 the job cannot be done · 2 wrong arguments · 74 the disk is
full · 128 + signal told to stop. Nothing is written to stdout.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from worker import isolation, stopping
from worker.errors import guarded, leave
from worker.job import read_job


def main(arguments: list[str] | None = None) -> int:
    """Do one job and return the exit code."""
    asked = _parser().parse_args(arguments)
    return guarded(lambda: _run(asked))


def _run(asked: argparse.Namespace) -> int:
    job = read_job(asked.job)
    isolation.set_job_environment(asked.threads, in_container=job.image.get("runtime") == "apptainer")
    # while there is one thread; where another process computes, its attempt says how that one has done
    network = "" if job.warm else isolation.leave_network()
    stop = stopping.watch()
    from worker import session  # numpy starts threads at import

    return session.run_session(job, asked.records, asked.done, threads=asked.threads, network=network, stop=stop)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="worker", description="Evaluate one job of a MIRA run.")
    parser.add_argument("job", type=Path, metavar="JOB.json")
    parser.add_argument("--records", type=Path, required=True, metavar="DIR")
    parser.add_argument("--done", type=Path, required=True, metavar="FILE")
    parser.add_argument("--threads", type=_count, default=len(os.sched_getaffinity(0)), metavar="N")
    return parser


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    leave(main())
