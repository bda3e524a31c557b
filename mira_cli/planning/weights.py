"""Where each model's weights are, and what is in those that a user brings: settled before the first job."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mira_cli import paths
from mira_cli.catalogue.own_weights import is_spec
from mira_cli.catalogue.rows import FILE
from mira_cli.console import warn
from mira_cli.errors import UsageError
from mira_cli.files import content_sha256, read_json, write_json
from mira_cli.images import run_in_image
from mira_cli.own_files.trusted import is_vouched_for, vouch
from mira_cli.scratch import scratch_folder
from mira_cli.weights import store
from mira_cli.weights.units import units
from mira_cli.wording import last_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from mira_cli.catalogue.rows import Catalogue
    from mira_cli.images.prepare import ReadyImage
    from mira_cli.planning.resolve import ResolvedModel
    from mira_cli.weights.units import Unit


@dataclass(frozen=True)
class Weights:
    """A file or folder that a job is given; `sha256` as `files.content_sha256` defines it."""

    path: Path
    sha256: str


def refuse_strangers(models: Iterable[ResolvedModel], catalogue: Catalogue, *, trusted: bool) -> None:
    """Refuse a user's own weights whose loading can run code, unless the user vouches for them.

    Raises
    ------
    UsageError
        There are such weights.
    """
    for model in models:
        own = model.row.checkpoint.path and model.row.family != FILE  # those of files: `refuse_files`
        if own and catalogue.families[model.row.family].runs_code and not trusted:
            title = catalogue.families[model.row.family].title
            raise UsageError(
                f"loading `{model.row.checkpoint.path}` can run code that is in it: {title} checkpoints are programs",
                hint="if you trust where it comes from, add `--trust-checkpoint`",
            )


def refuse_files(
    models: Iterable[ResolvedModel], found: Mapping[str, Weights], *, trusted: bool | Collection[str]
) -> None:
    """Refuse families in files that the user has not vouched for, by their content; a word for them is noted.

    Raises
    ------
    UsageError
        There are such files.
    """
    for model in models:
        if model.row.of_file is None:
            continue
        sha256, file = found[model.name].sha256, model.row.of_file.origin
        if trusted is True:
            vouch(sha256, file)
        elif sha256 not in (trusted or ()) and not is_vouched_for(sha256):
            what = "has changed since it was trusted, and" if trusted else "is a program:"
            raise UsageError(
                f"`{file}` {what} computing with it runs its code, and that of the packages in its lock",
                hint="if you trust both, add `--trust-file`; it is asked once, until file, lock or weights change",
            )


def own_weights(
    models: Iterable[ResolvedModel],
    catalogue: Catalogue,
    *,
    trusted: bool | Collection[str],
    trusted_files: bool | Collection[str] = False,
    only_look: bool = False,
) -> dict[str, Weights]:
    """Weights that a user names by path, by model; trust in those whose loading can run code is in their content.

    Parameters
    ----------
    trusted
        Whether the user vouches for whatever is there now, or the sha256 of what they vouched for.
    trusted_files
        The same of families in files.
    only_look
        Nothing will be loaded: say what the user would be asked to vouch for, and go on.

    Raises
    ------
    UsageError
        There are such weights that the user does not vouch for.
    """
    own = [model for model in models if model.row.checkpoint.path]
    found = {model.name: located for model in own if (located := locate_weights(model))}
    try:
        _refuse_untrusted(own, found, catalogue, trusted, trusted_files)
    except UsageError as error:
        if not only_look:
            raise
        warn(error.message, hint=error.hint)
    return found


def _refuse_untrusted(
    own: Sequence[ResolvedModel],
    found: Mapping[str, Weights],
    catalogue: Catalogue,
    trusted: bool | Collection[str],
    trusted_files: bool | Collection[str],
) -> None:
    refuse_strangers(own, catalogue, trusted=bool(trusted))
    known = {each.sha256 for each in found.values()} if isinstance(trusted, bool) else set(trusted)
    refuse_files(own, found, trusted=trusted_files)
    for model in own:
        if model.row.family == FILE:
            continue
        if catalogue.families[model.row.family].runs_code and found[model.name].sha256 not in known:
            raise UsageError(
                f"`{model.row.checkpoint.path}` has changed since it was trusted, and loading it can run code that is "
                "in it",
                hint="if you trust what is there now, add `--trust-checkpoint`",
            )


def locate_weights(model: ResolvedModel) -> Weights | None:
    """Weights of a model; None where they are in the family's package, or have not been fetched."""
    checkpoint = model.row.checkpoint
    if checkpoint.path:
        path = Path(checkpoint.path)
        return Weights(path, content_sha256(path))
    if checkpoint.fetch and (stored := store.find_stored(model.row.family, checkpoint.fetch)):
        return Weights(stored.path, stored.sha256)
    return None


