"""An image of one tiny package, so that tests can run the real builders in seconds and without an index."""

import base64
import hashlib
import shutil
import sys
import zipfile
from pathlib import Path

import yaml

from mira_cli import paths

CONTAINERS = Path(__file__).resolve().parents[1] / "containers"


def make(folder: Path, *, python: str | None = None, smoke: str = "import tiny; print(tiny.ANSWER)\n") -> Path:
    """Lay out a project folder whose `containers/` hold one image, `tiny`; returns that folder."""
    top = folder / "assets" / "containers"
    own = top / "tiny"
    own.mkdir(parents=True)
    for name in ("base.def", "image.def", "build.lock", "describe.py"):
        shutil.copy(CONTAINERS / name, top)
    digest = _wheel(wheels(folder))
    (own / "requirements.in").write_text("tiny==1.0\n")
    (own / "requirements.lock").write_text(f"tiny==1.0 \\\n    --hash=sha256:{digest}\n")
    (own / "smoke.py").write_text(smoke)
    cost = {"minutes": 0.1, "gigabytes": 0.2, "free_gigabytes": 0.5}
    row = {"name": "tiny", "description": "one package", "families": ["tiny"], "smoke": "smoke.py"}
    row["cost"] = {"venv": cost, "apptainer": cost}
    version = python or f"{sys.version_info[0]}.{sys.version_info[1]}"
    (top / "images.yaml").write_text(yaml.safe_dump({"python": version, "base": {"cost": cost}, "images": [row]}))
    return folder / "assets"


def wheels(folder: Path) -> Path:
    """Folder of the package's wheel."""
    return folder / "wheels"


def environment(folder: Path) -> dict[str, str]:
    """Settings with which a build needs no index."""
    return {"MIRA_CACHE": str(folder / "cache"), "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(wheels(folder))}


def _wheel(folder: Path) -> str:
    folder.mkdir(parents=True)
    content = {
        "tiny.py": "ANSWER = 42\n",
        "tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "tiny-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{name},sha256={_digest(text)},{len(text)}" for name, text in content.items()]
    content["tiny-1.0.dist-info/RECORD"] = "\n".join([*lines, "tiny-1.0.dist-info/RECORD,,"]) + "\n"
    wheel = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in content.items():
            archive.writestr(zipfile.ZipInfo(name), text)  # without the time: the same wheel, and recipe, every time
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def use(assets: Path) -> None:
    """Let this process see the tiny project in place of the real one."""
    paths.assets = lambda: assets  # type: ignore[assignment]
