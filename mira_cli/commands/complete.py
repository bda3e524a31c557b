"""Names that shells complete, `mira --install-completion`: those that begin as the word under the cursor does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def complete_model(incomplete: str) -> list[str]:
    """Names of models of the catalogue."""
    from mira_cli.catalogue.lookup import built_in

    return _beginning(incomplete, built_in().models)


def complete_models(incomplete: str) -> list[str]:
    """Names of models, joined by commas."""
    from mira_cli.catalogue.lookup import built_in

    return _joined(incomplete, built_in().models)


def complete_tasks(incomplete: str) -> list[str]:
    """Names of tasks, joined by commas."""
    from mira_cli.tasks import names

    return _joined(incomplete, names())


def complete_profile(incomplete: str) -> list[str]:
    """Names of profiles, those of the user's own too."""
    from mira_cli.engine.profile import profile_folders

    return _beginning(incomplete, profile_folders())


def complete_image(incomplete: str) -> list[str]:
    """Names of images, and `all`."""
    from mira_cli.images.recipe import all_images

    return _beginning(incomplete, ("all", *(image.name for image in all_images())))


def _joined(incomplete: str, names: Iterable[str]) -> list[str]:
    """The last of some names that are joined by commas is completed, by those that are not among the others."""
    before, comma, last = incomplete.rpartition(",")
    return [before + comma + name for name in _beginning(last, names) if name not in before.split(",")]


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
