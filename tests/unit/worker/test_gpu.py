"""GPU leases: one worker a GPU, whoever dies."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tests.unit.worker.jobs import WORKFLOW
from worker import device, gpu, provenance
from worker.errors import WorkerError
from worker.failures import Failure, kind_of
from worker.job import Checkpoint, Job, Model

HOLD = """
import json, sys, time
from pathlib import Path
from worker import gpu
held = gpu.lease(sys.argv[2].split(","), Path(sys.argv[1]))
begin = time.monotonic()
time.sleep(float(sys.argv[3]))
print(json.dumps([held.gpu, begin, time.monotonic()]), flush=True)
"""


def hold(folder: Path, gpus: str, seconds: float) -> subprocess.Popen:
    command = [sys.executable, "-c", HOLD, str(folder), gpus, str(seconds)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(WORKFLOW)}, stdout=subprocess.PIPE)


def job(device: str, gpus: tuple[str, ...]) -> Job:
    model = Model("m", "sevennet", Checkpoint("x", None), {}, "float32", None, stress=True)
    return Job("a", model, device, gpus)


def test_nobody_shares_a_gpu(tmp_path):
    workers = [hold(tmp_path, "0,1", 0.3) for _ in range(6)]
    held = [json.loads(worker.communicate(timeout=120)[0]) for worker in workers]
    for name in ("0", "1"):
        times = sorted((begin, end) for lent, begin, end in held if lent == name)
        assert times, f"GPU {name} was never lent"
        assert all(one[1] <= other[0] for one, other in itertools.pairwise(times))


def test_a_dead_worker_holds_nothing(tmp_path):
    holder = hold(tmp_path, "7", 600)
    while not (tmp_path / "7.lock").exists() or not (tmp_path / "7.lock").read_text():
        time.sleep(0.02)
    waiting = hold(tmp_path, "7", 0)
    time.sleep(0.5)
    assert waiting.poll() is None, "two workers have one GPU"
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert json.loads(waiting.communicate(timeout=120)[0])[0] == "7"


def test_a_released_gpu_can_be_lent_again(tmp_path):
    gpu.lease(["0"], tmp_path).release()
    gpu.lease(["0"], tmp_path).release()


@pytest.mark.parametrize(
    ("gpus", "visible", "expected"),
    [
        (["0", "1"], None, ("0", "1")),
        (["0", "1"], "1", ("1",)),
        (["0", "1"], "1,2", ("1",)),
        (["0", "1"], "", ()),
        (["0", "1"], "-1", ()),
        (["0", "1"], "GPU-a, GPU-b", ("GPU-a", "GPU-b")),
        ([], "0", ()),
    ],
)
def test_the_surroundings_are_respected(gpus, visible, expected):
    assert gpu.leasable(gpus, visible) == expected


@pytest.fixture
def surroundings(tmp_path, monkeypatch):
    """No SLURM, no choice of GPUs, and lock files of this test's own."""
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    monkeypatch.setattr(gpu, "lock_folder", lambda: tmp_path)
    return monkeypatch


def test_a_lease_makes_one_gpu_visible(surroundings):
    lease = device.reserve(job("auto", ("1", "3")), "torch")
    assert lease.gpu == os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    lease.release()


def test_numbers_are_those_that_nvidia_smi_shows(surroundings):
    surroundings.delenv("CUDA_DEVICE_ORDER", raising=False)
    surroundings.setenv("CUDA_VISIBLE_DEVICES", "1")  # a user's, in whatever order they mean
    device.reserve(job("auto", ("1",)), "torch").release()
    assert "CUDA_DEVICE_ORDER" not in os.environ
    surroundings.delenv("CUDA_VISIBLE_DEVICES")
    device.reserve(job("auto", ("1",)), "torch").release()
    assert (os.environ["CUDA_VISIBLE_DEVICES"], os.environ["CUDA_DEVICE_ORDER"]) == ("1", "PCI_BUS_ID")


def test_the_cpu_sees_no_gpu(surroundings):
    assert device.reserve(job("cpu", ("2",)), "torch") is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_slurm_has_chosen(surroundings):
    surroundings.setenv("SLURM_JOB_ID", "1")
    assert device.reserve(job("cuda", ("0",)), "torch") is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,3"


def test_nothing_to_lease(surroundings):
    assert device.reserve(job("auto", ()), "torch") is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,3"


def test_gpus_that_are_not_visible(surroundings):
    assert device.reserve(job("auto", ("0",)), "torch") is None
    with pytest.raises(WorkerError, match="none of the GPUs 0 is in CUDA_VISIBLE_DEVICES=2,3"):
        device.reserve(job("cuda", ("0",)), "torch")


def test_a_family_without_gpu(surroundings, tmp_path):
    assert device.reserve(job("auto", ("2",)), None) is None
    assert not list(tmp_path.iterdir())
    with pytest.raises(WorkerError, match="runs on the CPU only"):
        device.reserve(job("cuda", ("2",)), None)


