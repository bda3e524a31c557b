"""Run one of the worker's modules inside an image, outside of a run: to probe a checkpoint, to check, to fetch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

from mira_cli import paths
from mira_cli.images import apptainer, lifeline
from mira_cli.python_path import SAFE
from mira_cli.site_variables import for_jobs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mira_cli.images.prepare import ReadyImage

WORKER_IN_IMAGE = "/mira/workflow"
# a library of this machine, which stands on its C library and not on the image's; Apptainer itself may have it
NO_PRELOAD = ("--env", "LD_PRELOAD=")
# tokens are for the one process that downloads (`environment(token=…)`), never for anything that computes
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HUGGINGFACE_TOKEN", "HUGGINGFACEHUB_API_TOKEN")


def mount(source: Path | str, target: Path | str, *, writable: bool = False) -> list[str]:
    """Options that bind a place; in this form, unlike `--bind`, paths may hold commas and colons."""
    here, there = (str(place).replace('"', '""') for place in (source, target))
    return ["--mount", f'type=bind,"source={here}","destination={there}"' + ("" if writable else ",ro")]


def command(
    image: ReadyImage | None, module: str, arguments: Sequence[str], *, folders: Mapping[Path, bool], network: bool
) -> list[str]:
    """Argument list that runs `python -m worker.<module>` in an image; without one, in this Python.

    Parameters
    ----------
    folders
        Folders that it sees besides its own code, and whether it may write there. In Apptainer nothing else of this
        machine is visible; an environment sees everything. The first is its current folder (see `run_module`).
    network
        Whether it has the network. Without, an image has none; an environment's module leaves it by itself.
    """
    own = ["-P", "-m", f"worker.{module}", *arguments]
    if image is None or image.sif is None:
        return [image.python if image else sys.executable, *own]
    options = ["--nv", "--no-home", *NO_PRELOAD, *mount(paths.assets() / "workflow", WORKER_IN_IMAGE)]
    for folder, writable in folders.items():
        options += mount(folder, folder, writable=writable)
    if folders:
        options += ["--pwd", str(next(iter(folders)))]
    if not network:
        options += ["--net", "--network", "none"]
    inside = ["env", f"PYTHONPATH={WORKER_IN_IMAGE}", "PYTHONDONTWRITEBYTECODE=1", image.python]
    return [apptainer.program() or "apptainer", "--silent", "exec", *options, str(image.sif), *inside, *own]


def image_environment(image: ReadyImage | None, *, token: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment variables for `command`; `token` holds the only secrets that pass."""
    base = apptainer.apptainer_environment() if image and image.sif else for_jobs(os.environ)
    kept = {name: value for name, value in base.items() if name not in TOKENS} | SAFE
    if image is None or image.sif is None:
        kept["PYTHONPATH"] = str(paths.assets() / "workflow")
        kept["PYTHONDONTWRITEBYTECODE"] = "1"
    return kept | dict(token or {})


def run_module(
    image: ReadyImage | None,
    module: str,
    arguments: Sequence[str],
    *,
    folders: Mapping[Path, bool],
    network: bool = False,
    timeout_s: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `python -m worker.<module>` to its end, and keep what it said.

    What it has started ends with it, and both end with this process, however that ends.

    Parameters
    ----------
    folders
        See `command`; the first is the current folder.

    Raises
    ------
    subprocess.TimeoutExpired
        It took longer than `timeout_s`.
    """
    words = command(image, module, arguments, folders=folders, network=network)
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as said:  # a pipe would end with the last of a
        process = subprocess.Popen(  # user's processes that hold it
            [sys.executable, "-I", "-S", lifeline.__file__, *words],
            env=image_environment(image), cwd=next(iter(folders), None), stdin=subprocess.PIPE,
            stdout=output, stderr=said, start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(timeout_s)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(2 * lifeline.PATIENCE_S)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        texts = []
        for stream in (output, said):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    return subprocess.CompletedProcess(words, code, *texts)
