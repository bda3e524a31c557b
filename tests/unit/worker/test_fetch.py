"""What the worker's downloader says about failures, and where it lets packages write."""

import errno
import os
import socket
import sys
import time
import urllib.error
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from worker import fetch, isolation
from worker.errors import WorkerError


def raised(name: str, *, base: type[Exception] = Exception, status: int | None = None) -> Exception:
    """An exception as one of the downloaders' libraries has it."""
    error = type(name, (base,), {})("no details")
    if status:
        error.response = type("Response", (), {"status_code": status})()
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (raised("GatedRepoError", base=type("RepositoryNotFoundError", (Exception,), {}), status=403), 77),
        (raised("RepositoryNotFoundError", status=401), 77),
        (raised("HTTPError", status=403), 77),
        (urllib.error.HTTPError("http://x", 401, "no", {}, None), 77),
        (raised("RepositoryNotFoundError", status=404), 66),
        (raised("EntryNotFoundError"), 66),
        (urllib.error.HTTPError("http://x", 404, "no", {}, None), 66),
        (OSError(errno.ENOSPC, "full", "/somewhere"), 74),
        (raised("LocalEntryNotFoundError", base=type("EntryNotFoundError", (Exception,), {})), 1),
        (urllib.error.URLError("reset"), 1),
        (ValueError("Unknown model"), 1),
    ],
)
def test_what_downloaders_raise_is_one_sentence(error: Exception, code: int) -> None:
    said = fetch.worded(error, "orb-v3")
    assert said.code == code
    assert "\n" not in str(said)
    assert ("orb-v3" in str(said)) is (code != 74)


def test_the_cause_counts() -> None:
    error = RuntimeError("Model download failed and no local model found")
    error.__cause__ = urllib.error.HTTPError("http://x", 404, "no", {}, None)
    assert fetch.worded(error, "x").code == fetch.EXIT_NOT_FOUND
    error = RuntimeError("cannot write")
    error.__context__ = OSError(errno.ENOSPC, "full")
    assert fetch.worded(error, "x").code == 74


def test_packages_write_into_one_folder_and_may_use_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*fetch._DROPPED, *fetch._OFFLINE, *isolation.CACHES, "HF_HOME", "HOME", "TMPDIR", "TQDM_DISABLE"):
        monkeypatch.setenv(name, "/elsewhere")
    for name in (*isolation.OFFLINE, "HF_HUB_DISABLE_PROGRESS_BARS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "1")  # restored after the test
    fetch.set_fetch_environment(tmp_path)
    assert not [name for name in os.environ if os.environ[name] == "/elsewhere"]
    assert "HF_HUB_OFFLINE" not in os.environ
    for name in ("HOME", "TMPDIR", "HF_HOME", *isolation.CACHES):
        assert Path(os.environ[name]).is_dir()
        assert Path(os.environ[name]).is_relative_to(tmp_path)


def test_where_to_knock(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert fetch._door("huggingface.co") == ("huggingface.co", 443)
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.site:8080/hf")
    assert fetch._door("huggingface.co") == ("mirror.site", 8080)
    assert fetch._door("github.com") == ("github.com", 443)
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.site:3128")
    assert fetch._door("github.com") == ("proxy.site", 3128)
    monkeypatch.setenv("NO_PROXY", "github.com")
    assert fetch._door("github.com") == ("github.com", 443)
    monkeypatch.setenv("https_proxy", "socks5.site")
    assert fetch._door("gitlab.com") == ("socks5.site", 80)


def test_one_host_that_answers_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as server:
        fetch.check_network(["127.0.0.1:1", f"127.0.0.1:{server.getsockname()[1]}"])
    fetch.check_network([])
    with pytest.raises(WorkerError, match=r"no network: cannot reach 127\.0\.0\.1:1") as error:
        fetch.check_network(["127.0.0.1:1"])
    assert error.value.code == fetch.EXIT_NO_NETWORK


def test_a_name_server_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(fetch, "CONNECT_S", 0.2)
    monkeypatch.setattr(fetch, "_opens", lambda host, port: time.sleep(20))
    began = time.monotonic()
    with pytest.raises(WorkerError, match=r"cannot reach github\.com or huggingface\.co"):
        fetch.check_network(["github.com", "huggingface.co"])
    assert time.monotonic() - began < 5


def test_what_mace_downloads_is_not_run(tmp_path, monkeypatch):
    """Some of its functions load what they have brought: programs from the net, of which nobody knows the hash yet."""
    from worker.families import mace

    package, ran = ModuleType("mace.calculators.foundations_models"), []
    package.torch = SimpleNamespace(load=lambda *_, **__: ran.append(True))
    package.mace_mp_urls, package.mace_off_urls = {}, {"small": "https://host/small.model"}

    def mace_off(variant, **_):
        (Path(os.environ["XDG_CACHE_HOME"]) / f"{variant}.model").write_text("x")
        return package.torch.load(variant)

    package.mace_off = mace_off
    calculators = ModuleType("mace.calculators")
    calculators.foundations_models = package
    for module in (ModuleType("mace"), calculators, package):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("XDG_CACHE_HOME", "elsewhere")
    assert mace.fetch("mace_off:small", tmp_path) == tmp_path / "small.model"
    assert not ran
