"""Environments of families, and what runs inside them."""

import json
import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

from mira_cli.catalogue.lookup import built_in
from mira_cli.catalogue.rows import FILE

HERE = Path(__file__).parent
FAMILIES = tuple(name for name, family in built_in().families.items() if family.image not in {"host", FILE})


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        if Path(item.path).parent == HERE:
            item.add_marker(pytest.mark.families)
            item.add_marker(pytest.mark.timeout(1800))  # the first may have to build an environment


@cache
def python_of(image: str) -> str:
    """The interpreter of an image's environment; builds it where it is missing."""
    from mira_cli.images.prepare import prepare_images

    return prepare_images([image], "venv")[image].python


def bundled_models(family: str) -> list[dict]:
    """The `model` part of a job for each row whose weights are in the family's package."""
    rows = {name: row for name, row in built_in().models.items() if row.family == family and row.checkpoint.bundled}
    return [
        {
            "name": name,
            "family": family,
            "checkpoint": row.checkpoint.model_dump(exclude_none=True),
            "options": row.options,
            "dtype": row.dtype or built_in().families[family].dtypes[0],
            "elements": sorted(row.elements),
            "stress": row.stress,
        }
        for name, row in rows.items()
    ]


@pytest.fixture(scope="session")
def findings_of(tmp_path_factory):
    """Run `inside.py` once for a family's tiny checkpoints, or for the models in its package."""

    @cache
    def find(family: str, *, bundled: bool = False) -> dict:
        folder = tmp_path_factory.mktemp(f"{family}-{'bundled' if bundled else 'tiny'}")
        words = [family, "findings.json"]
        if bundled:
            (folder / "models.json").write_text(json.dumps(bundled_models(family)))
            words.append("models.json")
        done = subprocess.run(
            [python_of(built_in().families[family].image), str(HERE / "inside.py"), *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": ""},
            capture_output=True,
            text=True,
            timeout=1500,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads((folder / "findings.json").read_text())

    return find
