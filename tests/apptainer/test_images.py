"""Real Apptainer images: built through the public API, into the cache that checkouts share, and run without network."""

import json
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mira_cli import paths
from mira_cli.errors import EnvironmentNotReadyError
from mira_cli.images import apptainer, prepare, recipe, record, sif, verification
from tests import tiny_image

REPOSITORY = Path(__file__).resolve().parents[2]
IMAGES = recipe.all_images()
USER = "mira-test"

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
def tiny(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one tiny image, and a cache of its own that has the base already."""
    cache = tmp_path / "cache" / "images"
    cache.mkdir(parents=True)
    shutil.copy(base, cache)
    shutil.copy(apptainer.sidecar(base), cache)
    assets = tiny_image.make(tmp_path, python=recipe.load(recipe.containers()).python)
    monkeypatch.setattr(paths, "assets", lambda: assets)
    for name, value in tiny_image.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    return tmp_path


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


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_image_is_built_from_its_recipe_and_computes_without_network(image: recipe.Image) -> None:
    ready = prepare.prepare([image.name], "apptainer")[image.name]
    assert ready.sif == apptainer.sif_path(image)
    assert recipe.pinned_versions(image).items() <= ready.versions.items()
    done = apptainer.contained("test", ready.sif)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert " eV" in line
    inspected = subprocess.run(
        [apptainer.program(), "inspect", "--json", ready.sif], stdout=subprocess.PIPE, check=True
    )
    labels = json.loads(inspected.stdout)["data"]["attributes"]["labels"]
    assert labels["org.mira.image"] == image.name
    assert labels["org.mira.recipe"] == ready.recipe
    for name in ("python", "torch", "cuda"):
        assert labels[f"org.mira.{name}"] == ready.versions[name]


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_packages_of_the_host_stay_out(image: recipe.Image, tmp_path: Path) -> None:
    path = prepare.prepare([image.name], "apptainer")[image.name].sif
    (tmp_path / "intruder.py").touch()
    code = (
        "import importlib.util as u, site, sys; print(u.find_spec('intruder'), site.ENABLE_USER_SITE, sys.executable)"
    )
    said = run_in(path, "python", "-c", code, PYTHONPATH=str(tmp_path), PYTHONNOUSERSITE="", VIRTUAL_ENV="/nowhere")
    assert said == f"None False {apptainer.PYTHON}\n"


def test_tiny_image_is_built_ready_and_not_built_again(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ready = prepare.prepare(["tiny"], "apptainer")["tiny"]
    assert "image tiny is ready" in capsys.readouterr().err
    assert ready.versions["tiny"] == "1.0"
    assert ready.sha256 == apptainer.sha256(ready.sif)
    assert run_in(ready.sif, "python", "-c", "import tiny; print(tiny.ANSWER)") == "42\n"
    assert list((tiny / "cache/building").glob("tiny-*/")) == []
    # a user's binds and variables are for jobs, not for builds: they would fail or change it
    assert prepare.prepare(["tiny"], "apptainer", build=False)["tiny"] == ready
    assert capsys.readouterr().err == ""
    (image,) = recipe.find(["tiny"])
    assert verification.verify(image, "apptainer")["problems"] == []


def test_binds_of_the_user_do_not_reach_a_build(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPTAINER_BIND", f"{tiny}:/not/in/the/image")
    monkeypatch.setenv("APPTAINERENV_UV_FIND_LINKS", "/nowhere")
    assert prepare.prepare(["tiny"], "apptainer")["tiny"].versions["tiny"] == "1.0"


def test_a_changed_image_is_refused(tiny: Path) -> None:
    path = prepare.prepare(["tiny"], "apptainer")["tiny"].sif
    (image,) = recipe.find(["tiny"])
    whole = path.read_bytes()

    os.utime(path)  # copied to another disk, say: the content decides
    assert apptainer.check(path, recipe.recipe_hash(image)).sha256 == apptainer.sha256(path)

    middle = len(whole) // 2
    damaged = {
        "truncated": whole[:middle],
        "empty": b"",
        "one bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
    }
    for how, content in damaged.items():
        path.write_bytes(content)
        with pytest.raises(EnvironmentNotReadyError, match="its content has changed") as error:
            prepare.prepare(["tiny"], "apptainer")
        assert error.value.hint == "`mira images build tiny --force --runtime apptainer`", how
        assert verification.verify(image, "apptainer")["problems"] != []
    path.write_bytes(whole)
    assert prepare.prepare(["tiny"], "apptainer")["tiny"].sif == path


def test_an_image_of_another_recipe_is_refused(tiny: Path) -> None:
    path = prepare.prepare(["tiny"], "apptainer")["tiny"].sif
    with pytest.raises(EnvironmentNotReadyError, match="no record that it was built from this recipe"):
        apptainer.check(path, "0" * 12)
    found = record.read(apptainer.sidecar(path))
    record.write(apptainer.sidecar(path), found.model_copy(update={"recipe": "0" * 12}))
    (image,) = recipe.find(["tiny"])
    assert not prepare.is_built(image, "apptainer")


def test_a_failing_test_leaves_no_image(tiny: Path) -> None:
    (tiny / "assets/containers/tiny/smoke.py").write_text("raise ValueError('energy is nan')")
    with pytest.raises(EnvironmentNotReadyError, match="image tiny cannot be built with Apptainer") as error:
        prepare.prepare(["tiny"], "apptainer")
    assert error.value.log is not None
    assert "energy is nan" in error.value.log.read_text()
    assert [path.name for path in (tiny / "cache/images").iterdir() if "tiny" in path.name] == []
    assert list((tiny / "cache/building").glob("tiny-*/")) == []


def test_an_ordinary_user_builds_too(tiny: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("the other tests have just done so: they do not run as root")
    try:
        account = pwd.getpwnam(USER)
    except KeyError:
        subprocess.run(["useradd", "--create-home", USER], check=True)
        account = pwd.getpwnam(USER)
    code = "import sys; from tests import tiny_image; from pathlib import Path; tiny_image.use(Path(sys.argv[1]))\n"
    code += "from mira_cli.images import prepare; print(prepare.prepare(['tiny'], 'apptainer')['tiny'].sif)"
    home = Path(account.pw_dir) / tiny.name
    try:
        shutil.copytree(tiny, home)
        shutil.copytree(REPOSITORY / "mira_cli", home / "code/mira_cli")
        shutil.copytree(REPOSITORY / "tests", home / "code/tests", ignore=shutil.ignore_patterns("data"))
        shutil.copytree(REPOSITORY / "containers", home / "code/containers")
        subprocess.run(["chown", "-R", f"{USER}:", home], check=True)
        environment = {k: v for k, v in os.environ.items() if k.startswith(("LANG", "SSL_", "PYTHON"))}
        environment |= {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", **tiny_image.environment(home)}
        done = subprocess.run(
            [sys.executable, "-c", code, home / "assets"],
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
