"""Every command by name: where it is and what it does, so that the help of `mira` need not import them all."""

from __future__ import annotations

from typing import NamedTuple


class Listed(NamedTuple):
    """One command, as the help lists it."""

    where: str  # module in `mira_cli.commands`, and what of it is the command
    summary: str  # the first sentence of its own help


PANELS: dict[str, dict[str, Listed]] = {
    "Compute": {
        "run": Listed("run:run", "Evaluate structures with several models and compare the answers."),
        "submit": Listed("run:submit", "Do as `mira run`, and leave the rest to a job in SLURM's queue."),
        "resume": Listed(
            "resume:resume", "Go on with a run that was interrupted: what is missing is computed, nothing twice."
        ),
        "retry": Listed(
            "resume:retry", "Compute again what has no result, of one model or of all; results that are there stay."
        ),
        "serve": Listed("serve:app", "Keep models loaded, and answer over HTTP."),
        "cancel": Listed(
            "cancel:cancel",
            "End a run: its jobs leave the queue, its driver ends, "
            "what was computed is kept and written into the tables.",
        ),
    },
    "Watch": {
        "status": Listed(
            "status:status", "Show how far a run is: structures, jobs, speed, what waits and what went wrong."
        ),
        "logs": Listed(
            "logs:logs", "Show logs: of the jobs that failed last, else of those that run, else what Snakemake said."
        ),
        "runs": Listed(
            "runs:runs", "List runs: those in ./runs and all that were started on this account, the last changed first."
        ),
    },
    "Results": {
        "table": Listed(
            "table:table",
            "Show how the models of a run compare; docs/reference/columns.md explains the columns.",
        ),
        "report": Listed(
            "report:report", "Regenerate the report of a run from its results: one file that opens without a network."
        ),
        "select": Listed(
            "select:select",
            "Choose the structures that the models disagree about most: those worth a reference calculation.",
        ),
        "export": Listed(
            "export:export", "Write one model's energies, forces and stresses as labels, under ASE's own keys."
        ),
        "collect": Listed(
            "collect:collect", "Regenerate the tables of a run from its records; the workflow calls this."
        ),
    },
    "Prepare": {
        "inspect": Listed(
            "inspect:inspect",
            "Show what is read from files, and what is odd in it: formulas, cells, space groups, references.",
        ),
        "tasks": Listed("tasks:tasks", "List the tasks, with their settings and what these are by default."),
        "init": Listed("init:init", "Write a commented `run.yaml` with every setting."),
        "doctor": Listed(
            "doctor:doctor", "Look at what a run needs on this machine: runtimes, GPUs, images, disks, SLURM."
        ),
        "models": Listed("models:app", "List the models; `mira models show NAME` says all about one."),
        "profiles": Listed("profiles:app", "List, show and check profiles: where and how jobs run."),
        "images": Listed("images:app", "List, build and verify images."),
        "weights": Listed("weights:app", "List, fetch, verify and import weights."),
        "clean": Listed(
            "clean:clean",
            "Remove from runs what can be made again or is not needed any more: "
            "never results, nor the records behind them.",
        ),
    },
}
