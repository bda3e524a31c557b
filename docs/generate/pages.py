"""The pages of `docs/reference/` that are made from the code."""

from __future__ import annotations

from pathlib import Path

from docs.generate.catalogue import catalogue_page
from docs.generate.columns import columns_page
from docs.generate.commands import commands_page
from docs.generate.settings import settings_page
from docs.generate.states import exit_codes_page, statuses_page

REFERENCE = Path(__file__).resolve().parents[1] / "reference"


def pages() -> dict[str, str]:
    """Each page by the name of its file."""
    return {
        "commands.md": commands_page(),
        "settings.md": settings_page(),
        "columns.md": columns_page(),
        "statuses.md": statuses_page(),
        "exit-codes.md": exit_codes_page(),
        "catalogue.md": catalogue_page(),
    }
