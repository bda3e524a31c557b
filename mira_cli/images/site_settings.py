"""What a site's own settings mean for a build: package indexes, certificates, proxies, local folders of packages."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import uv

if TYPE_CHECKING:
    from collections.abc import Mapping

# What pip is told at a site, and how uv, which reads none of it, is told the same.
# PIP_FIND_LINKS is left out on purpose: a wheelhouse for other work may hold `torch 2.13.0+cpu`, which `torch==2.13.0`
# matches, and an image must not lose its GPU by that. Who has a wheelhouse for MIRA says so with UV_FIND_LINKS.
_TWINS = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_CERT": "SSL_CERT_FILE",
    "PIP_DEFAULT_TIMEOUT": "UV_HTTP_TIMEOUT",
    "PIP_TRUSTED_HOST": "UV_INSECURE_HOST",
}
# uv's older names for the same settings
_OLDER = {"UV_DEFAULT_INDEX": "UV_INDEX_URL", "UV_INDEX": "UV_EXTRA_INDEX_URL"}
_PASSED = (
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_INDEX_STRATEGY",
    "UV_FIND_LINKS",
    "UV_OFFLINE",
    "UV_HTTP_TIMEOUT",
    "UV_HTTP_RETRIES",
    "UV_INSECURE_HOST",
    "UV_KEYRING_PROVIDER",
    "UV_NATIVE_TLS",
    "UV_SYSTEM_CERTS",
    "UV_CONCURRENT_DOWNLOADS",
    "UV_CONCURRENT_INSTALLS",
    "UV_PYTHON_INSTALL_MIRROR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    *(name for proxy in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for name in (proxy, proxy.upper())),
)
# settings of uv on this machine; the driver's version is for who resolves `--torch-backend auto` elsewhere than it runs
_OURS = ("UV_CACHE_DIR", "UV_PYTHON_INSTALL_DIR", "UV_LINK_MODE", "UV_CUDA_DRIVER_VERSION")
# settings that hold places, which may be folders of this machine
_PLACES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")

IMAGE_CA = "/etc/ssl/certs/ca-certificates.crt"
IMAGE_FOLDERS = tuple(f"/mira/site/{i}" for i in range(4))


@dataclass(frozen=True)
class BuildSite:
    """Environment variables for a build, and what is bound into it (path here, path there)."""

    env: dict[str, str]
    binds: dict[str, str] = field(default_factory=dict)


def for_venv(host: Mapping[str, str]) -> BuildSite:
    """Return what uv is told when it builds a virtual environment on this machine."""
    env = {name: host[name] for name in _PASSED if host.get(name)}
    env |= {name: value for name, value in host.items() if name.startswith("UV_INDEX_") and value}  # credentials
    for pip, twin in _TWINS.items():
        if host.get(pip) and not env.get(twin) and not env.get(_OLDER.get(twin, "")):
            env[twin] = host[pip]
            if twin == "UV_INDEX":
                # as pip does it: any index may serve any package; which file is right, the lock's hashes say
                env.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return BuildSite(env)


def uv_environment(torch_backend: str | None = None) -> dict[str, str]:
    """Environment for uv on this machine: what a site sets, and nothing that would change what is installed."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("UV_", "PIP_", "PYTHON", "VIRTUAL_ENV", "CONDA_"))}
    kept |= {k: os.environ[k] for k in _OURS if k in os.environ}
    return kept | for_venv(os.environ).env | _backend(torch_backend) | {"UV_NO_PROGRESS": "1"}


def uv_cache() -> str:
    """Folder of uv's cache on this machine."""
    command = [uv.find_uv_bin(), "cache", "dir"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _backend(name: str | None) -> dict[str, str]:
    return {"UV_TORCH_BACKEND": name} if name else {}


def for_apptainer(host: Mapping[str, str], torch_backend: str | None = None) -> BuildSite:
    """Return what uv is told when it builds inside an image, where paths of this machine mean nothing."""
    env = for_venv(host).env | _backend(torch_backend)
    env.pop("SSL_CERT_DIR", None)
    binds: dict[str, str] = {}
    if certificate := env.get("SSL_CERT_FILE"):
        binds[certificate] = IMAGE_CA
        env["SSL_CERT_FILE"] = IMAGE_CA
    for name in _PLACES:
        if name in env:
            env[name] = _rebase(env[name], binds)
    return BuildSite(env, binds)


def _rebase(setting: str, binds: dict[str, str]) -> str:
    """Replace folders of this machine in a list of places by their mount points, and note the binds."""
    separator = "," if "," in setting else " "
    return separator.join(_rebase_one(place, binds) for place in setting.split(separator) if place)


def _rebase_one(place: str, binds: dict[str, str]) -> str:
    label, equals, bare = place.partition("=")  # an index may be given as name=url
    if not (equals and label.replace("-", "").replace("_", "").isalnum()):
        label, equals, bare = "", "", place
    folder = Path(unquote(urlsplit(bare).path)) if bare.startswith("file://") else Path(bare)
    if not (folder.is_absolute() and folder.is_dir()):
        return place
    free = [mount for mount in IMAGE_FOLDERS if mount not in binds.values()]
    if str(folder) not in binds and free:
        binds[str(folder)] = free[0]
    target = binds.get(str(folder))
    if target is None:
        return place
    return f"{label}{equals}{f'file://{target}' if bare.startswith('file://') else target}"
