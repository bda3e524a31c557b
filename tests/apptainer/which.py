"""Which images are tested as SIFs: building all takes longer than all tests, and their environments are tested too."""

import os

from mira_cli.images import prepare, recipe

VARIABLE = "MIRA_TEST_ALL_IMAGES"
ONLY_WHERE_BUILT = ("dpa", "nequip-upet")
NOT_TESTED = f"not built as a SIF here: {VARIABLE}=1 builds it"


def is_tested(image: recipe.Image) -> bool:
    """Whether a SIF is there, or worth its minutes."""
    return image.name not in ONLY_WHERE_BUILT or VARIABLE in os.environ or prepare.is_built(image, "apptainer")
