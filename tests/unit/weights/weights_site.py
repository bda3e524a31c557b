"""A site for tests of `mira weights`: a fake family in a copied worker, its models, and a server on this machine."""

import http.server
import io
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import yaml

REPOSITORY = Path(__file__).resolve().parents[3]
GOOD = b"weights that are good\n" * 1000
TOKEN = "hf_" + "Zq7" * 11  # looks like one, and is none

FAMILY = '''
"""A family that downloads from a server of the tests."""

import os
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path

from worker.errors import WorkerError

DISTRIBUTIONS = ("ase",)
IMPORTS = ()
FRAMEWORK = None
DTYPES = ("float64",)
HOSTS = tuple(os.environ["FAKE_HOSTS"].split(","))


def load(model, device, dtype):
    if not model.checkpoint.path.read_bytes().startswith(b"weights"):
        raise WorkerError(f"{model.name}: not weights of the fake family")
    return Fake()


class Fake:
    cutoff_ang, elements, takes_charge, dtype, gives_stress, conservative = 1.0, None, False, "float64", True, True
    checkpoint_sha256 = None


def fetch(name, folder):
    print("fetching", name, "pid", os.getpid(), flush=True)
    for variable in ("HOME", "XDG_CACHE_HOME", "TMPDIR"):  # what packages write on the way
        Path(os.environ[variable], "rubbish").write_text("x")
    if name == "leak":
        token = os.environ["HF_TOKEN"]
        print("my token is", token, file=sys.stderr)
        raise RuntimeError(f"cannot use {token}, https://user:secret@proxy/ or https://host/x?X-Signature=secret")
    request = urllib.request.Request(f"http://{HOSTS[0]}/{name}")
    if token := os.environ.get("HF_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request) as answer, open(folder / f"{name}.bin", "wb") as stream:
        shutil.copyfileobj(answer, stream, 1 << 12)
        if stream.tell() < int(answer.headers["Content-Length"]):  # as `urlretrieve` does
            raise urllib.error.ContentTooShortError("retrieval incomplete", None)
    if name == "folder":
        (folder / ".cache" / "huggingface").mkdir(parents=True)
        (folder / ".cache" / "huggingface" / "when").write_text("now")
        (folder / "sub").mkdir()
        os.replace(folder / "folder.bin", Path(os.environ["HOME"], "blob"))
        os.symlink(Path(os.environ["HOME"], "blob"), folder / "sub" / "folder.bin")
        (folder / "config.json").write_text("{}")
        return folder
    return folder / f"{name}.bin"
'''

MIRA = """
import os, sys
from pathlib import Path
from mira_cli import paths
from mira_cli.catalogue import lookup
from mira_cli.commands import weights
from mira_cli.weights import download_process, download_progress, fetch
site = Path(os.environ["FAKE_SITE"])
paths.assets = lambda: site / "assets"
lookup.BUILT_IN = site / "catalogue"
fetch.STALL_S = float(os.environ.get("FAKE_STALL_S", "20"))
fetch.FREE_GB = 0.001
download_progress.EVERY_S = 0.4
from mira_cli.__main__ import main
main()
"""


def make(folder: Path) -> None:
    """Lay out the site's project folder and its catalogue."""
    worker = folder / "assets" / "workflow" / "worker"
    shutil.copytree(REPOSITORY / "workflow" / "worker", worker, ignore=shutil.ignore_patterns("__pycache__"))
    (worker / "families" / "fake.py").write_text(FAMILY)
    (folder / "assets" / "containers").symlink_to(REPOSITORY / "containers")
    row = {"title": "Fake", "image": "host", "package": "ase", "adapter": 1, "dtypes": ["float64"]}
    row["licence_page"] = "https://example.org/licence"
    (folder / "catalogue" / "models").mkdir(parents=True)
    (folder / "catalogue" / "families.yaml").write_text(yaml.safe_dump({"families": {"fake": row}}))
    names = ("good", "folder", "truncated", "hang", "slow", "missing", "forbidden", "redirect", "page", "part")
    fetched = {f"fake-{name}": {"checkpoint": {"fetch": name}} for name in names}
    fetched["fake-good-task"] = {"checkpoint": {"fetch": "good"}, "options": {"task": "two"}}
    fetched |= {f"fake-{name}": {"checkpoint": {"fetch": name}, "gated": True} for name in ("gated", "leak")}
    fetched["fake-bundled"] = {"checkpoint": {"bundled": "inside"}}
    models = {name: {"title": name, "family": "fake", **row} for name, row in fetched.items()}
    (folder / "catalogue" / "models" / "fake.yaml").write_text(yaml.safe_dump({"models": models}, sort_keys=False))


