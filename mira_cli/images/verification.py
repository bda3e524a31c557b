"""Check a built image as hard as possible: its recipe, its content, and that it computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.files import content_sha256
from mira_cli.images import apptainer, prepare, recipe, venv
from mira_cli.wording import last_line

if TYPE_CHECKING:
    import subprocess

    from mira_cli.images.recipe import Image, Runtime


def verify_image(image: Image, runtime: Runtime) -> dict[str, Any]:
    """Check an image; every way in which it is not as it was built is one sentence in `problems`."""
    found = prepare.record_of(image, runtime)
    facts: dict[str, Any] = {
        "image": image.name,
        "runtime": runtime,
        "path": str(prepare.place(image, runtime)),
        "recipe": recipe.recipe_hash(image),
        "sha256": found.sha256 if found else None,
        "smoke": None,
        "problems": [],
    }
    if found is None:
        facts["problems"] = [f"not built for {runtime}"]
        return facts
    try:
        problems = _sif_problems(image, found.sha256) if runtime == "apptainer" else []
        if not problems:  # a damaged file is not started
            problems = _version_problems(image, runtime)
            done = venv.smoke(image) if runtime == "venv" else apptainer.contained("test", apptainer.sif_path(image))
            problems += _smoke_problems(done)
            facts["smoke"] = last_line(done.stdout)
    except EnvironmentNotReadyError as error:
        problems = [error.message]
    facts["problems"] = problems
    return facts


def _sif_problems(image: Image, sha256: str | None) -> list[str]:
    path = apptainer.sif_path(image)
    return [] if content_sha256(path) == sha256 else [f"the content of {path} has changed since it was built"]


def _version_problems(image: Image, runtime: Runtime) -> list[str]:
    """Packages that are not what the lock says."""
    if runtime == "apptainer":
        present = apptainer.versions_in_sif(apptainer.sif_path(image))
    else:
        present = venv.versions_in_venv(venv.interpreter(image), recipe.recipe_files(image)["describe.py"])
    return compare_versions(recipe.pinned_versions(image), present)


def compare_versions(pinned: dict[str, str], present: dict[str, str]) -> list[str]:
    """Differences between a lock and what is installed, one sentence each."""
    missing = [f"{name} {version} is missing" for name, version in pinned.items() if name not in present]
    other = [
        f"{name} is {present[name]}, not {version}"
        for name, version in pinned.items()
        if name in present and present[name] != version
    ]
    extra = [f"{name} {v} is not in the lock" for name, v in present.items() if name not in {*pinned, "python", "cuda"}]
    return missing + other + extra


def _smoke_problems(done: subprocess.CompletedProcess[str]) -> list[str]:
    if done.returncode == 0:
        return []
    return [f"the smoke test fails (exit code {done.returncode}): {last_line(done.stderr)}"]
