"""What one job asks for. A site's profile and a run's settings both speak in these words; the later word counts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic_core import ErrorDetails

SHARED = ("all", "gpu", "cpu", "driver")  # what resources are said for, beside single models
CLUSTER_THREADS = 4  # of a job on a cluster, unless somebody says so
# around a worker on a node, in its job's memory: 26 MB of Apptainer, or 115 of the Snakemake of other executors
SURROUNDINGS_MB = 150
# what pydantic calls the kinds of value that one place may hold
_KIND = re.compile(r"bool|int|float|str|none|constrained-\w+|(literal|list|dict|function-\w+|nullable|union)\[.*\]")
FORMS = {  # how a value is written
    "runtime_min": "`90` (minutes), `1h30m`, `2d` or `1-12:00:00`",
    "mem_mb": "`8000` (megabytes) or `8G`",
}


def _minutes(value: Any) -> Any:
    """`90`, `"90"`, `"1h30m"`, `"2d"`, `"2:30:00"` and `"1-12:00:00"` are minutes.

    `12:00` is left alone: it is 12 hours to some, and 12 minutes to SLURM.
    """
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    if re.fullmatch(r"(\d+d)?(\d+h)?(\d+m(in)?)?", text) and text:
        d, h, m = (int(found[1]) if (found := re.search(rf"(\d+){unit}", text)) else 0 for unit in "dhm")
        return (d * 24 + h) * 60 + m
    match = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)", text) or re.fullmatch(r"(\d+)-(\d+)(?::(\d\d))?", text)
    if match:
        days, hours, minutes, seconds = (int(part or 0) for part in (*match.groups(), 0)[:4])
        return (days * 24 + hours) * 60 + minutes + (seconds > 0)
    return value


def _megabytes(value: Any) -> Any:
    """`8000`, `"8G"` and `"500M"` are megabytes."""
    match = re.fullmatch(r"(\d+)\s*([mgt])i?b?", value.strip().lower()) if isinstance(value, str) else None
    return int(match[1]) * {"m": 1, "g": 1000, "t": 1_000_000}[match[2]] if match else value


Minutes = Annotated[int, BeforeValidator(_minutes), Field(ge=1)]
Megabytes = Annotated[int, BeforeValidator(_megabytes), Field(ge=100)]
Name = Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, int) else value)]


class Resources(BaseModel):
    """What a job asks for; what is None is left to the next layer, in the end to MIRA or to SLURM itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threads: int | None = Field(None, ge=1, description="CPU threads of a job; default: shared out among the jobs")
    mem_mb: Megabytes | None = Field(
        None, description="memory of a job, more in its next try; 150 MB more are asked for"
    )
    runtime_min: Minutes | None = Field(None, description="time limit of a job; more when it is tried again")
    gpu: int | None = Field(None, ge=0, le=1, description="0: CPU only")
    gpu_model: Name | None = Field(None, description="--gpus=MODEL:1, for sites that tell GPUs apart by model")
    gres: Name | None = Field(None, description="--gres=…, for sites that want it instead of --gpus")
    partition: Name | None = Field(None, description="SLURM partition, or the queue of another scheduler")
    account: Name | None = Field(None, description="account or project that pays")
    qos: Name | None = Field(None, description="SLURM quality of service")
    constraint: Name | None = Field(None, description="features of the nodes, such as `gpu80g`")
    slurm_extra: Name | None = Field(None, description="further options of sbatch, qsub, bsub, …, verbatim")
    chunk_atoms: int | None = Field(None, ge=1, description="atoms in one job")
    batch_atoms: int | None = Field(None, ge=1, description="atoms evaluated at once; default: the family's")
    max_jobs: int | None = Field(None, ge=1, description="jobs of one model at once")


DEFAULTS = Resources(mem_mb=8_000, runtime_min=240)  # `planning/chunks.py` cuts chunks


def layered(layers: Iterable[Mapping[str, Resources]], model: str, *, gpu: bool, there: bool = True) -> Resources:
    """Return what a model's jobs ask for.

    Parameters
    ----------
    layers
        From the weakest to the strongest. Each maps `all`, then `gpu` or `cpu`, then a model's name to resources.
    gpu
        Whether the job is to run on a GPU where no layer says so.
    there
        Whether there is any GPU to ask for.
    """
    layers = list(layers)
    said = _laid(layer[key] for layer in layers for key in ("all", model) if key in layer).gpu
    wants = there and (gpu if said is None else bool(said))
    kind = "gpu" if wants else "cpu"
    found = _laid(layer[key] for layer in layers for key in ("all", kind, model) if key in layer)
    return found.model_copy(update={"gpu": int(wants)})


def with_defaults(asks: Resources, max_runtime_min: int | None = None, max_mem_mb: int | None = None) -> Resources:
    """Fill in what nobody has said with `DEFAULTS`, as far as the partition gives that much."""
    limits = {"runtime_min": max_runtime_min, "mem_mb": max_mem_mb}
    missing = {
        name: value for name, value in DEFAULTS.model_dump(exclude_none=True).items() if getattr(asks, name) is None
    }
    return asks.model_copy(update={name: min(value, limits.get(name) or value) for name, value in missing.items()})


def _laid(layers: Iterable[Resources]) -> Resources:
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= layer.model_dump(exclude_unset=True, exclude_none=True)
    return Resources(**merged)


def setting_of(error: ErrorDetails) -> list[str]:
    """Where a wrong value stands, without pydantic's names for the kinds of value that may stand there."""
    where: list[str] = []
    for part in error["loc"]:
        if where and isinstance(part, str) and _KIND.fullmatch(part):
            break
        where.append(str(part))
    return where


def mistake(errors: Sequence[ErrorDetails]) -> tuple[str, str]:
    """Say what is wrong with the first wrong setting, as the end of a sentence that begins with its name, and its form.

    Where a value may be of several kinds, there is an error for each.
    """
    first, where = errors[0], setting_of(errors[0])
    form = FORMS.get(where[-1], "") if where else ""
    given = first["input"]
    if first["type"] in {"model_type", "dict_type"}:
        return f"must hold settings, not {given!r}", "for example `cpu: {partition: cpu, threads: 8}`"
    if form and first["type"].startswith("int_"):
        return f"cannot be {given!r}", f"write {form}"
    needed = list(dict.fromkeys(_needed(error) for error in errors if setting_of(error) == where))
    told = " or ".join([needed[0], *(one.removeprefix("must be ") for one in needed[1:])])
    return f"{told}, not {given!r}", f"write {form}" if form else ""


def _needed(error: ErrorDetails) -> str:
    allowed, kind = error.get("ctx", {}), error["type"]
    if kind in {"int_parsing", "int_type", "int_from_float"}:
        return "must be a whole number"
    if kind in {"float_parsing", "float_type", "finite_number"}:
        return "must be a number"
    if kind == "greater_than_equal":
        return f"must be at least {allowed['ge']}"
    if kind == "less_than_equal":
        return f"must be at most {allowed['le']}"
    if kind in {"string_type", "bool_parsing", "bool_type", "list_type", "literal_error"}:
        return {
            "string_type": "must be text",
            "list_type": "must be a list",
            "literal_error": f"must be {allowed.get('expected')}",
        }.get(kind, "must be `true` or `false`")
    return error["msg"].replace("Input should be", "must be").replace("Value error, ", "")
