"""`docs/reference/settings.md`: settings of a run, of its tasks and of its jobs, from the models that check them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from docs.generate.tables import code, page, table
from mira_cli import tasks
from mira_cli.config import RunConfig
from mira_cli.resources import FORMS, Resources

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
KINDS = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "`true`, `false`",
    "object": "mapping",
}
ABOUT = (
    "All of these stand in `run.yaml` (`mira init` writes one) and behind `--set`, as in `--set device=cpu`; many have "
    "an option of `mira run` too ([commands.md](commands.md#mira-run)). An unknown name or a wrong value "
    "is refused before anything starts."
)
OF_TASKS = "`--task NAME` chooses one, `--set task.SETTING=VALUE` sets what is below it; `mira tasks` lists them too."
OF_JOBS = (
    "What jobs ask for, in `resources:` of `run.yaml`, behind `--set resources.WHOSE.NAME=VALUE`, and in "
    "`resources.yaml` of a profile ([cluster.md](cluster.md)). WHOSE is `all`, `gpu`, `cpu`, `driver` (the job of "
    "`mira submit`) or one of the run's models."
)


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Name, values, default and meaning of each setting."""
    for name, told in model.model_json_schema()["properties"].items():
        default = told.get("default")
        written = "" if default is None else default if isinstance(default, str) else json.dumps(default)
        needed = "needed" if model.model_fields[name].is_required() else code(written)
        values = FORMS.get(name, "") or words(told)
        yield f"{prefix}{name}", values, needed, told.get("description", "")


def words(schema: dict[str, Any]) -> str:
    """Which values a part of a JSON schema allows."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(words(one) for one in schema["anyOf"] if one.get("type") != "null"))
    if "enum" in schema:
        return ", ".join(map(code, schema["enum"]))
    if schema.get("type") == "array":
        items = words(schema.get("items", {}))
        return f"list of {items}" if items != "text" else "list"
    kind = KINDS[schema.get("type", "object")]
    return ", ".join([kind, *(f"{sign} {schema[limit]}" for limit, sign in LIMITS.items() if limit in schema)])


def settings_page() -> str:
    """The whole page."""
    parts = [ABOUT, _table(RunConfig), "## Tasks", OF_TASKS]
    for name in tasks.names():
        own = tasks.find_task(name).settings
        parts += [f"### {name}", tasks.summary_of(name)]
        parts.append(_table(own, "task.") if own.model_fields else "It has no settings.")
    return page("Settings", *parts, "## Resources", OF_JOBS, _table(Resources))


def _table(model: type[BaseModel], prefix: str = "") -> str:
    rows = ((code(name), *told) for name, *told in settings_of(model, prefix))
    return table(["setting", "values", "default", "meaning"], rows)
