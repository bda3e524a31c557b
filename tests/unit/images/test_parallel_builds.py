"""Several builds at once: none stops another, Ctrl-C stops all, and the machine is not asked for too much."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mira_cli import paths
from mira_cli.commands import images as command
from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.images import parallel_builds, prepare, recipe
from tests import tiny_image

REPOSITORY = Path(__file__).resolve().parents[3]
# another `mira`, that builds both images at once
BUILD = "import sys; from tests import tiny_image; from pathlib import Path; tiny_image.use(Path(sys.argv.pop(1)))\n"
BUILD += "from mira_cli.images import parallel_builds; parallel_builds.at_once = lambda *_: 2\n"
BUILD += "from mira_cli.__main__ import main; main()"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two tiny images, and room for two builds at once."""
    assets = tiny_image.make(tmp_path)
    tiny_image.add(tmp_path, "second")
    monkeypatch.setattr(paths, "assets", lambda: assets)
    monkeypatch.setattr(parallel_builds, "at_once", lambda *_: 2)
    for name, value in tiny_image.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    return tmp_path


def smoke(project: Path, image: str, code: str) -> None:
    (project / f"assets/containers/{image}/smoke.py").write_text(code)


def note_and(project: Path, image: str, then: str) -> str:
    return f"import os, pathlib, time\npathlib.Path({str(project / image)!r}).write_text(str(os.getpid()))\n{then}\n"


def wait_for(path: Path) -> str:
    end = time.monotonic() + 60
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < end, f"{path} does not come"
        time.sleep(0.05)
    return path.read_text()


def test_two_are_built_at_once(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for image, other in (("tiny", "second"), ("second", "tiny")):
        wait = f"while not os.path.exists({str(project / other)!r}): time.sleep(0.05)"
        smoke(project, image, note_and(project, image, wait))
    command.build(["all"], runtime="venv")
    said = capsys.readouterr().err
    assert said.count("is ready:") == 2
    assert "  second: testing it" in said
    assert prepare.prepare_images(["tiny", "second"], "venv", build=False).keys() == {"tiny", "second"}


def test_one_that_fails_stops_no_other(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    smoke(project, "tiny", "raise ValueError('energy is nan')")
    with pytest.raises(EnvironmentNotReadyError, match=r"image tiny cannot be built .* energy is nan") as error:
        command.build(["all"], runtime="venv")
    assert error.value.log is not None
    assert "image tiny has failed" in capsys.readouterr().err
    assert [prepare.is_built(image, "venv") for image in recipe.all_images()] == [False, True]
    smoke(project, "tiny", tiny_image.SMOKE)
    command.build(["all"], runtime="venv")  # goes on from there
    assert "image second is built already" in capsys.readouterr().err


def test_all_that_failed_are_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_image.add(project, "strict", licence=tiny_image.LICENCE)
    smoke(project, "second", "raise SystemExit('second is bad')")
    with pytest.raises(EnvironmentNotReadyError, match="not built: second strict") as error:
        command.build(["all"], runtime="venv")
    assert error.value.code == 4
    assert error.value.hint == "`mira images build second strict --runtime venv`"
    said = capsys.readouterr().err
    assert "image second cannot be built" in said
    assert "image strict is under the Strict Licence" in said


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_builds(project: Path, sign: signal.Signals) -> None:
    for image in ("tiny", "second"):
        smoke(project, image, note_and(project, image, "time.sleep(60)"))
    builder = subprocess.Popen(
        [sys.executable, "-c", BUILD, project / "assets", "images", "build", "all", "--runtime", "venv"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        start_new_session=True,
    )
    children = [int(wait_for(project / image)) for image in ("tiny", "second")]
    builder.send_signal(sign)
    _, said = builder.communicate(timeout=120)
    assert builder.returncode == 130, said
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
    left = [path for kind in ("envs", "building") for path in (project / "cache").glob(f"{kind}/*/")]
    assert left == []


@pytest.mark.parametrize(
    ("cores", "memory_gb", "disk_gb", "n"),
    [(2, 100, 1000, 1), (8, 100, 1000, 3), (4, 100, 1000, 2), (64, 13, 1000, 2), (64, 100, 15, 2), (1, 1, 1, 1)],
)
def test_builds_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cores: int, memory_gb: float, disk_gb: float, n: int
) -> None:
    cost = {"venv": recipe.Cost(minutes=1, gigabytes=6, free_gigabytes=7)}
    image = recipe.all_images()[0].model_copy(update={"cost": cost})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(parallel_builds, "free_memory", lambda: memory_gb * 1e9)
    usage = type("Usage", (), {"free": disk_gb * 1e9})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert parallel_builds.at_once([image] * 3, "venv") == n


def test_free_memory_is_not_more_than_a_control_group_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {
        "/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   1000000 kB\n",
        "/proc/self/cgroup": "1:cpu:/x\n0::/user/me\n",
        "/sys/fs/cgroup/user/memory.max": "5000000\n",
        "/sys/fs/cgroup/user/memory.current": "1000000\n",
        "/sys/fs/cgroup/user/me/memory.max": "max\n",
    }
    monkeypatch.setattr(parallel_builds, "_text", lambda path: texts.get(str(path), ""))
    assert parallel_builds.free_memory() == 4e6
    del texts["/proc/self/cgroup"]
    assert parallel_builds.free_memory() == 1000000 * 1024
