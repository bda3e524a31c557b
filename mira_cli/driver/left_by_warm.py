"""What jobs that asked a server's worker have left undone: it is computed by workers of the run's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mira_cli.console import count, say
from mira_cli.files import read_json

if TYPE_CHECKING:
    from mira_cli.planning.plan import Plan
    from mira_cli.run.directory import RunDirectory


def tell_left_by_warm(plan: Plan, run: RunDirectory) -> bool:
    """Say which structures are computed without the server now, and why; False if there are none."""
    slugs = {model.name: model.slug for model in plan.models}
    any_left = False
    for name in plan.warm:
        left, why = 0, None
        for job in (job for job in plan.jobs if job.model == name):
            done = read_json(run.done(slugs[name], job.id))
            left += done["left"] if done else job.n_structures
            why = done["why_left"] if done and done["left"] else why
        if left:
            any_left = True
            because = f": {why}" if why else ""
            some = count(left, "structure")
            say(f"{name}: {some} without an answer of `mira serve`, now computed without it{because}")
    return any_left