@pytest.mark.parametrize(
    ("visible", "expected"), [("3", "3"), ("GPU-a, GPU-b", "GPU-a"), (" 1 ,2", "1"), ("", None), (None, None)]
)
def test_the_record_says_which_gpu(surroundings, visible, expected):
    surroundings.delenv("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        surroundings.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert provenance.gpu_in_use(device.Device("cuda:0", "NVIDIA A100", None)) == expected
    assert provenance.gpu_in_use(device.Device("cpu", "x86", None)) is None


def test_the_record_names_the_leased_gpu(surroundings):
    lease = device.reserve(job("auto", ("3",)), device.PRETENDED)
    assert provenance.gpu_in_use(device.choose_device("auto", device.PRETENDED, threads=1)) == "3"
    lease.release()


@pytest.mark.parametrize(("visible", "found"), [("0", "cuda:0"), ("NoDevFiles", "cpu"), ("-1", "cpu"), ("", "cpu")])
def test_a_pretended_gpu_is_there_where_one_is_visible(surroundings, visible, found):
    surroundings.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert device.choose_device("auto", device.PRETENDED, threads=1).id == found
    assert device.choose_device("cpu", device.PRETENDED, threads=1).id == "cpu"


class FakeTensorFlow(ModuleType):
    """As much of TensorFlow as the worker uses; remembers what it is told."""

    def __init__(self, gpus: list) -> None:
        super().__init__("tensorflow")
        self.told = {}
        experimental = SimpleNamespace(
            enable_tensor_float_32_execution=lambda on: self.told.update(tf32=on),
            get_device_details=lambda gpu: {"device_name": "NVIDIA A100", "compute_capability": (8, 0)},
            get_memory_info=lambda name: {"current": 0, "peak": 1_500_000_000},
            set_memory_growth=lambda gpu, on: self.told.update(growth=(gpu.name, on)),
        )
        threading = SimpleNamespace(
            set_intra_op_parallelism_threads=lambda n: self.told.update(intra=n),
            set_inter_op_parallelism_threads=lambda n: self.told.update(inter=n),
        )
        self.config = SimpleNamespace(
            experimental=experimental, threading=threading, list_physical_devices=lambda kind: gpus
        )


@pytest.fixture
def tensorflow(monkeypatch):
    """Stand in for TensorFlow, on a machine with the GPUs that it is called with."""

    def install(*gpus: str) -> FakeTensorFlow:
        fake = FakeTensorFlow([SimpleNamespace(name=name) for name in gpus])
        monkeypatch.setitem(sys.modules, "tensorflow", fake)
        monkeypatch.delitem(sys.modules, "torch", raising=False)
        return fake

    return install


def test_a_gpu_of_tensorflow(tensorflow):
    fake = tensorflow("/physical_device:GPU:0")
    found = device.choose_device("auto", "tensorflow", threads=3)
    assert (found.id, found.name) == ("cuda:0", "NVIDIA A100")
    assert fake.told == {"growth": ("/physical_device:GPU:0", True), "tf32": False, "intra": 3, "inter": 3}
    assert device.peak_gpu_mb(found) == 1500.0


def test_tensorflow_on_a_cpu(tensorflow):
    fake = tensorflow()
    found = device.choose_device("auto", "tensorflow", threads=2)
    assert found.id == "cpu"
    assert fake.told == {"tf32": False, "intra": 2, "inter": 2}
    assert device.peak_gpu_mb(found) is None
    with pytest.raises(WorkerError, match="tensorflow sees no GPU"):
        device.choose_device("cuda", "tensorflow", threads=2)


class ResourceExhaustedError(Exception):
    """Named like TensorFlow's."""


class InternalError(Exception):
    """Named like TensorFlow's."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ResourceExhaustedError("OOM when allocating tensor with shape[9] on GPU:0"), Failure.OOM),
        (
            InternalError("2 root error(s) found. Out of memory while trying to allocate 68852648264 bytes."),
            Failure.OOM,
        ),
        (InternalError("Failed copying input tensor: Dst tensor is not initialized."), Failure.OOM),
        (InternalError("Failed to load in-memory CUBIN: CUDA_ERROR_OUT_OF_MEMORY"), Failure.OOM),
        (InternalError("GPU sync failed"), Failure.DEVICE_LOST),
        (InternalError("Failed to synchronize the stream: CUDA_ERROR_ILLEGAL_ADDRESS"), Failure.DEVICE_LOST),
        (InternalError("Graph execution error"), Failure.ERROR),
    ],
)
def test_what_tensorflow_says_is_understood(error, kind):
    assert kind_of(error) is kind


@pytest.mark.parametrize("one", ["GPU-8f6e", "MIG-2c9a", "MIG-GPU-8f6e/1/0", "3"])
def test_every_spelling_of_a_gpu_can_be_leased(tmp_path, one):
    found = gpu.lease(gpu.leasable(("0", "3"), one), tmp_path)
    assert found.gpu == one
    found.release()