def probe_weights(model: ResolvedModel, weights: Weights, image: ReadyImage) -> dict[str, Any]:
    """Load weights once, on the CPU, and return what they say about themselves; remembered by content.

    Raises
    ------
    UsageError
        They cannot be loaded as asked for: a head is missing (the message lists those that there are), they are
        damaged, or another family's.
    """
    known = paths.cache_dir() / "probes" / f"{model.key}-{image.recipe}.json"
    if (facts := read_json(known)) is not None:
        return dict(facts)
    with scratch_folder() as scratch:
        asked, answer = scratch / "model.json", scratch / "facts.json"
        asked.write_text(json.dumps(worker_model(model, weights)), encoding="utf-8")
        folders = {scratch: True, weights.path: False}
        done = run_in_image.run_module(image, "probe", [str(asked), str(answer)], folders=folders, timeout_s=900)
        facts = read_json(answer)
    if facts is None:
        why = (
            _why(done.stderr)
            or f"`{weights.path}` cannot be loaded: {last_line(done.stderr) or 'its process died without a word'}"
        )
        raise UsageError(why, hint=_hint(model, why))
    write_json(known, facts)
    return dict(facts)


def worker_model(model: ResolvedModel, weights: Weights | None) -> dict[str, Any]:
    """The `model` part of a job: what the worker needs to load it."""
    row = model.row
    checkpoint = (
        {"path": str(weights.path), "sha256": weights.sha256}
        if weights
        else row.checkpoint.model_dump(exclude_none=True)
    )
    added = row.added_dispersion
    return {
        "name": model.name,
        "family": row.family,
        "checkpoint": checkpoint,
        "options": model.options,
        "dtype": model.dtype,
        "elements": sorted(row.elements) if row.elements else None,
        "stress": row.stress,
        "added_dispersion": None if added is None else added.model_dump(exclude={"functional"}),
    }


def with_facts(model: ResolvedModel, facts: Mapping[str, Any]) -> ResolvedModel:
    """The model with what its own weights say where the row says nothing; its key stays."""
    forces = "conservative" if facts["conservative"] else "direct"
    found = {"elements": frozenset(facts["elements"]) if facts["elements"] else None, "stress": facts["stress"]}
    row = model.row.model_copy(update={"forces": forces} | {k: v for k, v in found.items() if v is not None})
    return replace(model, row=row)


def _why(stderr: str) -> str:
    said = [line.removeprefix("worker: error: ") for line in stderr.splitlines() if line.startswith("worker: error: ")]
    return said[-1] if said else ""


def _hint(model: ResolvedModel, why: str) -> str:
    options = [option for option in model.row.user_options if option in why]
    if options:
        by_path = is_spec(model.name)
        named = f"{model.row.family}:PATH" if by_path else model.name
        return f"add it to the {'path' if by_path else 'name'}, for example `{named}?{options[0]}=…`"
    return "name the file or folder that the family's own calculator loads"


def wanted_units(models: Iterable[ResolvedModel], catalogue: Catalogue) -> list[Unit]:
    """Return what must be fetched for these models, each download once."""
    return units({model.name: model.row for model in models}, catalogue)
