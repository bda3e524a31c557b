"""What a cluster offers: its partitions with their limits."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mira_cli.slurm.commands import rows


@dataclass(frozen=True)
class Partition:
    """One partition; sizes are those of its largest node, which need not be one and the same."""

    name: str
    default: bool
    up: bool
    time_limit_min: int | None  # None: no limit
    cpus: int
    mem_mb: int
    gres: tuple[str, ...]  # as `sinfo` writes it: `gpu:a100:4`
    nodes: int

    @property
    def gpus(self) -> int:
        """Most GPUs of one node."""
        counts = [int(m[1]) for entry in self.gres if (m := re.match(r"gpu(?::[^:(]+)?:(\d+)", entry))]
        return max(counts, default=0)

    @property
    def gpu_kinds(self) -> tuple[str, ...]:
        """Kinds of GPUs as `gres` names them; empty where it does not."""
        found = (m[1] for entry in self.gres if (m := re.match(r"gpu:([^:(]*[^\d:(][^:(]*)", entry)))
        return tuple(dict.fromkeys(found))


def partitions() -> list[Partition]:
    """All partitions that this user can see.

    Raises
    ------
    SlurmError
        SLURM does not answer.
    """
    found: dict[str, Partition] = {}
    for name, up, limit, cpus, memory, gres, nodes in (
        row[:7] for row in rows("sinfo", "--noheader", "--format=%P|%a|%l|%c|%m|%G|%D") if len(row) >= 7
    ):
        key, before = name.rstrip("*"), found.get(name.rstrip("*"))
        generic = () if gres in {"(null)", ""} else tuple(re.split(r",(?![^(]*\))", gres))
        found[key] = Partition(
            key,
            default=name.endswith("*"),
            up=up == "up",
            time_limit_min=minutes(limit),
            cpus=max(_number(cpus), before.cpus if before else 0),
            mem_mb=max(_number(memory), before.mem_mb if before else 0),
            gres=(*(before.gres if before else ()), *(g for g in generic if not before or g not in before.gres)),
            nodes=_number(nodes) + (before.nodes if before else 0),
        )
    return list(found.values())


def minutes(limit: str) -> int | None:
    """A time of SLURM's, `[days-]hours:minutes:seconds` or `minutes:seconds`, in minutes; None for `infinite`."""
    days, _, clock = limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")] if re.fullmatch(r"[\d:]+", clock) else []
    if not parts:
        return None
    if days:
        hours, minute = [*parts, 0][:2]
    else:
        hours, minute = (parts[0], parts[1]) if len(parts) == 3 else (0, parts[0])
    return (int(days or 0) * 24 + hours) * 60 + minute


def _number(text: str) -> int:
    digits = re.match(r"\d+", text)
    return int(digits[0]) if digits else 0
