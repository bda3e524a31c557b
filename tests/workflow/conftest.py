"""Real runs with real Snakemake, on models that need no image."""

from pathlib import Path

import pytest

from tests.runs import METALS, REPOSITORY, Started, faulty, processes_of, records, rows, statuses

__all__ = ["METALS", "REPOSITORY", "Started", "faulty", "processes_of", "records", "rows", "statuses"]


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        if Path(item.path).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.workflow)
