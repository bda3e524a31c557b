"""How images run, the GPUs, the images, and the weights."""

import fcntl
import hashlib
import os
import shutil

import pytest

from mira_cli.doctor import gpu, images, runtime, weights
from mira_cli.doctor.finding import ok
from mira_cli.images import apptainer, choices, recipe, record, venv
from mira_cli.weights import store
from mira_cli.weights.manifest import Manifest, hash_files, main_sha256
from tests.unit.doctor.faults import build_record, look, pretend_sif

TORCH = [image.name for image in recipe.all_images() if "torch" in recipe.locked_versions(image)]


def test_broken_apptainer_means_environments(put, tmp_path) -> None:
    put(
        "apptainer",
        'case "$*" in --version) echo apptainer version 9.9.9;; *) echo "FATAL:   no way" >&2; exit 255;; esac',
    )
    put("unshare", 'echo "unshare: unshare failed: Operation not permitted" >&2; exit 1')
    found = look(runtime.runtime_here)
    assert found["Apptainer"].status == "warn"
    assert "cannot build an image: no way" in found["Apptainer"].message
    assert found["user namespaces"].status == "warn"
    assert "Operation not permitted" in found["user namespaces"].message
    assert found["--runtime auto"].message.startswith("takes virtual environments")


def test_neither_apptainer_nor_a_python_is_a_failure(bare, monkeypatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(bare / "none"))
    monkeypatch.setattr("mira_cli.images.host_python.candidates", lambda version, host: iter(()))
    found = look(runtime.runtime_here)
    assert found["Apptainer"].status == "warn"
    assert found["Python 3.13"].status == "fail"
    assert found["C compiler"].status == "warn"
    monkeypatch.setenv("UV_OFFLINE", "0")
    assert look(runtime.runtime_here)["Python 3.13"].status == "warn"


def test_images_for_apptainer_and_a_node_without_it_is_a_failure(bare) -> None:
    assert look(runtime.runtime_on_node)["--runtime auto"].status == "ok"
    pretend_sif(recipe.all_images()[0])
    found = look(runtime.runtime_on_node)["--runtime auto"]
    assert found.status == "fail"
    assert "does not work on this node" in found.message


def test_fuse_that_cannot_be_opened_is_told(put, tmp_path, monkeypatch) -> None:
    put("apptainer", "exit 0")
    monkeypatch.setattr(runtime, "FUSE", tmp_path / "fuse")
    assert list(runtime._fuse())[0].message == "missing"
    (tmp_path / "fuse").mkdir()  # root may open every file, but no folder
    assert list(runtime._fuse())[0].message == "cannot be opened: is a directory"


LISTING = "NVIDIA A100-SXM4-40GB, 40960, 535.104.05, 8.0"
HEADER = "| NVIDIA-SMI 535.104.05   Driver Version: 535.104.05   CUDA Version: 12.2     |"


def _smi(put, row: str, header: str, count: int = 2) -> None:
    rows = "\n".join([row] * count)
    put("nvidia-smi", f"case \"$*\" in *query*) echo '{rows}';; *) echo '{header}';; esac")


