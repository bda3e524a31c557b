"""Where the base image's Debian comes from: a container registry, or a Debian mirror by debootstrap."""

from __future__ import annotations

import shutil
import subprocess
import urllib.error
import urllib.request
from typing import Literal

from mira_cli.errors import EnvironmentNotReadyError

Bootstrap = Literal["auto", "docker", "debootstrap"]

_REGISTRY = "https://registry-1.docker.io/v2/"
_MIRROR = "https://deb.debian.org/debian"


def build_arguments(wanted: Bootstrap, path: str) -> dict[str, str]:
    """Build arguments of `base.def` for a way to bootstrap.

    Parameters
    ----------
    wanted
        `auto` takes docker where the registry answers, else debootstrap where it is installed.
    path
        Search path for programs.

    Raises
    ------
    EnvironmentNotReadyError
        There is no way.
    """
    debootstrap = shutil.which("debootstrap", path=path)
    if wanted == "docker" or (wanted == "auto" and registry_answers()):
        return {"bootstrap": "docker"}
    if debootstrap:
        return {"bootstrap": "debootstrap", "mirror": mirror()}
    if wanted == "debootstrap":
        raise EnvironmentNotReadyError("debootstrap is not installed", hint="`apt-get install debootstrap`")
    raise EnvironmentNotReadyError(
        "no container registry answers, and debootstrap is not installed: there is nothing to build a base image from",
        hint="let this machine reach registry-1.docker.io (https_proxy=…), or `apt-get install debootstrap`",
    )


def registry_answers(url: str = _REGISTRY, timeout: float = 3) -> bool:
    """True if a container registry answers as registries do, within some seconds."""
    try:
        with urllib.request.urlopen(url, timeout=timeout):  # noqa: S310
            return True
    except urllib.error.HTTPError as error:
        return error.code == 401  # it wants a token, as it should; 403 and 5xx are a proxy's
    except (OSError, ValueError):
        return False


def mirror() -> str:
    """Debian mirror: the one that this machine's own apt uses if it runs Debian, else Debian's."""
    command = ["apt-get", "indextargets", "--format", "$(LABEL) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return _MIRROR
    return find_mirror(done.stdout) or _MIRROR


def find_mirror(targets: str) -> str | None:
    """First mirror of Debian's main archive in lines of `label component address`."""
    for line in targets.splitlines():
        label, _, rest = line.partition(" ")
        component, _, address = rest.partition(" ")
        if (label, component) == ("Debian", "main") and address.startswith(("http://", "https://")):
            return address.rstrip("/")
    return None
