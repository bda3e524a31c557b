"""The state of a run: what `mira status` shows and `--json` prints."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mira_cli.run.long_stories import LongStories
    from mira_cli.watching.liveness import Driver

State = Literal["running", "queued", "finished", "failed", "stopped", "planned"]


@dataclass(frozen=True)
class SlurmJob:
    """A job of a run in the scheduler's queue; states are SLURM's words."""

    id: str
    job: str  # of the plan; empty for a driver
    state: str
    reason: str
    node: str
    elapsed: str
    waits: bool
    stray: str | None  # what it does where it neither waits nor is seen to run: `unknown (…)`, `moved (…)`
    stuck: str | None  # why waiting will not help
    adopted: bool  # started by an earlier call: the last plan does not hold it


@dataclass(frozen=True)
class JobCounts:
    """Jobs of the last plan, with those of earlier calls that still run."""

    total: int
    done: int
    running: int
    queued: int
    stray: int  # suspended, or where the scheduler cannot see them; 0 without a scheduler
    failed: int


@dataclass(frozen=True)
class ModelState:
    """How far one model is; a structure counts once."""

    name: str
    slug: str
    structures: int  # distinct and valid
    ok: int
    not_ok: int
    statuses: dict[str, int]
    reasons: dict[str, str]  # status -> what the first such structure says
    jobs: JobCounts
    running_jobs: list[str]
    failed_jobs: list[str]  # the last to fail at the end
    slurm_jobs: list[SlurmJob]
    structures_per_s: float | None
    eta_s: float | None
    devices: list[str]
    long_stories: LongStories | None = None  # of running jobs, where a structure takes many evaluations

    @property
    def left(self) -> int:
        """Structures without a record."""
        return self.structures - self.ok - self.not_ok


@dataclass(frozen=True)
class Problem:
    """Something that the user should know, and what to do."""

    text: str
    hint: str | None = None


@dataclass(frozen=True)
class RunState:
    """A run at one moment."""

    root: str
    state: State
    created: str | None
    changed: str | None  # the last change of what it wrote
    profile: str | None
    executor: str
    scheduler: str | None
    driver: Driver | None
    invalid: int  # structures of the input that cannot be computed
    models: list[ModelState]
    problems: list[Problem] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Pairs of structure and model with a record."""
        return sum(model.ok + model.not_ok for model in self.models)

    @property
    def total(self) -> int:
        """Pairs of structure and model."""
        return sum(model.structures for model in self.models)

    @property
    def not_ok(self) -> int:
        """Pairs of structure and model that ended without a result, the invalid structures of the input too."""
        return sum(model.not_ok + self.invalid for model in self.models)

    @property
    def active(self) -> bool:
        """True if it goes on by itself."""
        return self.state in {"running", "queued"}


def state_as_json(state: RunState) -> dict[str, Any]:
    """The state as JSON types, with the sums that follow from it."""
    data = asdict(state) | {"done": state.done, "total": state.total, "not_ok": state.not_ok}
    for model, known in zip(data["models"], state.models, strict=True):
        model["left"] = known.left
    return data
