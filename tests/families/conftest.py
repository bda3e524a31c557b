"""Environments of families, and what runs inside them."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

from mira_cli.catalogue.lookup import built_in
from mira_cli.catalogue.rows import FILE
from mira_cli.paths import cache_dir
from tests.runs import REPOSITORY

HERE = Path(__file__).parent
HOLE = "<findings>"  # stands for the folder that findings lie in
MOST_KEPT = 100  # a run of the tests keeps two for every family at most
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
    """Run `inside.py` for a family's tiny checkpoints, or for the models in its package, once for all that it reads.

    What it finds takes minutes, and is kept in the cache by the content of all that it comes from.
    """

    @cache
    def find(family: str, *, bundled: bool = False) -> dict:
        python = python_of(built_in().families[family].image)
        models = json.dumps(bundled_models(family)) if bundled else None
        kept = cache_dir() / "testbed" / "findings" / f"{family}-{_identity(python, family, models)}"
        if not kept.is_dir():
            folder = tmp_path_factory.mktemp(f"{family}-{'bundled' if bundled else 'tiny'}")
            _find(python, family, models, folder)
            _keep(folder, kept)
        kept.touch()
        return json.loads((kept / "findings.json").read_text().replace(HOLE, str(kept)))

    return find


def _identity(python: str, family: str, models: str | None) -> str:
    """Hash of what findings come from: environment, processor, worker, what runs it, and what it is given."""
    processor = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    digest = hashlib.sha256(json.dumps([python, processor, family, models]).encode())
    own = [file for file in HERE.glob("*.py") if not file.name.startswith(("test_", "conftest"))]
    others = [HERE / "tiny" / f"{family}.py", REPOSITORY / "tests" / "unit" / "worker" / "jobs.py"]
    for file in sorted([*(REPOSITORY / "workflow").rglob("*.py"), *own, *others]):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(REPOSITORY)} {content}\n".encode())
    return digest.hexdigest()[:16]


def _find(python: str, family: str, models: str | None, folder: Path) -> None:
    words = [family, "findings.json"]
    if models:
        (folder / "models.json").write_text(models)
        words.append("models.json")
    done = subprocess.run(
        [python, str(HERE / "inside.py"), *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stderr[-4000:]


def _keep(folder: Path, kept: Path) -> None:
    """Keep findings and the checkpoints that they are about, whole or not at all; what was last used long ago goes."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):  # another process removes them too
        old = sorted(kept.parent.iterdir(), key=lambda place: place.stat().st_mtime)
        for place in old[:-MOST_KEPT]:
            shutil.rmtree(place, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=".new-", dir=kept.parent))
    (made / "findings.json").write_text((folder / "findings.json").read_text().replace(str(folder), HOLE))
    if (folder / "made").is_dir():
        shutil.copytree(folder / "made", made / "made")
    with suppress(OSError):  # another process was faster
        made.rename(kept)
    shutil.rmtree(made, ignore_errors=True)
