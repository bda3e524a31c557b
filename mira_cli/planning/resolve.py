"""A catalogue row and the user's settings become one fully specified model, with the key of its records."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mira_cli import tasks
from mira_cli.catalogue.options import value_of
from mira_cli.catalogue.rows import slug
from mira_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mira_cli.catalogue.rows import Catalogue, Model
    from mira_cli.config import RunConfig


DFTD3 = "dftd3"
HOST = "host"  # the image of what runs in this Python


@dataclass(frozen=True)
class ResolvedModel:
    """A model as the worker gets it."""

    name: str
    slug: str
    row: Model
    image: str
    package: str  # name==version
    options: dict[str, Any]
    dtype: str
    identity: dict[str, Any]  # what its numbers depend on, as far as a name and settings say it
    weights_sha256: str | None = None  # of weights that are not in the family's package, once they are here

    @property
    def knows_gpus(self) -> bool:
        """Whether it can compute on a GPU at all."""
        return self.row.of_file.knows_gpus if self.row.of_file else self.image != HOST

    @property
    def key(self) -> str:
        """Key of its records: changes whenever its numbers may."""
        return self._key_of(self.identity)

    @property
    def begins_with_key(self) -> str | None:
        """Key of the records of what the run's task begins with, None if it begins with nothing."""
        task = self.identity["task"]
        if not isinstance(task, dict) or "begins_with" not in task:
            return None
        return self.key_for(task["begins_with"])

    def key_for(self, task: Mapping[str, Any]) -> str:
        """Key of its records of another task than the run's, as `tasks.asked` returns it."""
        return self._key_of(self.identity | {"task": tasks.identity(task)})

    def _key_of(self, identity: dict[str, Any]) -> str:
        return short_hash(identity | ({"weights": self.weights_sha256} if self.weights_sha256 else {}))


def resolve_models(
    rows: Mapping[str, Model], catalogue: Catalogue, config: RunConfig, versions: Mapping[str, Mapping[str, str]]
) -> list[ResolvedModel]:
    """Lay the user's settings over the rows.

    Parameters
    ----------
    versions
        image -> distribution -> version, from the images' locks.

    Raises
    ------
    UsageError
        A setting that a model does not have, or two models whose column names would be equal.
    """
    strangers = set(config.options) - set(rows)
    if strangers:
        raise UsageError(
            f"`options` names `{min(strangers)}`, which is not among the run's models",
            hint=f"models: {', '.join(rows)}",
        )
    slugs = _slugs(rows)
    return [_resolve(name, row, catalogue, config, versions, slugs[name]) for name, row in rows.items()]


def _slugs(names: Collection[str]) -> dict[str, str]:
    """Column name of each model; those that differ by signs in an option alone, as `m=a-b` and `m=a.b`, get a hash.

    Raises
    ------
    UsageError
        Two would have one.
    """
    slugs: dict[str, str] = {}
    shared = Counter(slug(name) for name in names)
    for name in names:
        own = slug(name)
        if shared[own] > 1 and "?" in name:
            own = f"{own}_{short_hash(name)[:6]}"
        if other := next((other for other, known in slugs.items() if known == own), None):
            raise UsageError(f"`{other}` and `{name}` would share the column name `{own}`", hint="rename one")
        slugs[name] = own
    return slugs


def _resolve(
    name: str,
    row: Model,
    catalogue: Catalogue,
    config: RunConfig,
    versions: Mapping[str, Mapping[str, str]],
    own_slug: str,
) -> ResolvedModel:
    family = catalogue.families[row.family]
    wanted = config.options.get(name, {})
    unknown = set(wanted) - set(row.user_options)
    if unknown:
        allowed = ", ".join(f"`{o}`" for o in row.user_options) or "none"
        hint = f"options of this model: {allowed}"
        if row.of_file:  # what they mean for its level of theory is settled where it is named
            hint = f"options of a family in a file follow its name: `file:PATH?{min(unknown)}=…`"
        raise UsageError(f"`{name}` has no option `{min(unknown)}`", hint=hint)
    for option, value in wanted.items():
        if isinstance(like := row.options.get(option), int | float):  # of words, the family alone knows which there are
            value_of(name, option, str(value), like)
    dtypes, image = catalogue.dtypes_of(row), catalogue.image_of(row)
    dtype = (row.dtype or dtypes[0]) if config.dtype == "default" else config.dtype
    if dtype not in dtypes:
        raise UsageError(
            f"`{name}` does not run in {dtype}",
            hint=f"leave `dtype` at its default, or choose {' or '.join(dtypes)}",
        )
    package = row.of_file.package if row.of_file else f"{family.package}=={versions[image][family.package]}"
    options = {**row.options, **wanted}
    identity = {
        "family": row.family,
        "adapter": family.adapter,
        "package": package,
        # not where a user keeps the weights, but what is in them
        "checkpoint": row.checkpoint.model_dump(exclude_none=True, exclude={"path"}),
        "options": options,
        "dtype": dtype,
        "elements": sorted(row.elements) if row.elements else None,
        "stress": row.stress,
        "task": tasks.identity(config.asked_task),
    }
    if row.added_dispersion is not None:
        identity["added_dispersion"] = row.added_dispersion.model_dump() | {"package": _dftd3(versions[image])}
    return ResolvedModel(name, own_slug, row, image, package, options, dtype, identity)


def _dftd3(pins: Mapping[str, str]) -> str:
    """Name and version of what adds dispersion."""
    return f"{DFTD3}=={pins[DFTD3]}" if DFTD3 in pins else DFTD3


def short_hash(data: object) -> str:
    """16 hex digits that stand for a JSON-like value."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
