"""The real builder of virtual environments, on an image of one tiny package: what it leaves, and what never."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mira_cli import paths
from mira_cli.errors import EnvironmentNotReadyError, UsageError
from mira_cli.images import building, prepare, process, recipe, venv, verification
from tests import tiny_image

REPOSITORY = Path(__file__).resolve().parents[3]
# another `mira`, that builds the tiny image
BUILD = "import sys; from tests import tiny_image; from pathlib import Path; tiny_image.use(Path(sys.argv[1]))\n"
BUILD += "from mira_cli.images import prepare; print(prepare.prepare_images(['tiny'], 'venv')['tiny'].python)"


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one tiny image, and a cache of its own."""
    assets = tiny_image.make(tmp_path)
    monkeypatch.setattr(paths, "assets", lambda: assets)
    for name, value in tiny_image.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    return tmp_path


def smoke(tiny: Path, code: str) -> None:
    (tiny / "assets/containers/tiny/smoke.py").write_text(code)


def other_builder(tiny: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, tiny / "assets"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        start_new_session=True,
    )


def left(tiny: Path) -> list[str]:
    """What a build has left, besides locks and logs."""
    cache = tiny / "cache"
    found = [path for kind in ("envs", "images", "building") for path in cache.glob(f"{kind}/*")]
    return sorted(str(path.relative_to(cache)) for path in found if path.suffix != ".lock")


def wait_until(happened: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.05)


def wait_for(path: Path) -> str:
    wait_until(lambda: path.exists() and path.read_text() != "")
    return path.read_text()


