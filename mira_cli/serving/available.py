"""What models of the catalogue a server that names none could load: those whose image and weights are here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mira_cli.images.prepare import is_built
from mira_cli.images.recipe import find_images
from mira_cli.planning.resolve import HOST
from mira_cli.weights.store import find_stored

if TYPE_CHECKING:
    from mira_cli.catalogue.rows import Catalogue
    from mira_cli.images.recipe import Runtime


def what_lacks(catalogue: Catalogue, runtime: Runtime) -> dict[str, str]:
    """What each model that cannot be loaded lacks, a sentence with a command."""
    needed = {catalogue.families[row.family].image for row in catalogue.models.values()} - {HOST}
    missing = {image.name for image in find_images(sorted(needed)) if not is_built(image, runtime)}
    lacking: dict[str, str] = {}
    for name, row in catalogue.models.items():
        image, fetch = catalogue.families[row.family].image, row.checkpoint.fetch
        if image in missing:
            lacking[name] = f"its image is not built: `mira images build {image} --runtime {runtime}`"
        elif fetch is not None and find_stored(row.family, fetch) is None:
            lacking[name] = f"its weights are not here: `mira weights fetch {name}`"
    return lacking
