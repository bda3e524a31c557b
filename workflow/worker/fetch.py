"""`python -m worker.fetch SPEC.json`: download a family's weights with the family's own code.

SPEC.json names `family`, `name`, `folder` (empty; what arrives ends there), `home` (a folder for whatever else
the packages write) and `result` (a file: what to load, versions, hosts). It ends when its standard input does,
if that is a pipe.
Exit codes: 0 done · 1 failed · 66 there are no such weights · 69 no network · 74 the disk is full · 77 not permitted
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import socket
import stat
import sys
import threading
import time
import traceback
import urllib.request
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from worker import families, isolation
from worker.atomic import write_json
from worker.errors import WorkerError, disk_full, guarded, is_disk_full, leave, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EXIT_NOT_FOUND = 66  # EX_NOINPUT
EXIT_NO_NETWORK = 69  # EX_UNAVAILABLE
EXIT_NOT_PERMITTED = 77  # EX_NOPERM

CONNECT_S = 5.0
SILENCE_S = 60.0
# they would send a download to a user's own folders, or forbid it
_DROPPED = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_XET_CACHE", "HF_ASSETS_CACHE", "TORCH_HOME", "GRACE_CACHE")
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks5": 1080, "socks5h": 1080}

# by the names of classes, as every family brings another set of libraries
_NOT_PERMITTED = {"GatedRepoError"}
_NOT_FOUND = {"RepositoryNotFoundError", "EntryNotFoundError", "RemoteEntryNotFoundError", "RevisionNotFoundError"}
_BROKEN = {
    "ConnectionError",
    "ContentTooShortError",
    "IncompleteRead",
    "LocalEntryNotFoundError",  # how huggingface_hub words a lost connection; a kind of EntryNotFoundError
    "TimeoutError",
    "TransportError",
    "URLError",
}


def main(spec_file: Path) -> int:
    """Fetch one set of weights and return the exit code."""
    spec = json.loads(spec_file.read_bytes())
    _end_with_parent()
    set_fetch_environment(Path(spec["home"]))
    family, folder = families.find_family(spec["family"]), Path(spec["folder"])
    check_network(family.HOSTS)
    socket.setdefaulttimeout(SILENCE_S)
    try:
        place = family.fetch(spec["name"], folder)
    except WorkerError:
        raise
    except Exception as error:
        traceback.print_exc()
        raise worded(error, spec["name"]) from error
    # Hugging Face's notes, with times: they would give the same weights another hash
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    if not (place.exists() and place.resolve().is_relative_to(folder.resolve())):
        raise WorkerError(f"{spec['name']} is not where it should have arrived, but {place}")
    versions = {name: metadata.version(name) for name in family.DISTRIBUTIONS}
    main_path = place.resolve().relative_to(folder.resolve()).as_posix()
    write_json(
        Path(spec["result"]), {"main": main_path, "versions": versions, "hosts": list(family.HOSTS)}, durable=False
    )
    return 0


def set_fetch_environment(home: Path) -> None:
    """Keep everything that packages write, but the weights, in one folder that vanishes."""
    for name in (*_DROPPED, *_OFFLINE):
        os.environ.pop(name, None)
    switches = {name: value for name, value in isolation.OFFLINE.items() if name not in _OFFLINE}
    quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1", "CUDA_VISIBLE_DEVICES": ""}
    folders = {"HOME": "home", "TMPDIR": "tmp", "HF_HOME": "huggingface", **isolation.CACHES}
    for folder in folders.values():
        (home / folder).mkdir(parents=True, exist_ok=True)
    os.environ.update(switches | quiet | {name: str(home / folder) for name, folder in folders.items()})


def check_network(hosts: Sequence[str]) -> None:
    """Make sure that at least one host answers, before libraries retry for minutes.

    Raises
    ------
    WorkerError
        None does, within seconds.
    """
    doors = list(dict.fromkeys(map(_door, hosts)))
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
    for door in doors:  # in threads, as asking for a name has no time limit
        threading.Thread(target=lambda door=door: answers.put(_opens(*door)), daemon=True).start()
    end = time.monotonic() + CONNECT_S + 1
    for _ in doors:
        with suppress(queue.Empty):
            if answers.get(timeout=max(0.0, end - time.monotonic())):
                return
    if doors:
        names = " or ".join(host if port == 443 else f"{host}:{port}" for host, port in doors)
        raise WorkerError(f"no network: cannot reach {names}", code=EXIT_NO_NETWORK)


def _door(host: str) -> tuple[str, int]:
    """Where to knock for a host: at its mirror, at the proxy, or at itself."""
    if host == "huggingface.co" and (mirror := os.environ.get("HF_ENDPOINT")):
        url = urlsplit(mirror)
    else:
        url = urlsplit(f"https://{host}")
    proxies = urllib.request.getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if proxy and not urllib.request.proxy_bypass(url.netloc):
        url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return url.hostname or host, url.port or _PORTS.get(url.scheme, 443)


def _opens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=CONNECT_S).close()
    except OSError:
        return False
    return True


def worded(error: BaseException, name: str) -> WorkerError:
    """Put what a downloader raised into one sentence and an exit code; what it was caused by counts too."""
    chain = list(_chain(error))
    classes = {kind.__name__ for one in chain for kind in type(one).__mro__}
    statuses = {status for one in chain if (status := _status(one))}
    for one in chain:
        if isinstance(one, OSError) and is_disk_full(one):
            return disk_full(one)
    if classes & _NOT_PERMITTED or statuses & {401, 403}:
        return WorkerError(f"the server does not give {name} to this user", code=EXIT_NOT_PERMITTED)
    if 404 in statuses or (classes & _NOT_FOUND and not classes & _BROKEN):
        return WorkerError(f"the server has no {name} any more", code=EXIT_NOT_FOUND)
    if classes & _BROKEN:
        return WorkerError(f"the download of {name} broke off ({sentence(chain[-1], limit=200)})")
    return WorkerError(f"cannot fetch {name} ({sentence(error, limit=200)})")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> int | None:
    """HTTP status that an exception of urllib, requests or httpx carries."""
    found: Any = getattr(getattr(error, "response", None), "status_code", getattr(error, "code", None))
    return found if isinstance(found, int) else None


def _end_with_parent() -> None:
    """End when standard input does: whoever started us holds the other end, and has died."""
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(1)), daemon=True).start()


if __name__ == "__main__":
    leave(guarded(lambda: main(Path(sys.argv[1]))))
