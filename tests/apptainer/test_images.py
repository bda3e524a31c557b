"""Real Apptainer images: built through the public API, into the cache that checkouts share, and run without network."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from mira_cli import console, paths
from mira_cli.commands import images as command
from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.files import content_sha256
from mira_cli.images import apptainer, licences, prepare, recipe, record, sif, verification
from tests import tiny_image
from tests.apptainer.which import NOT_TESTED, is_tested

REPOSITORY = Path(__file__).resolve().parents[2]
IMAGES = recipe.all_images()
PYTHON = recipe.load(recipe.containers()).python
USER = "mira-test"
# another process that builds the tiny image
BUILD = "import sys; from tests import tiny_image; from pathlib import Path; tiny_image.use(Path(sys.argv[1]))\n"
BUILD += "from mira_cli.images import prepare; print(prepare.prepare_images(['tiny'], 'apptainer')['tiny'].sif)"

pytestmark = [
    pytest.mark.apptainer,
    pytest.mark.timeout(1800),  # the first run builds the images
    pytest.mark.skipif(apptainer.works() is not None, reason=f"{apptainer.works()}"),
]


@pytest.fixture(scope="module")
def base() -> Path:
    """The base image, in the shared cache."""
    sif.build_base(print)
    return apptainer.base_path()


@pytest.fixture
def project(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one tiny image, and a cache of its own that has the base already."""
    make_project(tmp_path, base)
    enter(tmp_path, monkeypatch)
    return tmp_path


def make_project(folder: Path, base: Path) -> None:
    cache = folder / "cache" / "images"
    cache.mkdir(parents=True)
    shutil.copy(base, cache)
    shutil.copy(apptainer.sidecar(base), cache)
    tiny_image.make(folder, python=PYTHON)


def enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a project in place of the real one, until the monkeypatch is undone."""
    monkeypatch.setattr(paths, "assets", lambda: folder / "assets")
    for name, value in tiny_image.environment(folder).items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def built(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[prepare.ReadyImage, str]:
    """The tiny image, built where a user's own binds and variables would break it, and what was said meanwhile."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = tmp_path_factory.mktemp("tiny")
        make_project(folder, base)
        enter(folder, monkeypatch)
        monkeypatch.setenv("APPTAINER_BIND", f"{folder}:/not/in/the/image")
        monkeypatch.setenv("APPTAINERENV_UV_FIND_LINKS", "/nowhere")
        said = StringIO()
        shown = Console(file=said)
        monkeypatch.setattr(console, "stderr", lambda: shown)
        return prepare.prepare_images(["tiny"], "apptainer")["tiny"], said.getvalue()


@pytest.fixture
def copied(built: tuple[prepare.ReadyImage, str], tmp_path: Path) -> Path:
    """A copy of the tiny image, to be damaged."""
    ready, _ = built
    shutil.copy(apptainer.sidecar(ready.sif), tmp_path)
    return Path(shutil.copy2(ready.sif, tmp_path))


