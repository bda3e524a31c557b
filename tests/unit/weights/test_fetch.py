"""`mira weights fetch` with real processes and a real server: what it leaves, and what never."""

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mira_cli import paths
from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.weights import fetch
from mira_cli.weights.units import Unit
from tests.unit.weights import weights_site
from tests.unit.weights.weights_site import GOOD, TOKEN, Handler, Site
from worker.weights import sha256


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with weights_site.opened(tmp_path) as opened:
        yield opened


def manifest(site: Site, name: str) -> dict:
    return json.loads((site.store / name / "manifest.json").read_text())


def wait_until(happened, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.05)


def child_of(site: Site, name: str) -> int:
    """Process id of the worker that fetches."""
    log = site.cache / "logs" / f"weights-fake-{name}.log"
    wait_until(lambda: log.exists() and "pid " in log.read_text())
    return int(re.findall(r"pid (\d+)", log.read_text())[0])


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def test_what_is_fetched_is_there_whole_and_not_fetched_again(site: Site) -> None:
    said = site("fetch", "fake-good").stderr
    assert "weights of fake-good are ready" in said
    file = site.store / "good" / "files" / "good.bin"
    assert file.read_bytes() == GOOD
    assert not file.stat().st_mode & 0o222
    about = manifest(site, "good")
    assert about["sha256"] == hashlib.sha256(GOOD).hexdigest() == sha256(file)
    assert (about["main"], about["how"], about["package"].split("==")[0]) == ("good.bin", "fetched", "ase")
    assert "are here already" in site("fetch", "fake-good-task").stderr
    assert Handler.asked == ["good"]
    assert site.left() == ["weights/fake/good"]


def test_a_folder_has_the_workers_hash_and_no_notes_of_the_hub(site: Site) -> None:
    site("fetch", "fake-folder", "fake-redirect")
    files = site.store / "folder" / "files"
    assert sorted(str(p.relative_to(files)) for p in files.rglob("*")) == ["config.json", "sub", "sub/folder.bin"]
    assert not (files / "sub" / "folder.bin").is_symlink()
    assert manifest(site, "folder")["main"] == "."
    assert manifest(site, "folder")["sha256"] == sha256(files)
    assert Handler.asked == ["folder", "redirect", "good"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("truncated", r"the download of truncated broke off \(ContentTooShortError"),
        ("missing", "the server has no missing any more"),
        ("forbidden", "the server does not give these weights without a token"),
        ("page", "page.bin is a web page, not weights"),
        ("part", "part.bin is only a part of a checkpoint"),
    ],
)
def test_what_is_not_whole_does_not_count(site: Site, name: str, words: str) -> None:
    said = site("fetch", f"fake-{name}", code=4).stderr
    assert re.search(words, said)
    assert "hint:" in said
    assert site.left() == []


def test_gated_weights_need_a_token(site: Site) -> None:
    said = site("fetch", "fake-gated", code=4).stderr
    assert "the weights of fake-gated are gated" in said
    assert "https://example.org/licence" in said
    assert Handler.asked == []  # refused before anything was started
    said = site("fetch", "fake-gated", code=4, HF_TOKEN="hf_" + "x" * 30).stderr
    assert "does not give these weights with the token of HF_TOKEN" in said
    file = site.folder / "token"
    file.write_text(TOKEN + "\n")
    site("fetch", "fake-gated", HF_TOKEN_PATH=str(file))
    assert manifest(site, "gated")["sha256"] == hashlib.sha256(GOOD).hexdigest()


def test_the_token_reaches_nothing_that_is_written(site: Site) -> None:
    said = site("fetch", "fake-leak", "fake-gated", code=4, HF_TOKEN=TOKEN)
    assert "cannot use ***" in said.stderr
    assert "my token is ***" in site.log("leak")
    for text in (
        said.stderr,
        said.stdout,
        *(p.read_text(errors="replace") for p in site.cache.rglob("*") if p.is_file()),
    ):
        assert TOKEN not in text
        assert "secret" not in text
    assert "fetched" in manifest(site, "gated")["how"]


def test_a_run_gets_what_it_needs_or_says_what_is_missing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FAKE_HOSTS", "MIRA_CACHE", "HOME"):
        monkeypatch.setenv(name, site.environment[name])
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(paths, "assets", lambda: site.folder / "assets")
    good = Unit("fake", "good", ("fake-good-task",), "host", gated=False, licence_page=None)
    gated = Unit("fake", "gated", ("fake-gated",), "host", gated=True, licence_page=None)
    with pytest.raises(EnvironmentNotReadyError, match="weights are not here: fake-good-task fake-gated") as error:
        fetch.ensure([good, gated], "venv", fetch=False)
    assert error.value.hint == "`mira weights fetch fake-good-task fake-gated`"
    with pytest.raises(EnvironmentNotReadyError, match="weights of fake-gated are gated"):
        fetch.ensure([good, gated], "venv")
    assert Handler.asked == []
    ready = fetch.ensure([good], "venv")
    assert ready["fake", "good"].path.read_bytes() == GOOD
    assert fetch.ensure([good], "venv", fetch=False) == ready


