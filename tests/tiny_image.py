"""Images of one tiny package each, so that tests can run the real builders in seconds and without an index."""

import base64
import hashlib
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import yaml

from mira_cli import paths
from mira_cli.images import recipe

CONTAINERS = Path(__file__).resolve().parents[1] / "containers"
COST = {"minutes": 0.1, "gigabytes": 0.2, "free_gigabytes": 0.5}
SMOKE = "import tiny; print(tiny.ANSWER)\n"
LICENCE = {"name": "Strict Licence", "url": "https://licence.example", "summary": "for friends only"}


def make(folder: Path, *, python: str | None = None, smoke: str = SMOKE) -> Path:
    """Lay out a project folder whose `containers/` hold one image, `tiny`; returns that folder."""
    top = folder / "assets" / "containers"
    top.mkdir(parents=True)
    for name in ("base.def", "image.def", "build.lock", "describe.py"):
        shutil.copy(CONTAINERS / name, top)
    version = python or f"{sys.version_info[0]}.{sys.version_info[1]}"
    (top / "images.yaml").write_text(yaml.safe_dump({"python": version, "base": {"cost": COST}, "images": []}))
    add(folder, "tiny", smoke=smoke)
    return folder / "assets"


def add(folder: Path, name: str, *, package: str = "tiny", smoke: str = SMOKE, **row: Any) -> None:
    """Add an image of one package: `tiny`, or a `torch` that is there for CUDA 12.6 too, in `older_wheels`."""
    own = folder / "assets" / "containers" / name
    own.mkdir()
    (own / "requirements.in").write_text(f"{package}==1.0\n")
    (own / "smoke.py").write_text(smoke)
    if package == "torch":
        locked = _torch(wheels(folder), "1.0", "13.0")
        _torch(older_wheels(folder), "1.0+cu126", "12.6")
    else:
        locked = [wheel(wheels(folder), "tiny", "1.0", {"tiny.py": "ANSWER = 42\n"})]
    (own / "requirements.lock").write_text("".join(locked))
    settings = own.parent / "images.yaml"
    content = yaml.safe_load(settings.read_text())
    given = {"name": name, "description": "one package", "families": [name], "smoke": "smoke.py"}
    content["images"].append({**given, "cost": {"venv": COST, "apptainer": COST}, **row})
    settings.write_text(yaml.safe_dump(content))
    recipe.load.cache_clear()


def wheels(folder: Path) -> Path:
    """Folder of the packages' wheels."""
    return folder / "wheels"


def older_wheels(folder: Path) -> Path:
    """Folder of the torch for CUDA 12.6."""
    return folder / "wheels-cu126"


def environment(folder: Path) -> dict[str, str]:
    """Settings with which a build needs no index."""
    return {"MIRA_CACHE": str(folder / "cache"), "UV_OFFLINE": "1", "UV_FIND_LINKS": str(wheels(folder))}


def _torch(folder: Path, version: str, cuda: str) -> list[str]:
    """Make wheels of a torch and of its CUDA; returns their lines in a lock."""
    content = {"torch/__init__.py": "", "torch/version.py": f"cuda = {cuda!r}\n"}
    runtime = wheel(folder, "nvidia_cuda_runtime", cuda, {"nvidia_cuda_runtime.py": ""})
    return [runtime, wheel(folder, "torch", version, content, requires=f"nvidia-cuda-runtime=={cuda}")]


def wheel(folder: Path, name: str, version: str, content: dict[str, str], *, requires: str = "") -> str:
    """Make a wheel; returns its line in a lock."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    content = {
        **content,
        f"{info}/METADATA": metadata + (f"Requires-Dist: {requires}\n" if requires else ""),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{path},sha256={_digest(text)},{len(text)}" for path, text in content.items()]
    content[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,"]) + "\n"
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in content.items():
            archive.writestr(zipfile.ZipInfo(path), text)  # without the time: the same wheel, and recipe, every time
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def use(assets: Path) -> None:
    """Let this process see the tiny project in place of the real one."""
    paths.assets = lambda: assets  # type: ignore[assignment]
