"""Whether jobs ran where they were meant to: a GPU that a framework does not see costs hours, not an error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

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
        if any(_attempt(folder / job / "records.jsonl").get("device") == "cpu" for job in model["jobs"]):
            found.append(model["name"])
    return found


def several_devices(run: RunDirectory) -> dict[str, list[str]]:
    """Models of the last plan that jobs computed on different GPUs, or GPUs and CPUs, and their names."""
    found = {}
    for model in (read_json(run.plan) or {"models": []})["models"]:
        folder = run.records(model["slug"], model["key"])
        attempts = [_attempt(folder / job / "records.jsonl") for job in model["jobs"]]
        names = sorted({str(a["device_name"]) for a in attempts if a.get("device_name")})
        if len(names) > 1 and any(a.get("device") != "cpu" for a in attempts):
            found[str(model["name"])] = names
    return found


def _attempt(file: Path) -> dict[str, Any]:
    """A job's first attempt, empty where it has not got so far."""
    try:
        with file.open(encoding="utf-8") as stream:
            found = json.loads(stream.readline())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