def test_what_is_built_is_ready_and_not_built_again(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ready = prepare.prepare_images(["tiny"], "venv")["tiny"]
    said = capsys.readouterr().err
    assert "building image tiny for venv" in said
    assert "image tiny is ready" in said
    (image,) = recipe.find_images(["tiny"])
    assert ready.python == str(tiny / "cache" / "envs" / f"tiny-{recipe.recipe_hash(image)}" / "bin" / "python")
    answer = subprocess.run([ready.python, "-c", "import tiny; print(tiny.ANSWER)"], stdout=subprocess.PIPE, check=True)
    assert answer.stdout == b"42\n"
    assert ready.versions["tiny"] == "1.0"
    assert ready.versions["python"].startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")
    marker = json.loads((venv.venv_folder(image) / "mira-image.json").read_text())
    assert marker["recipe"] == recipe.recipe_hash(image)
    assert marker["bytes"] > 0
    # compiled, so that no job has to
    assert list(venv.venv_folder(image).rglob("tiny.*.pyc"))
    assert prepare.prepare_images(["tiny"], "venv", build=False)["tiny"] == ready
    assert capsys.readouterr().err == ""
    assert left(tiny) == [f"envs/tiny-{ready.recipe}"]
    assert verification.verify_image(image, "venv")["problems"] == []


def test_missing_and_not_to_be_built(tiny: Path) -> None:
    with pytest.raises(EnvironmentNotReadyError) as error:
        prepare.prepare_images(["tiny"], "venv", build=False)
    assert error.value.hint == "`mira images build tiny --runtime venv`"
    with pytest.raises(UsageError):
        prepare.prepare_images(["tinny"], "venv")
    assert not (tiny / "cache").exists()


def test_a_failing_smoke_test_leaves_nothing_but_a_log(tiny: Path) -> None:
    smoke(tiny, "raise ValueError('energy is nan')")
    with pytest.raises(EnvironmentNotReadyError, match=r"smoke test fails.*energy is nan") as error:
        prepare.prepare_images(["tiny"], "venv")
    assert error.value.log is not None
    assert "Traceback" in error.value.log.read_text()
    assert left(tiny) == []


def test_a_package_that_is_not_the_locked_one_is_refused(tiny: Path) -> None:
    (wheel,) = tiny_image.wheels(tiny).iterdir()
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("more.py", "")
    with pytest.raises(EnvironmentNotReadyError, match="cannot be built") as error:
        prepare.prepare_images(["tiny"], "venv")
    assert error.value.log is not None
    assert "ash mismatch" in error.value.log.read_text()
    assert left(tiny) == []


def test_the_log_holds_no_secret(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_INDEX_SITE_PASSWORD", "hunter2")
    prepare.prepare_images(["tiny"], "venv")
    (log,) = (tiny / "cache/logs").iterdir()
    assert "uv pip sync" in log.read_text().replace("/uv ", "uv ")
    assert "hunter2" not in log.read_text()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_build_leaves_nothing(tiny: Path, sign: signal.Signals) -> None:
    note = tiny / "pid"
    smoke(tiny, f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    builder = other_builder(tiny)
    child = int(wait_for(note))
    builder.send_signal(sign)
    builder.communicate(timeout=120)
    assert [name for name in left(tiny) if name.startswith("envs/")] == []
    if sign == signal.SIGINT:
        assert left(tiny) == []
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
        return
    # a killed builder cannot clean up: its children keep the lock while they live, then the next builder cleans up
    (image,) = recipe.find_images(["tiny"])

    def clean_up() -> list[str]:
        with building.workshop("something-else"):
            return left(tiny)

    assert len(clean_up()) == 2
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: clean_up() == ["building/something-else"])
    assert not prepare.is_built(image, "venv")


def test_a_second_builder_waits_and_takes_what_the_first_made(tiny: Path) -> None:
    note, go = tiny / "note", tiny / "go"
    begin = f"import os, time\nopen({str(note)!r}, 'a').write('x')\n"
    smoke(tiny, begin + f"while not os.path.exists({str(go)!r}): time.sleep(0.05)\n")
    first = other_builder(tiny)
    wait_for(note)
    second = other_builder(tiny)
    said = ""
    while "waiting for it" not in said:
        line = second.stderr.readline()
        assert line, f"the second builder did not wait: {said}"
        said += line
    go.touch()
    outputs = [builder.communicate(timeout=120)[0] for builder in (first, second)]
    assert outputs[0] == outputs[1]
    assert outputs[0].strip().endswith("/bin/python")
    assert note.read_text() == "x"  # one smoke test, so one build


def test_forced_builds_replace(tiny: Path) -> None:
    (image,) = recipe.find_images(["tiny"])
    prepare.prepare_images(["tiny"], "venv")
    stale = venv.venv_folder(image) / "stale"
    stale.touch()
    prepare.build_image(image, "venv", force=True)
    assert not stale.exists()
    assert left(tiny) == [f"envs/{venv.venv_folder(image).name}"]


def test_an_environment_without_a_whole_record_is_built_again(tiny: Path) -> None:
    (image,) = recipe.find_images(["tiny"])
    prepare.prepare_images(["tiny"], "venv")
    (venv.venv_folder(image) / "mira-image.json").write_text("{")
    assert not prepare.is_built(image, "venv")
    prepare.prepare_images(["tiny"], "venv")
    assert prepare.is_built(image, "venv")


def test_an_environment_whose_python_has_gone_is_not_ready(tiny: Path) -> None:
    (image,) = recipe.find_images(["tiny"])
    prepare.prepare_images(["tiny"], "venv")
    venv.interpreter(image).unlink()
    venv.interpreter(image).symlink_to(tiny / "gone")
    assert not prepare.is_built(image, "venv")


def test_verification_sees_what_is_not_in_the_lock(tiny: Path) -> None:
    (image,) = recipe.find_images(["tiny"])
    assert verification.verify_image(image, "venv")["problems"] == ["not built for venv"]
    prepare.prepare_images(["tiny"], "venv")
    (installed,) = venv.venv_folder(image).rglob("tiny-1.0.dist-info")
    metadata = (installed / "METADATA").read_text()
    (installed / "METADATA").write_text(metadata.replace("1.0", "1.1"))
    assert verification.verify_image(image, "venv")["problems"] == ["tiny is 1.1, not 1.0"]
    (installed / "METADATA").write_text(metadata.replace("Name: tiny", "Name: huge"))
    assert verification.verify_image(image, "venv")["problems"] == [
        "tiny 1.0 is missing",
        "huge 1.0 is not in the lock",
    ]


def test_too_little_space_is_said_before(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (image,) = recipe.find_images(["tiny"])
    cost = recipe.Cost(minutes=1, gigabytes=1, free_gigabytes=1e9)
    with pytest.raises(EnvironmentNotReadyError, match=r"needs 1000000000\.0 GB in .* are free"):
        prepare.build_image(image.model_copy(update={"cost": {"venv": cost}}), "venv")
    assert left(tiny) == []


def test_a_cache_that_cannot_be_written_is_one_sentence(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tiny / "file").touch()
    monkeypatch.setenv("MIRA_CACHE", str(tiny / "file" / "cache"))
    with pytest.raises(EnvironmentNotReadyError, match=r"tiny is not in MIRA's cache .*: not a dir") as error:
        prepare.prepare_images(["tiny"], "venv")
    assert "MIRA_CACHE" in (error.value.hint or "")
    assert "`mira images build tiny --runtime venv`" in (error.value.hint or "")


def test_images_that_do_not_fit_are_refused_before_the_base_is_built(tiny: Path) -> None:
    (image,) = recipe.find_images(["tiny"])
    cost = recipe.Cost(minutes=1, gigabytes=1e9, free_gigabytes=1)
    with pytest.raises(EnvironmentNotReadyError, match=r"building image tiny .* needs 1000000000\.0 GB") as error:
        prepare.build_images([image.model_copy(update={"cost": {"apptainer": cost}})], "apptainer")
    assert "MIRA_CACHE" in (error.value.hint or "")
    assert left(tiny) == []
    assert not (tiny / "cache" / "building").exists()


def test_a_quota_met_within_a_build_is_said_with_its_remedy(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uv = tiny / "uv"  # with the words of uv 0.13.9 on a file system with a quota
    said = "error: Failed to download `tiny==1.0`\n  cause: Failed to extract archive: tiny.whl\n"
    said += f"  cause: failed to write to file `{'/x' * 90}`: Disk quota exceeded (os error 122)"
    uv.write_text(f"#!/bin/sh\n[ $1 = cache ] && echo {tiny} && exit\necho '{said}' >&2\nexit 1\n")
    uv.chmod(0o755)
    monkeypatch.setattr("uv.find_uv_bin", lambda: str(uv))
    with pytest.raises(EnvironmentNotReadyError, match=r"Disk quota exceeded \(os error 122\)$") as error:
        prepare.prepare_images(["tiny"], "venv")
    assert "`tiny==1.0`" in error.value.message
    assert "UV_CACHE_DIR" in (error.value.hint or "")
    assert left(tiny) == []


def test_what_the_system_refuses_within_a_build_is_a_sentence(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "/somewhere")

    monkeypatch.setattr(venv.record, "write_build_record", full)
    with pytest.raises(EnvironmentNotReadyError, match="the system refused `/somewhere`: disk quota exceeded") as error:
        prepare.prepare_images(["tiny"], "venv")
    assert "free space" in (error.value.hint or "")
    assert left(tiny) == []


def test_a_compiler_is_asked_for_before(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (image,) = recipe.find_images(["tiny"])
    monkeypatch.setenv("PATH", str(tiny))
    with pytest.raises(EnvironmentNotReadyError, match="no C compiler"):
        prepare.build_image(image.model_copy(update={"compiles": ("tiny",)}), "venv")


def test_the_telling_line_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("error: first\nERROR: No space left on device\n+ done\n")
    assert process.likely_error(log) == "ERROR: No space left on device"
    log.write_text("FATAL:   " + "x" * 500)
    assert len(process.likely_error(log)) == 160
    log.write_text("error: one\n  cause: two\n  cause: three\nended\n")
    assert process.likely_error(log) == "one: three"
    log.write_text("all is well\n")
    assert process.likely_error(log) == ""
