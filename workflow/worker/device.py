"""Which device a model runs on, and what a framework can say about it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from worker import gpu
from worker.errors import WorkerError

if TYPE_CHECKING:
    from worker.job import Job


# The framework of models that rehearse how GPUs are shared: every GPU that is visible is taken to be there.
PRETENDED = "pretended"

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>
_KEEP_BYTES = (1 << 30, 32 << 20)  # the second where glibc, before 2.35, takes no more


@dataclass(frozen=True)
class Device:
    """A device as records name it: `id` is `cpu` or `cuda:0`."""

    id: str
    name: str
    gpu_uuid: str | None


def reserve(job: Job, framework: str | None) -> gpu.Lease | None:
    """Make at most one GPU visible, before a framework is imported.

    Parameters
    ----------
    job
        Says the device and the GPUs that may be leased.
    framework
        What the family computes with; None if it knows no GPU.

    Returns
    -------
    Lease or None
        To be kept while the GPU is used; None where the batch system has chosen, or there is nothing to choose.

    Raises
    ------
    WorkerError
        A GPU is asked for, and the family or the surroundings allow none; or GPUs cannot be shared out.
    """
    if job.device == "cpu" or framework is None:
        if job.device == "cuda":
            raise WorkerError(f"{job.model.name} runs on the CPU only, and device 'cuda' was asked for")
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return None
    if not job.gpus or "SLURM_JOB_ID" in os.environ:
        return None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    allowed = gpu.leasable(job.gpus, visible)
    if not allowed:
        if job.device == "cuda":
            raise WorkerError(f"none of the GPUs {', '.join(job.gpus)} is in CUDA_VISIBLE_DEVICES={visible}")
        return None
    lease = gpu.lease(allowed, gpu.lock_folder())
    os.environ["CUDA_VISIBLE_DEVICES"] = lease.gpu
    if visible is None:  # the numbers are nvidia-smi's; CUDA's own begin with the fastest
        os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    return lease


def choose_device(wanted: str, framework: str | None, threads: int) -> Device:
    """Settle on a device once the framework is imported.

    Raises
    ------
    WorkerError
        A GPU is asked for, and the framework sees none.
    """
    find = {"torch": _torch_gpu, "tensorflow": _tensorflow_gpu, PRETENDED: _pretended_gpu}.get(framework or "")
    found = find(threads) if find else None
    if found is None and wanted == "cuda":
        raise WorkerError(f"device 'cuda' was asked for, but {framework} sees no GPU on {os.uname().nodename}")
    if found and wanted != "cpu":
        return found
    _keep_memory()
    return Device("cpu", _cpu_name(), None)


def peak_gpu_mb(device: Device) -> float | None:
    """Return the most GPU memory, in MB, that tensors took at once; None on a CPU."""
    if device.id == "cpu":
        return None
    if torch := sys.modules.get("torch"):
        return float(round(torch.cuda.max_memory_allocated() / 1e6, 1))
    if tensorflow := sys.modules.get("tensorflow"):
        return float(round(tensorflow.config.experimental.get_memory_info("GPU:0")["peak"] / 1e6, 1))
    return None


def held_gpu_mb() -> float | None:
    """Return the GPU memory, in MB, that tensors hold now; None if the framework does not say."""
    torch = sys.modules.get("torch")
    return round(torch.cuda.memory_allocated() / 1e6, 1) if torch else None


def free_gpu_mb() -> float:
    """Return the memory in MB that the framework in use can have on its GPU."""
    if torch := sys.modules.get("torch"):
        return float(torch.cuda.mem_get_info()[0] / 1e6)
    from tensorflow.python.client import device_lib

    limits = [found.memory_limit for found in device_lib.list_local_devices() if found.device_type == "GPU"]
    return max(limits, default=0) / 1e6


def _keep_memory() -> None:
    """Let the C library keep what is freed, for the next batch.

    By itself glibc gives large arrays back to the system at once, which then clears every page again.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for parameter in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
            any(mallopt(parameter, size) for size in _KEEP_BYTES)  # the first that it takes


def _torch_gpu(threads: int) -> Device | None:
    import torch

    torch.set_num_threads(threads)
    # full single precision: TF32 has ten bits of mantissa
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    if not torch.cuda.is_available():
        return None
    about = torch.cuda.get_device_properties(0)
    uuid = getattr(about, "uuid", None)
    return Device("cuda:0", about.name, None if uuid is None else f"GPU-{uuid}")


def _tensorflow_gpu(threads: int) -> Device | None:
    import tensorflow as tf

    config = tf.config
    # all three are refused once TensorFlow has computed anything
    config.threading.set_intra_op_parallelism_threads(threads)
    config.threading.set_inter_op_parallelism_threads(threads)
    config.experimental.enable_tensor_float_32_execution(False)
    gpus = config.list_physical_devices("GPU")
    if not gpus:
        return None
    config.experimental.set_memory_growth(gpus[0], True)
    about = config.experimental.get_device_details(gpus[0])
    return Device("cuda:0", about.get("device_name", gpus[0].name), None)  # it does not tell the UUID


def _pretended_gpu(threads: int) -> Device | None:  # noqa: ARG001 - it computes nothing
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return None if visible in {"", "-1", "NoDevFiles"} else Device("cuda:0", "pretended GPU", None)


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return os.uname().machine
