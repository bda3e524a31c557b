"""What the machine can do decides which tests run; nothing is left out without a word."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

os.environ.pop("COLUMNS", None)  # what is started here writes into pipes, whose width is not that of a terminal
# before numpy is imported: threads that wait for one another make small matrices twenty times slower on a busy machine
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# likewise those of torch, which stay awake while they wait: three tests at once on two cores took five times as long
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# a server of one test, or of the user, is not to answer the runs of another test
os.environ.setdefault("MIRA_WARM", "0")

import pytest

from tests.runs import METALS, REPOSITORY, Started

# Servers and workers of tests are not the user's. A short name, since those of sockets are; `pytest -n` shares it.
_HOME = None if "MIRA_TEST_HOME" in os.environ else tempfile.mkdtemp(prefix="mira-t-", dir="/tmp")
os.environ.setdefault("MIRA_TEST_HOME", _HOME or "")

# A shell that starts us in the background lets us ignore Ctrl-C, and so all that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.fsync = lambda _: None  # thousands of them, and no power cut to survive


# With `pytest -n`, tests of these folders run one after another in one process: there is one SLURM cluster, one Grid
# Engine, and a family's findings are made once for many tests. The tests of any other file stay together. What takes
# longest comes first: tests on SLURM mostly wait, and leave the cores to what computes beside them.
TINY = ("tests/families/test_tiny.py", "tests/families/test_dpa.py")  # half of the families' time
TOGETHER = ("slurm", "tiny", "families", "apptainer", "guides", "tasks", "gridengine")


def _group(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    folder = file.split("/")[1]
    return "tiny" if file in TINY else folder if folder in TOGETHER else file


def pytest_unconfigure() -> None:
    """Servers and workers of tests have ended."""
    if _HOME is not None:
        shutil.rmtree(_HOME, ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    config.option.loadscopereorder = False
    return ByGroup(config, log)


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# 3-D without a graphics card
BROWSER_FLAGS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")

# fixtures that start the command itself, or make a package of it
STARTERS = {"mira", "started", "packages", "installed_mira"}
# Files most of whose tests start workers and servers and wait for them, or compute long. `slow` marks single ones too.
SLOW = (
    *("unit/images/test_build.py", "unit/images/test_parallel_builds.py"),
    "unit/planning/test_first_use.py",
    *("unit/serving/test_pages.py", "unit/serving/test_serving.py", "unit/serving/test_tasks_served.py"),
    *("unit/structures/test_cif_settings.py", "unit/structures/test_reading_bounds.py"),
    *("unit/warm/test_ase_own_tests.py", "unit/warm/test_calculator.py", "unit/warm/test_calculator_address.py"),
    *("unit/warm/test_calculator_faults.py", "unit/warm/test_calculator_no_server.py"),
    "unit/warm/test_calculator_of_ase.py",
    "unit/weights/test_fetch.py",
    *("unit/worker/test_ahead.py", "unit/worker/test_first_task.py", "unit/worker/test_process.py"),
    "unit/worker/test_stories.py",
)


def pytest_collection_modifyitems(items) -> None:
    """Mark what `make test-fast` leaves out, and put first what takes longest where several tests run at once."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        n_tests = Counter(_group(item.nodeid) for item in items)
        ranks = {group: TOGETHER.index(group) if group in TOGETHER else len(TOGETHER) for group in n_tests}
        items.sort(key=lambda item: (ranks[_group(item.nodeid)], -n_tests[_group(item.nodeid)]))
    for item in items:
        if STARTERS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.command)
        if "browser" in item.fixturenames or item.nodeid.partition("::")[0].endswith(SLOW):
            item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter) -> None:
    """Say loudly what was skipped for want of a scheduler, and what the faults on SLURM cost."""
    found = [*terminalreporter.getreports("skipped"), *terminalreporter.getreports("passed")]
    for folder, title in {"slurm": "SLURM", "gridengine": "Grid Engine"}.items():
        skipped = [one for one in found if one.skipped and one.nodeid.startswith(f"tests/{folder}/")]
        for reason in dict.fromkeys(str(one.longrepr[2]) for one in skipped):
            terminalreporter.write_line(
                f"{title} tests were SKIPPED: {reason.removeprefix('Skipped: ')}", red=True, bold=True
            )
    rows = [row for one in found for key, row in one.user_properties if key == "fault"]
    if rows:
        terminalreporter.section("faults on SLURM")
        for row in [["SLURM", "fault", "what MIRA said", "s to recovery", "exit code", "computed twice"], *rows]:
            terminalreporter.write_line("| " + " | ".join(row) + " |")


@pytest.fixture(scope="session")
def mira() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Call the real command; fails on a traceback, whatever the exit code."""

    def call(*arguments: object, code: int = 0, cwd: Path | None = None, **environment: str):
        done = subprocess.run(
            [sys.executable, "-m", "mira_cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
            timeout=1500,  # it may build an image
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == code, f"exit {done.returncode}, wanted {code}\n{done.stderr}\n{done.stdout}"
        return done

    return call


def _uv(*arguments: object) -> None:
    settings = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    command = [sys.executable, "-P", "-m", "uv", "--quiet", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", env=settings, timeout=600)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def packages(tmp_path_factory) -> Path:
    """Folder with the sdist of this checkout, and the wheel that is made of that sdist."""
    place = tmp_path_factory.mktemp("packages")
    _uv("build", "--out-dir", place, REPOSITORY)
    return place


@pytest.fixture(scope="session")
def installed_mira(packages, tmp_path_factory) -> Path:
    """The command of a wheel of this checkout, in an environment that holds nothing else, with the lock's versions."""
    place = tmp_path_factory.mktemp("installed")
    _uv("export", "--project", REPOSITORY, "--locked", "--no-dev", "--no-emit-project", "-o", place / "versions.txt")
    _uv("venv", "--python", sys.executable, "--no-project", place / "env")
    (wheel,) = packages.glob("*.whl")
    python = place / "env" / "bin" / "python"
    _uv("pip", "install", "--python", python, "--constraints", place / "versions.txt", wheel)
    return place / "env" / "bin" / "mira"


@pytest.fixture(scope="module")  # not beside the tests that come after, in the same process
def browser():
    """A real browser; without one the tests that look at pages are skipped, and say so."""
    api = pytest.importorskip("playwright.sync_api", reason="no browser tests: the package playwright is not installed")
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no browser tests: there is no chromium")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(BROWSER_FLAGS))
        yield started
        started.close()


@pytest.fixture(autouse=True)
def _own_register(tmp_path_factory, monkeypatch) -> None:
    """Runs of tests are not the user's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))


@pytest.fixture
def structures(tmp_path) -> Path:
    """Seven fcc metals in a folder with a space in its name."""
    from ase.build import bulk
    from ase.io import write

    folder = tmp_path / "the structures"
    folder.mkdir()
    for metal in METALS:
        write(folder / f"{metal}.cif", bulk(metal, cubic=True))
    return folder


@pytest.fixture
def started():
    """Start `mira` in the background; whatever is left is killed afterwards."""
    running: list[Started] = []

    def start(*arguments: object, **options) -> Started:
        running.append(Started(*arguments, **options))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