class Site:
    """Calls `mira` at the site."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder, self.cache, self.store = folder, folder / "cache", folder / "cache" / "weights" / "fake"
        kept = {k: v for k, v in os.environ.items() if "proxy" not in k.lower() and not k.startswith("HF_")}
        own = {"FAKE_SITE": folder, "FAKE_HOSTS": host, "MIRA_CACHE": self.cache, "HOME": folder / "home"}
        self.environment = kept | {name: str(value) for name, value in own.items()} | {"PYTHONPATH": str(REPOSITORY)}
        (folder / "home").mkdir()

    def start(self, *arguments: object, prefix: tuple[str, ...] = (), **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*prefix, sys.executable, "-c", MIRA, "weights", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment | environment,
            start_new_session=True,
        )

    def __call__(self, *arguments: object, code: int = 0, prefix: tuple[str, ...] = (), **environment: str):
        process = self.start(*arguments, prefix=prefix, **environment)
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err, err
        assert process.returncode == code, f"exit {process.returncode}, wanted {code}\n{err}\n{out}"
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def left(self) -> list[str]:
        """What lies in the cache, besides locks and logs; and what lies in the home."""
        found = [path for kind in ("weights/*", "building") for path in self.cache.glob(f"{kind}/*")]
        names = [str(path.relative_to(self.cache)) for path in found if path.suffix != ".lock"]
        return sorted(names + [str(path) for path in (self.folder / "home").iterdir()])

    def log(self, name: str) -> str:
        return (self.cache / "logs" / f"weights-fake-{name}.log").read_text()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the name that is asked for."""

    asked: ClassVar[list[str]] = []
    content = GOOD  # may be exchanged by a test

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.strip("/")
        self.asked.append(name)
        statuses = {"forbidden": 403, "missing": 404}
        if name == "gated":
            statuses["gated"] = 200 if self.headers.get("Authorization") == f"Bearer {TOKEN}" else 401
        if name == "redirect":
            self.send_response(302)
            self.send_header("Location", "/good")
            self.end_headers()
            return
        status = statuses.get(name, 200)
        self.send_response(status)
        body = self._body(name) if status == 200 else b""
        whole = len(body) * 2 if name in ("truncated", "hang") else len(body)
        self.send_header("Content-Length", str(whole))
        self.end_headers()
        self._send(name, body)

    def _body(self, name: str) -> bytes:
        if name == "page":
            return b"<!DOCTYPE html><html>please log in</html>"
        if name == "part":
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                archive.writestr("model/data.pkl", os.urandom(20_000))
            return buffer.getvalue()[:10_000]
        return self.content

    def _send(self, name: str, body: bytes) -> None:
        try:
            if name == "slow":
                for i in range(0, len(body), 1000):
                    self.wfile.write(body[i : i + 1000])
                    time.sleep(0.15)
            else:
                self.wfile.write(body)
            if name == "hang":
                self.wfile.flush()
                time.sleep(60)
        except OSError:
            pass


@contextmanager
def opened(folder: Path) -> Iterator[Site]:
    """Make a site, and serve weights to it."""
    Handler.asked, Handler.content = [], GOOD
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    make(folder)
    yield Site(folder, f"127.0.0.1:{server.server_address[1]}")
    server.shutdown()
    server.server_close()