def test_a_driver_that_is_too_old_names_the_images_and_the_command(put, monkeypatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    _smi(put, LISTING, HEADER)
    found = look(gpu.gpus)
    assert found["GPU"].message == "2 x NVIDIA A100-SXM4-40GB, 40 GiB, driver 535.104.05 for CUDA 12.2"
    assert found["images' CUDA"].status == "warn"
    assert found["images' CUDA"].hint == f"`mira images build {' '.join(TORCH)} --torch-backend cu126`"
    assert "driver 580 or newer" in found["images' CUDA"].message
    for name in TORCH:
        choices.update(recipe.BACKENDS, name, "cu126")
    assert look(gpu.gpus)["images' CUDA"].status == "ok"


def test_what_was_built_is_believed_more_than_the_lock(put) -> None:
    _smi(put, LISTING, HEADER)
    pretend_sif(recipe.find_images(["matgl"])[0], cuda="12.6")
    assert " matgl " not in (look(gpu.gpus)["images' CUDA"].message)


@pytest.mark.parametrize(
    ("row", "cuda", "backend"),
    [
        ("Tesla V100-SXM2-32GB, 32768, 580.65.06, 7.0", "13.0", "cu126"),
        ("Tesla V100-SXM2-32GB, 32768, 535.104.05, 7.0", "12.2", "cu126"),
        ("NVIDIA B200, 183359, 570.86.15, 10.0", "12.8", "cu128"),
        ("Tesla K80, 11441, 470.223.02, 3.7", "11.4", None),
    ],
)
def test_the_backend_suits_gpu_and_driver(put, row, cuda, backend) -> None:
    _smi(put, row, f"CUDA Version: {cuda}", count=1)
    hints = [finding.hint for finding in gpu.gpus() if finding.name == "images' CUDA"]
    assert f"`mira images build {' '.join(TORCH)} --torch-backend {backend}`" in hints or backend is None
    assert all("newer driver" in hint for hint in hints) or backend


def test_a_new_gpu_fits_the_locks_but_not_an_old_backend(put) -> None:
    _smi(put, "NVIDIA B200, 183359, 580.65.06, 10.0", "CUDA Version: 13.0", count=1)
    assert look(gpu.gpus)["images' CUDA"].status == "ok"
    choices.update(recipe.BACKENDS, "matgl", "cu126")
    found = look(gpu.gpus)["images' CUDA"]
    assert found.hint == "`mira images build matgl --torch-backend default`"


def test_an_old_nvidia_smi_knows_no_capability_and_no_cuda(put) -> None:
    row = "Tesla T4, 15109, 450.80.02"
    put("nvidia-smi", f"case \"$*\" in *compute_cap*) echo 'no such field'; exit 2;; *query*) echo '{row}';; esac")
    found = gpu.query()
    assert isinstance(found, gpu.Gpus)
    assert (found.driver, found.cuda, found.capabilities) == ("450.80.02", (11, 0), ())


def test_nvidia_smi_that_fails_is_a_warning_only_where_there_is_a_card(put, monkeypatch) -> None:
    put("nvidia-smi", "echo 'NVIDIA-SMI has failed because it could not communicate.'; exit 9")
    monkeypatch.setattr(gpu, "has_card", lambda sysfs: False)
    assert look(gpu.gpus)["GPU"].status == "ok"
    monkeypatch.setattr(gpu, "has_card", lambda sysfs: True)
    found = look(gpu.gpus)["GPU"]
    assert (found.status, found.message) == (
        "warn",
        "nvidia-smi: NVIDIA-SMI has failed because it could not communicate",
    )


def test_a_card_is_known_by_what_the_kernel_says(tmp_path) -> None:
    device = tmp_path / "bus" / "pci" / "devices" / "0000:01:00.0"
    device.mkdir(parents=True)
    assert not gpu.has_card(tmp_path)
    (device / "vendor").write_text("0x10de\n")
    (device / "class").write_text("0x030200\n")
    assert gpu.has_card(tmp_path)
    (device / "class").write_text("0x040300\n")  # its sound
    assert not gpu.has_card(tmp_path)


def test_hidden_gpus_are_told(put, monkeypatch) -> None:
    _smi(put, LISTING, HEADER)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert look(gpu.gpus)["visible GPUs"].status == "warn"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert look(gpu.gpus)["visible GPUs"].status == "ok"


def test_images_that_cannot_be_used_name_the_command(cache) -> None:
    whole, cut, lost, bare = recipe.find_images(["matgl", "mace-orb", "grace", "mattersim"])
    pretend_sif(whole)
    pretend_sif(cut, n_bytes=5)
    venv.venv_folder(lost).mkdir(parents=True)
    record.write_build_record(
        venv.venv_folder(lost) / venv.MARKER, build_record(lost.name, recipe.recipe_hash(lost), 1, "venv", "12.5")
    )
    pretend_sif(bare)
    apptainer.sidecar(apptainer.sif_path(bare)).unlink()
    found = look(images.images)
    assert found["matgl"] == ok("matgl", "apptainer 0 MB")
    assert found["mace-orb"].hint == "`mira images build mace-orb --force --runtime apptainer`"
    assert found["grace"].hint == "`mira images build grace --force --runtime venv`"
    assert "Python" in found["grace"].message
    assert "record" in found["mattersim"].message
    assert found["fairchem-sevennet"].status == "ok"
    assert "not built" in found["fairchem-sevennet"].message


def test_an_image_of_an_older_recipe_is_told(cache) -> None:
    sif = pretend_sif(recipe.find_images(["matgl"])[0])
    old = cache / "images" / "mira-matgl-000000000000.json"
    shutil.copy(apptainer.sidecar(sif), old)
    assert look(images.images)["matgl"].status == "ok"
    assert "matgl" in look(images.leftovers)["other recipes"].message
    sif.unlink()
    apptainer.sidecar(sif).unlink()
    found = look(images.images)["matgl"]
    assert found.status == "warn"
    assert "recipe has changed" in found.message


def test_leftovers_of_dead_builds_and_builds_that_run(cache, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("APPTAINER_TMPDIR", str(tmp_path / "scratch"))
    assert look(images.leftovers) == {}
    (cache / "building" / "matgl-1-venv").mkdir(parents=True)
    (cache / "building" / "matgl-1-venv.lock").write_text("")
    unpacked = tmp_path / "scratch" / f"mira-{os.getuid()}-grace-2-apptainer"
    unpacked.mkdir(parents=True)
    found = look(images.leftovers)["builds"]
    assert found.status == "warn"
    assert str(unpacked) in found.hint
    with (cache / "building" / "matgl-1-venv.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lines = list(images.leftovers())
    assert lines[0] == ok("builds", "running now: matgl-1-venv")
    assert str(cache / "building" / "matgl-1-venv") not in lines[1].hint


def test_weights_that_are_missing_are_told_without_reading_all(cache) -> None:
    assert look(weights.weights)["store"].status == "ok"
    place = store.weights_folder("mace", "small")
    (place / store.FILES).mkdir(parents=True)
    assert look(weights.weights)["mace/small"].status == "warn"
    file = place / store.FILES / "model.bin"
    file.write_bytes(b"weights")
    files = hash_files(place / store.FILES)
    digest = hashlib.sha256(b"weights").hexdigest()
    assert main_sha256("model.bin", files) == digest
    store.write_manifest(
        place,
        Manifest(
            how="fetched", family="mace", name="small", main="model.bin", sha256=digest, files=files, when=record.now()
        ),
    )
    assert list(look(weights.weights)) == ["store"]
    assert "1 set of weights" in look(weights.weights)["store"].message
    file.unlink()
    found = look(weights.weights)["mace/small"]
    assert found.status == "warn"
    assert "model.bin" in found.message
    assert "mira weights verify" in found.hint
