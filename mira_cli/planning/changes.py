"""Why records of a model no longer fit: which parts of what their key stands for are others than they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mira_cli.planning.resolve import ResolvedModel

PARTS = {
    "package": "its package",
    "adapter": "MIRA's way to call it",
    "checkpoint": "its weights",
    "weights": "its weights",
    "options": "its options",
    "dtype": "its dtype",
    "added_dispersion": "its dispersion",
}
MOST_LETTERS = 60  # of what is told as it is, which a hash is not


def told_identity(model: ResolvedModel) -> dict[str, Any]:
    """What the key of a model's records stands for."""
    return model.identity | ({"weights": model.weights_sha256} if model.weights_sha256 else {})


def what_changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The parts that differ between two of `told_identity`, in words."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name) and name != "task"]
    said = [_in_words(PARTS.get(name, "its catalogue row"), before.get(name), now.get(name)) for name in names]
    said += _of_task(before.get("task"), now.get("task"))
    return "; ".join(dict.fromkeys(said)) or "what was computed last had other settings"


def _in_words(what: str, before: object, now: object) -> str:
    if isinstance(before, str) and isinstance(now, str) and len(now) < MOST_LETTERS:
        return f"{what} is {now}, was {before}"
    return f"{what} changed"


def _of_task(before: Any, now: Any) -> list[str]:
    if before == now:
        return []
    if not (isinstance(before, dict) and isinstance(now, dict)) or before.get("name") != now.get("name"):
        return ["another task"]
    old, new = before.get("settings", {}), now.get("settings", {})
    others = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    said = [f"`task.{name}` is {new.get(name)}, was {old.get(name)}" for name in others]
    return said or ["the task has a new version"]
