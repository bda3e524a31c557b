"""What a scheduler is to MIRA: words for a job, commands, and what their answers mean. No command is called here."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # (command, …, but=pattern) -> what it printed; a failure whose words match the pattern is none
    Call = Callable[..., str]

PENDING, RUNNING, COMPLETING, SUSPENDED = "PENDING", "RUNNING", "COMPLETING", "SUSPENDED"  # SLURM's words, for all
UNKNOWN, MOVED = "UNKNOWN", "MOVED"  # out of the scheduler's sight, or given to another one: it may run
HELD = "held"  # the reason of a job that waits until somebody releases it
# refusals that time heals: a full queue, a busy or restarted server
PASSING = re.compile(
    r"timed out|time-?out|unable to contact|cannot connect|could not connect|failed to connect|connection refused"
    r"|not respond|no response|does not answer|temporarily|try again|please wait|server not available|commlib error"
    r"|would exceed|maximum number of|too many|only \d+ jobs are allowed|limit (has been )?reached|queue is full"
    r"|broken pipe",
    re.IGNORECASE,
)
FREE = ("partition", "account", "qos")  # words that become an option of their own, where a scheduler has one


@dataclass(frozen=True)
class JobNeeds:
    """What one job asks for, in the words of `resources.yaml`."""

    threads: int = 1
    mem_mb: int = 8_000
    runtime_min: int = 240
    gpu: bool = False
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpu_model: str | None = None
    gres: str | None = None
    extra: str | None = None


@dataclass(frozen=True)
class Listed:
    """A job in the queue that is not over."""

    id: str
    name: str
    state: str  # one of the above
    reason: str = ""
    node: str = ""
    elapsed: str = ""
    dead: bool = False  # it will never go on, and stays until somebody removes it


@dataclass(frozen=True)
class JobEnd:
    """How a job that is not in the listing ended, or that it has not."""

    ok: bool
    why: str = ""
    over: bool = True


ALIVE = JobEnd(ok=False, over=False)  # a listing may leave out what is there


@dataclass(frozen=True)
class Scheduler:
    """One scheduler."""

    title: str
    submit: str  # the command, with `{name}`
    request: str  # options for what a job needs, with the fields of `_fields`
    gpu: str  # what `{gpu}` is in it for a job with a GPU
    gres: str  # the same where `gres` says how the site spells it
    constraint: str  # what `{constraint}` is in it
    words: Mapping[str, str]  # `partition`, `account`, `qos` -> option
    job_id: str  # pattern of the id, in what the submission prints
    live: Callable[[Call, str], list[Listed]]  # (call, user) -> jobs that are not over
    ended: Callable[[Call, str], JobEnd | None]  # (call, id) -> how a job ended, None if it does not tell
    cancel: tuple[str, ...]  # the command, to which ids are added
    gone: str  # pattern of what it says of jobs that are over
    needed: tuple[str, ...]  # commands that must be there
    look: str  # the command that tells all of a job, to which its id is added
    gpu_model: str = ""  # what `{gpu}` is where a model of GPU is asked for; empty: there is no such word
    stdin: Callable[[str], str] = field(default=str)  # script -> what the submission reads
    arguments: Callable[[str], list[str]] = field(default=lambda _: [])  # script -> last words of the submission

    def words_for(self, name: str, asked: JobNeeds, *, request: str = "", gpu: str = "") -> list[str]:
        """Words of the command that submits a job, without its script; `request` and `gpu` are a site's own.

        Raises
        ------
        ValueError
            `extra`, or a site's word, has a quote without an end or a field that there is not.
        """
        plain = _gpu_words(self, asked, gpu)
        given = {word: getattr(asked, word) for word in FREE if getattr(asked, word)}
        options = [self.words[word].format(shlex.quote(str(value))) for word, value in given.items()]
        try:
            asks = (request or self.request).format(**_fields(asked), gpu=plain, constraint=_constraint(self, asked))
        except (KeyError, IndexError) as error:
            raise ValueError(f"{error} is no word that a job is asked for by") from error
        return shlex.split(" ".join([self.submit.format(name=name), asks, *options, asked.extra or ""]))

    def unknown(self, asked: JobNeeds) -> list[str]:
        """Words of a job that this scheduler has no option for."""
        lost = [word for word in FREE if getattr(asked, word) and word not in self.words]
        return [*lost, *(["gpu_model"] if asked.gpu and asked.gpu_model and not self.gpu_model else [])]


def _gpu_words(scheduler: Scheduler, asked: JobNeeds, own: str = "") -> str:
    """What `{gpu}` is in a request: empty without a GPU."""
    if not asked.gpu:
        return ""
    if asked.gres:
        return scheduler.gres.format(asked.gres)
    if asked.gpu_model and scheduler.gpu_model:
        return scheduler.gpu_model.format(asked.gpu_model)
    return own or scheduler.gpu


def _constraint(scheduler: Scheduler, asked: JobNeeds) -> str:
    return scheduler.constraint.format(shlex.quote(asked.constraint)) if asked.constraint else ""


def _fields(asked: JobNeeds) -> dict[str, object]:
    """Fields of a request: what a job needs, in the units that schedulers want."""
    hours, minutes = divmod(asked.runtime_min, 60)
    return {
        "threads": asked.threads,
        "mem_mb": asked.mem_mb,
        "mem_mb_per_thread": -(-asked.mem_mb // asked.threads),
        "minutes": asked.runtime_min,
        "seconds": asked.runtime_min * 60,
        "clock": f"{hours:02d}:{minutes:02d}:00",
    }
