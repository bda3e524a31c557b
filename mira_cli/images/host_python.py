"""Find a Python of the version that images are locked for, to make virtual environments with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import uv

from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.wording import last_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# the version as locks mean it (not PyPy, not free-threaded), and whether packages can be compiled for it
_PROBE = """
import json, os, sys, sysconfig
other = sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED")
version = "other" if other else "%d.%d" % sys.version_info[:2]
print(json.dumps([version, os.path.isfile(sysconfig.get_path("include") + "/Python.h")]))
"""


def find_python(version: str, env: Mapping[str, str], *, headers: bool = False) -> Path:
    """Find an interpreter of a version like `3.13`; the last resort is that uv downloads one.

    Parameters
    ----------
    headers
        Whether packages will be compiled: an interpreter without `Python.h` will not do then.

    Raises
    ------
    EnvironmentNotReadyError
        There is none, and none can be downloaded.
    """
    for candidate in candidates(version, os.environ):
        if (found := _probe(candidate)) and found[0] == version and (found[1] or not headers):
            return candidate
    if managed := _managed(version, env):
        return managed
    why = _install(version, env)
    if managed := _managed(version, env):
        return managed
    wanted = f"Python {version}{' with its headers' if headers else ''}"
    raise EnvironmentNotReadyError(
        f"no {wanted} on this machine, and none can be downloaded: {why}",
        hint=f"install Python {version}{' and its development files' if headers else ''}, or use `--runtime apptainer`",
    )


def candidates(version: str, host: Mapping[str, str]) -> Iterator[Path]:
    """Places where a Python of this version may be: our own, pyenv's, those on PATH."""
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        yield Path(sys.base_prefix) / "bin" / f"python{version}"
    pyenv = Path(host.get("PYENV_ROOT") or Path.home() / ".pyenv")
    with suppress(OSError):  # another user's, after `su` or in a module
        yield from sorted(pyenv.glob(f"versions/{version}*/bin/python{version}"), reverse=True)
    for folder in host.get("PATH", "").split(os.pathsep):
        # a pyenv shim starts whatever `.python-version` says in the current folder, or fails with exit code 127
        if folder and not folder.rstrip("/").endswith("shims"):
            path = Path(folder) / f"python{version}"
            if path.is_file() and os.access(path, os.X_OK):
                yield path


def _probe(python: Path) -> tuple[str, bool] | None:
    """Version of an interpreter, and whether it has its headers; None if it does not run."""
    try:
        done = subprocess.run([python, "-I", "-c", _PROBE], capture_output=True, text=True, timeout=60, check=True)
        version, headers = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return version, headers


def _managed(version: str, env: Mapping[str, str]) -> Path | None:
    command = [uv.find_uv_bin(), "python", "find", "--managed-python", "--no-python-downloads", version]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd="/", check=False)
    return Path(done.stdout.strip()) if done.returncode == 0 and done.stdout.strip() else None


def _install(version: str, env: Mapping[str, str]) -> str:
    """Have uv download it; returns uv's last words."""
    command = [uv.find_uv_bin(), "python", "install", "--no-bin", version]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd="/", check=False)
    return last_line(done.stderr).removeprefix("cause: ") or f"exit code {done.returncode}"
