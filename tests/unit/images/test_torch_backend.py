"""`--torch-backend`: another PyTorch is another recipe, is used from then on, and can be given back."""

import json
import re
from pathlib import Path

import pytest

from mira_cli import paths
from mira_cli.commands import images as command
from mira_cli.errors import EnvironmentNotReadyError, UsageError
from mira_cli.images import prepare, recipe, torch_backend, venv, verification
from tests import tiny_image


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a tiny image that has a torch, and one that has none."""
    assets = tiny_image.make(tmp_path)
    tiny_image.add(tmp_path, "net", package="torch", smoke="import torch.version; print(torch.version.cuda)\n")
    monkeypatch.setattr(paths, "assets", lambda: assets)
    for name, value in tiny_image.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UV_FIND_LINKS", f"{tiny_image.older_wheels(tmp_path)},{tiny_image.wheels(tmp_path)}")
    return tmp_path


def net() -> recipe.Image:
    return recipe.find_images(["net"])[0]


def listed(capsys: pytest.CaptureFixture[str]) -> dict:
    capsys.readouterr()
    command.print_list(as_json=True)
    return {row["image"]: row for row in json.loads(capsys.readouterr().out)}["net"]


def test_another_torch_sticks_until_it_is_given_back(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as alone:
        alone.setenv("UV_FIND_LINKS", str(tiny_image.wheels(project)))
        command.build(["net"], runtime="venv")
    before, place = recipe.recipe_hash(net()), venv.venv_folder(net())
    assert prepare.prepare_images(["net"], "venv")["net"].versions["cuda"] == "13.0"

    command.build(["net"], runtime="venv", backend="cu126")
    ready = prepare.prepare_images(["net"], "venv", build=False)["net"]  # as `mira run` does
    assert (ready.versions["torch"], ready.versions["cuda"]) == ("1.0+cu126", "12.6")
    assert ready.recipe == recipe.recipe_hash(net()) != before
    assert recipe.pinned_versions(net()) == {"torch": "1.0+cu126", "nvidia-cuda-runtime": "12.6"}
    lock = recipe.recipe_files(net())["requirements.lock"].read_text()
    assert lock.count("--hash=sha256:") == 2
    assert str(project) not in lock
    assert verification.verify_image(net(), "venv")["problems"] == []
    row = listed(capsys)
    assert (row["recipe"], row["torch_backend"]) == (ready.recipe, "cu126")
    assert row["venv"]["path"] == str(venv.venv_folder(net())) != str(place)
    capsys.readouterr()
    command.build(["net"], runtime="venv")
    assert "is built already" in capsys.readouterr().err

    command.build(["net"], runtime="venv", backend="default")
    assert "is built already" in capsys.readouterr().err
    assert recipe.recipe_hash(net()) == before
    assert listed(capsys)["torch_backend"] is None
    assert verification.verify_image(net(), "venv")["problems"] == []


def test_a_new_recipe_keeps_the_choice_and_is_resolved_anew(project: Path) -> None:
    command.build(["net"], runtime="venv", backend="cu126")
    old = recipe.recipe_hash(net())
    with (project / "assets/containers/net/requirements.lock").open("a") as stream:
        stream.write("# newer\n")
    assert recipe.recipe_hash(net()) != old
    assert recipe.pinned_versions(net())["torch"] == "1.0"  # until it is resolved
    assert prepare.prepare_images(["net"], "venv")["net"].versions["torch"] == "1.0+cu126"


def test_what_cannot_be_resolved_changes_nothing(project: Path) -> None:
    command.build(["net"], runtime="venv", backend="cu126")
    before = recipe.recipe_hash(net())
    with pytest.raises(EnvironmentNotReadyError, match=r"PyTorch 1\.0\+cu126 was found in place of one for cu118"):
        command.build(["net"], runtime="venv", backend="cu118")
    assert recipe.recipe_hash(net()) == before
    assert net().torch_backend == "cu126"
    assert [path.name for path in (project / "cache/locks").iterdir()] == [f"net-{before}.lock"]


def test_an_index_out_of_reach_is_one_sentence(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_OFFLINE", "UV_FIND_LINKS"):
        monkeypatch.delenv(name)
    for name, value in {
        "https_proxy": "http://127.0.0.1:9",
        "UV_HTTP_RETRIES": "0",
        "UV_CACHE_DIR": str(project / "uv"),
    }.items():
        monkeypatch.setenv(name, value)
    wanted = r"PyTorch for cu126 cannot be resolved for image net: .*Failed to fetch: https://download\.pytorch\.org/whl/cu126/"
    with pytest.raises(EnvironmentNotReadyError, match=wanted) as error:
        command.build(["net"], runtime="venv", backend="cu126")
    assert "\n" not in error.value.message
    assert "UV_FIND_LINKS" in (error.value.hint or "")
    assert net().torch_backend is None


def test_all_other_pins_hold(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[list[str]] = []
    kept: list[str] = []

    def run(_shop, words, *, cwd: Path, **_: object) -> None:
        said.append(words)
        kept.append((cwd / "constraints.txt").read_text())
        (cwd / "requirements.lock").write_text("torch==2.13.0+cu126 \\\n    --hash=sha256:00\n")

    monkeypatch.undo()
    monkeypatch.setenv("MIRA_CACHE", str(project / "cache"))
    monkeypatch.setattr("mira_cli.images.building.Workshop.run", run)
    (image,) = torch_backend.retarget(recipe.find_images(["mattersim"]), "cu126")
    with torch_backend.building.workshop("x") as shop:
        torch_backend.resolve(image, shop, lambda _: None)
    assert "--torch-backend cu126 --generate-hashes" in " ".join(said[0])
    assert said[0][-2:] == ["--override", "overrides.txt"]
    pins = recipe.parse_pins(kept[0])
    assert pins["torch"] == "2.13.0"  # of whatever build
    assert pins.items() < recipe.locked_versions(image).items()
    left_out = set(recipe.locked_versions(image)) - set(pins)
    assert {"triton", "nvidia-cuda-runtime", "cuda-bindings"} <= left_out
    assert [name for name in left_out if not re.match(r"triton$|nvidia-|cuda-", name)] == []


def test_auto_is_what_fits_the_driver(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.build(["net"], runtime="venv", backend="auto")  # uv finds the only one that there is
    assert net().torch_backend == "cu126"
    assert "PyTorch for this machine: cu126" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("found", "means"), [("cu130", "default"), ("cu132", "default"), ("cpu", "cpu"), ("", "default")]
)
def test_auto_keeps_the_lock_where_it_fits(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], found: str, means: str
) -> None:
    text = f"torch==1.0{'+' if found else ''}{found}\n"
    monkeypatch.setattr(torch_backend, "_compile", lambda *_, **__: text)
    assert torch_backend.detect(net()) == means
    assert ("no NVIDIA driver is seen" in capsys.readouterr().err) is (found == "cpu")


def test_images_without_torch_are_left_alone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="does not apply to tiny"):
        command.build(["tiny"], runtime="venv", backend="cu126")
    command.build(["all"], runtime="venv", backend="cu126")
    assert "image tiny holds no PyTorch" in capsys.readouterr().err
    assert {image.name: image.torch_backend for image in recipe.all_images()} == {"tiny": None, "net": "cu126"}
    assert all(prepare.is_built(image, "venv") for image in recipe.all_images())


def test_an_unknown_backend_is_a_wrong_use(mira, tmp_path: Path) -> None:
    words = ("images", "build", "matgl", "--runtime", "venv", "--torch-backend")
    done = mira(*words, "cuda12", code=2, MIRA_CACHE=str(tmp_path))
    assert "there is no PyTorch backend `cuda12`" in done.stderr
    done = mira("images", "build", "grace", *words[3:], "cu126", code=2, MIRA_CACHE=str(tmp_path))
    assert "does not apply to grace" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("backend", "kernels"),
    [
        ("cu126", ("[cueq12]", "cuequivariance-ops-torch-cu12==0.9.1\n")),
        ("cu130", ("[cueq13]", "cuequivariance-ops-torch-cu13==0.9.1\n")),
        ("cpu", ("", "")),
        ("rocm6.4", ("", "")),
    ],
)
def test_kernels_are_those_of_the_same_cuda(backend: str, kernels: tuple[str, str]) -> None:
    asked = "sevenn{}==0.13.0\nmace-torch[cueq]==0.3.16\n{}torch==2.13.0\n"
    given = asked.format("[cueq13]", "cuequivariance-ops-torch-cu13==0.9.1\n")
    assert torch_backend.with_kernels(given, backend) == asked.format(*kernels)


def test_the_images_kernels_are_known_by_name() -> None:
    """A package of kernels under another name would stay at the lock's CUDA."""
    for image in recipe.find_images(["fairchem-sevennet", "mace-orb"]):
        asked = (image.folder / "requirements.in").read_text()
        assert "13" in re.sub(r"==\S+", "", asked)
        assert "13" not in re.sub(r"==\S+", "", torch_backend.with_kernels(asked, "cu126"))