def run_in(path: Path, *command: str, **environment: str) -> str:
    """Output of a command in an image, with the host's environment around it as in a job."""
    done = subprocess.run(
        [str(apptainer.program()), "--silent", "exec", path, *command],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return done.stdout


def ready_image(image: recipe.Image) -> prepare.ReadyImage:
    """An image of the shared cache, built if it is missing and may be built."""
    if not is_tested(image):
        pytest.skip(NOT_TESTED)
    if not prepare.is_built(image, "apptainer") and licences.without_licence([image]):
        pytest.skip(f"its licence is not accepted: {licences.VARIABLE}={image.name}")
    return prepare.prepare_images([image.name], "apptainer")[image.name]


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_image_is_built_from_its_recipe_and_computes_without_network(image: recipe.Image) -> None:
    ready = ready_image(image)
    assert ready.sif == apptainer.sif_path(image)
    assert recipe.pinned_versions(image).items() <= ready.versions.items()
    done = apptainer.contained("test", ready.sif)
    assert done.returncode == 0, done.stderr
    assert " eV" in done.stdout.splitlines()[-1]  # some packages greet before
    inspected = subprocess.run(
        [apptainer.program(), "inspect", "--json", ready.sif], stdout=subprocess.PIPE, check=True
    )
    labels = json.loads(inspected.stdout)["data"]["attributes"]["labels"]
    assert labels["org.mira.image"] == image.name
    assert labels["org.mira.recipe"] == ready.recipe
    assert float(ready.versions["cuda"]) >= 12
    for name in ("python", "cuda", *recipe.parse_pins((image.folder / "requirements.in").read_text())):
        assert labels[f"org.mira.{name}"] == ready.versions[name]


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_packages_of_the_host_stay_out(image: recipe.Image, tmp_path: Path) -> None:
    path = ready_image(image).sif
    (tmp_path / "intruder.py").touch()
    code = (
        "import importlib.util as u, site, sys; print(u.find_spec('intruder'), site.ENABLE_USER_SITE, sys.executable)"
    )
    said = run_in(path, "python", "-c", code, PYTHONPATH=str(tmp_path), PYTHONNOUSERSITE="", VIRTUAL_ENV="/nowhere")
    assert said == f"None False {apptainer.PYTHON}\n"


def test_what_is_built_is_ready_and_not_built_again(
    built: tuple[prepare.ReadyImage, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ready, said = built
    enter(ready.sif.parents[2], monkeypatch)
    assert "building image tiny for apptainer" in said
    assert "image tiny is ready" in said
    assert ready.versions["tiny"] == "1.0"
    assert ready.sha256 == content_sha256(ready.sif)
    assert run_in(ready.sif, "python", "-c", "import tiny; print(tiny.ANSWER)") == "42\n"
    assert list((ready.sif.parents[1] / "building").glob("tiny-*/")) == []
    assert prepare.prepare_images(["tiny"], "apptainer", build=False)["tiny"] == ready
    (image,) = recipe.find_images(["tiny"])
    assert verification.verify_image(image, "apptainer")["problems"] == []


def test_another_torch_is_built_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_image.add(project, "net", package="torch", smoke="import torch.version; print(torch.version.cuda)\n")
    monkeypatch.setenv("UV_FIND_LINKS", str(tiny_image.older_wheels(project)))
    command.build(["net"], runtime="apptainer", backend="cu126")
    ready = prepare.prepare_images(["net"], "apptainer", build=False)["net"]
    assert (ready.versions["torch"], ready.versions["cuda"]) == ("1.0+cu126", "12.6")
    (image,) = recipe.find_images(["net"])
    assert verification.verify_image(image, "apptainer")["problems"] == []
    command.build(["net"], runtime="venv")
    assert prepare.prepare_images(["net"], "venv", build=False)["net"].recipe == ready.recipe


def test_a_whole_image_may_be_copied(built: tuple[prepare.ReadyImage, str], copied: Path) -> None:
    os.utime(copied)
    assert apptainer.check(copied, built[0].recipe).sha256 == built[0].sha256
    # and is not read in full again
    assert record.read(apptainer.sidecar(copied)).mtime_ns == copied.stat().st_mtime_ns


@pytest.mark.parametrize("damage", ["truncated", "empty", "one bit", "gone"])
def test_a_changed_image_is_refused(built: tuple[prepare.ReadyImage, str], copied: Path, damage: str) -> None:
    whole = copied.read_bytes()
    middle = len(whole) // 2
    content = {"truncated": whole[:middle], "empty": b"", "gone": b""}
    content["one bit"] = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    copied.write_bytes(content[damage])
    if damage == "gone":
        copied.unlink()
    with pytest.raises(EnvironmentNotReadyError, match=r"its content has changed|cannot read") as error:
        apptainer.check(copied, built[0].recipe)
    assert error.value.hint == "`mira images build tiny --force --runtime apptainer`"


def test_verification_reads_everything(project: Path, built: tuple[prepare.ReadyImage, str]) -> None:
    (image,) = recipe.find_images(["tiny"])
    path = apptainer.sif_path(image)
    shutil.copy(built[0].sif, path)
    with path.open("r+b") as stream:
        stream.seek(path.stat().st_size // 2)
        stream.write(b"damaged")
    # even where size and time are as they were
    done = record.read(apptainer.sidecar(built[0].sif)).model_copy(update={"mtime_ns": path.stat().st_mtime_ns})
    record.write_build_record(apptainer.sidecar(path), done)
    assert prepare.is_built(image, "apptainer")
    (problem,) = verification.verify_image(image, "apptainer")["problems"]
    assert "has changed since it was built" in problem


def test_an_image_of_another_recipe_is_refused(copied: Path) -> None:
    with pytest.raises(EnvironmentNotReadyError, match="no record that it was built from this recipe"):
        apptainer.check(copied, "0" * 12)
    apptainer.sidecar(copied).unlink()
    with pytest.raises(EnvironmentNotReadyError, match="no record that it was built from this recipe") as error:
        apptainer.check(copied, copied.stem.rpartition("-")[2])
    assert error.value.hint == "`mira images build tiny --force --runtime apptainer`"


def test_an_interrupted_build_leaves_nothing(project: Path) -> None:
    note = "the smoke test sleeps"
    smoke = project / "assets/containers/tiny/smoke.py"
    smoke.write_text(f"import time; print({note!r}, flush=True); time.sleep(300)")
    (image,) = recipe.find_images(["tiny"])
    log = project / f"cache/logs/tiny-{recipe.recipe_hash(image)}-apptainer.log"
    scratch = project / "scratch"
    scratch.mkdir()
    builder = subprocess.Popen(
        [sys.executable, "-c", BUILD, project / "assets"],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "APPTAINER_TMPDIR": str(scratch)},
        start_new_session=True,
    )
    end = time.monotonic() + 600
    while not (log.exists() and f"\n{note}\n" in log.read_text()):
        assert builder.poll() is None, builder.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.1)
    assert list(scratch.iterdir()) != []
    builder.send_signal(signal.SIGINT)
    builder.communicate(timeout=300)
    assert list(scratch.iterdir()) == []
    assert list((project / "cache/building").glob("tiny-*/")) == []
    assert [path.name for path in (project / "cache/images").iterdir() if "tiny" in path.name] == []
    running = [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(project).encode() in read_if_there(p)]
    assert running == []


def read_if_there(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_failing_test_leaves_no_image(project: Path) -> None:
    (project / "assets/containers/tiny/smoke.py").write_text("raise ValueError('energy is nan')")
    with pytest.raises(EnvironmentNotReadyError, match="image tiny cannot be built with Apptainer") as error:
        prepare.prepare_images(["tiny"], "apptainer")
    assert error.value.log is not None
    assert "energy is nan" in error.value.log.read_text()
    assert [path.name for path in (project / "cache/images").iterdir() if "tiny" in path.name] == []
    assert list((project / "cache/building").glob("tiny-*/")) == []


def readable_by(account: pwd.struct_passwd, file: Path) -> bool:
    """Whether another user could run a file."""
    return (
        subprocess.run(["test", "-x", file], user=account.pw_uid, group=account.pw_gid, extra_groups=[]).returncode == 0
    )


def test_an_ordinary_user_builds_too(project: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("the other tests have just done so: they do not run as root")
    try:
        account = pwd.getpwnam(USER)
    except KeyError:
        subprocess.run(["useradd", "--create-home", USER], check=True)
        account = pwd.getpwnam(USER)
    if not readable_by(account, Path(sys.executable).resolve()):
        pytest.skip("this Python lies where no other user can read it")
    home = Path(tempfile.mkdtemp(dir=account.pw_dir))
    try:
        shutil.copytree(project, home, dirs_exist_ok=True)
        shutil.copytree(REPOSITORY / "mira_cli", home / "code/mira_cli")
        shutil.copytree(REPOSITORY / "tests", home / "code/tests", ignore=shutil.ignore_patterns("data"))
        shutil.copytree(REPOSITORY / "containers", home / "code/containers")
        subprocess.run(["chown", "-R", f"{USER}:", home], check=True)
        environment = {k: v for k, v in os.environ.items() if k.startswith(("LANG", "SSL_", "PYTHON"))}
        environment |= {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", **tiny_image.environment(home)}
        done = subprocess.run(
            [sys.executable, "-c", BUILD, home / "assets"],
            capture_output=True,
            text=True,
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
            cwd=home,
            env=environment | {"PYTHONPATH": str(home / "code")},
        )
        if "Permission denied" in done.stderr and "site-packages" in done.stderr:
            pytest.skip("this environment's packages cannot be read by another user")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(str(home / "cache/images/mira-tiny-"))
    finally:
        shutil.rmtree(home)
