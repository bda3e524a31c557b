"""Environments of families, and what runs inside them."""

import json
import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

from mira_cli.catalogue.lookup import built_in

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        if Path(item.path).parent == HERE:
            item.add_marker(pytest.mark.families)


@cache
def python_of(image: str) -> str:
    """The interpreter of an image's environment; builds it where it is missing."""
    from mira_cli.images.prepare import prepare

    return prepare([image], "venv")[image].python


def run_inside(image: str, script: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the scripts beside this file with an image's interpreter; fails with what it said."""
    done = subprocess.run(
        [python_of(image), str(HERE / script), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done


@pytest.fixture(scope="session")
def findings_of(tmp_path_factory):
    """Run everything that is checked about a model, once; return what `inside.py` reports."""

    @cache
    def find(name: str) -> dict:
        row = built_in().models[name]
        family = built_in().families[row.family]
        folder = tmp_path_factory.mktemp(row.family)
        model = {
            "name": name,
            "family": row.family,
            "checkpoint": row.checkpoint.model_dump(exclude_none=True),
            "options": row.options,
            "dtype": family.dtypes[0],
            "elements": sorted(row.elements),
            "stress": row.stress,
        }
        (folder / "model.json").write_text(json.dumps(model))
        run_inside(family.image, "inside.py", folder, "model.json", "findings.json")
        return {**json.loads((folder / "findings.json").read_text()), "folder": folder}

    return find
