"""Whether jobs ran where they were meant to: a GPU that a framework does not see costs hours, not an error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mira_cli.files import read_json

if TYPE_CHECKING:
    from pathlib import Path

    from mira_cli.run.directory import RunDirectory


def on_cpu_instead(run: RunDirectory) -> list[str]:
    """Models of the last plan whose jobs asked for a GPU and computed on the CPU."""
    plan = read_json(run.plan) or {"models": []}
    found = []
    for model in plan["models"]:
        resources = model.get("resources") or {}
        if not (resources.get("gpu") or resources.get("gres")):
            continue
        folder = run.records(model["slug"], model["key"])
        if any(_device(folder / job / "records.jsonl") == "cpu" for job in model["jobs"]):
            found.append(model["name"])
    return found


def _device(file: Path) -> str | None:
    """Device of a job's first attempt, None where it has not got so far."""
    try:
        with file.open(encoding="utf-8") as stream:
            device = json.loads(stream.readline()).get("device")
    except (OSError, ValueError):
        return None
    return str(device) if device else None