def test_one_failure_does_not_stop_the_others(site: Site) -> None:
    done = site("fetch", "fake-missing", "fake-good", "fake-page", "fake-bundled", code=4)
    assert "fake-bundled: its weights are in its package: nothing to fetch" in done.stderr
    assert "not fetched: fake-missing fake-page" in done.stderr
    assert site.left() == ["weights/fake/good"]
    assert "nothing to fetch" in site("fetch", "fake-bundled").stderr
    assert "did you mean `fake-good`" in site("fetch", "fake-goood", code=2).stderr


def test_all_is_everything_that_may_be_fetched(site: Site) -> None:
    done = site("fetch", "all", code=4, FAKE_STALL_S="3")
    assert "left out, as they are gated and there is no token: fake-gated, fake-leak" in done.stderr
    assert "not fetched: fake-truncated fake-hang fake-missing fake-forbidden fake-page fake-part" in done.stderr
    assert site.left() == [f"weights/fake/{name}" for name in ("folder", "good", "redirect", "slow")]


def test_no_network_is_said_within_seconds(site: Site) -> None:
    began = time.monotonic()
    # nobody listens on port 1; a name that does not exist
    done = site("fetch", "fake-good", "fake-folder", code=4, FAKE_HOSTS="127.0.0.1:1,nowhere.invalid")
    assert time.monotonic() - began < 10
    assert "no network: cannot reach 127.0.0.1:1 or nowhere.invalid" in done.stderr
    assert "mira weights import PATH --model fake-good" in done.stderr
    assert "fake-folder: not tried, for the reason above" in done.stderr
    assert site.left() == []
    proxy = {"https_proxy": "http://user:secret@127.0.0.1:2", "no_proxy": ""}
    done = site("fetch", "fake-good", code=4, **proxy)
    assert "cannot reach 127.0.0.1:2" in done.stderr
    assert "secret" not in done.stderr + site.log("good")


def test_a_machine_without_network_is_told_from_a_server_that_is_down(site: Site) -> None:
    prefix = ("unshare", "--map-root-user", "--net")
    if subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("this machine does not let us leave the network")
    began = time.monotonic()
    said = site("fetch", "fake-good", code=4, prefix=prefix, FAKE_HOSTS="huggingface.co").stderr
    assert "no network: cannot reach huggingface.co" in said
    assert time.monotonic() - began < 10


def test_a_download_that_stands_still_is_given_up(site: Site) -> None:
    said = site("fetch", "fake-hang", code=4, FAKE_STALL_S="2").stderr
    assert "given up: nothing has arrived for 2 s" in said
    assert is_gone(child_of(site, "hang"))
    assert site.left() == []


def test_a_slow_one_is_not_and_shows_how_it_goes(site: Site) -> None:
    said = site("fetch", "fake-slow", FAKE_STALL_S="2").stderr
    assert re.search(r"fake-slow: 0 MB, 0 MB/s \(\d s\)", said)
    assert site.left() == ["weights/fake/slow"]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_fetch_leaves_nothing(site: Site, sign: signal.Signals) -> None:
    process = site.start("fetch", "fake-hang")
    child = child_of(site, "hang")
    process.send_signal(sign)
    process.communicate(timeout=120)
    wait_until(lambda: is_gone(child), 10)
    if sign == signal.SIGKILL:  # nobody could clean up: the next one does
        assert site.left() == ["building/weights-fake-hang"]
        site("fetch", "fake-good")
        assert site.left() == ["weights/fake/good"]
    else:
        assert process.returncode == 130
        assert site.left() == []


def test_a_killed_download_is_a_sentence(site: Site) -> None:
    process = site.start("fetch", "fake-hang")
    os.kill(child_of(site, "hang"), signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert "fake-hang: ended by signal 9" in said
    assert process.returncode == 4
    assert site.left() == []


def test_two_at_once_fetch_once(site: Site) -> None:
    first = site.start("fetch", "fake-slow")
    child_of(site, "slow")
    second = site.start("fetch", "fake-slow")
    said = [process.communicate(timeout=120)[1] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0)
    assert "waiting for it" in said[1]
    assert Handler.asked == ["slow"]
    assert site.left() == ["weights/fake/slow"]


def test_weights_that_have_changed_are_told(site: Site) -> None:
    site("fetch", "fake-good")
    Handler.content = b"weights of another kind"
    said = site("fetch", "fake-good", "--force").stderr
    assert "the weights good are not what they were" in said
    assert manifest(site, "good")["sha256"] == hashlib.sha256(Handler.content).hexdigest()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_a_sentence_and_leaves_nothing(site: Site) -> None:
    site.cache.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", site.cache], capture_output=True)
    if made.returncode:
        pytest.skip("this machine does not let us mount")
    try:
        Handler.content = os.urandom(8_000_000)
        said = site("fetch", "fake-good", code=4).stderr
        assert "has filled up while fetching fake-good" in said
        assert "MIRA_CACHE" in said
        assert site.left() == []
        Handler.content = GOOD
        site("fetch", "fake-good")
    finally:
        subprocess.run(["umount", site.cache], check=True)


def test_a_store_that_cannot_be_written_is_a_sentence(site: Site) -> None:
    site.cache.mkdir()
    (site.cache / "weights").write_text("in the way")
    assert "fake-good: cannot write" in site("fetch", "fake-good", code=4).stderr
    (site.folder / "file").touch()
    said = site("fetch", "fake-good", code=4, MIRA_CACHE=str(site.folder / "file" / "cache")).stderr
    assert f"not in MIRA's cache {site.folder}/file/cache, and cannot be put there: not a directory" in said
