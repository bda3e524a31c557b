"""What an exception from inside a model means. By name and message, so that no framework is imported."""

from __future__ import annotations

import gc
import sys
from enum import Enum

from worker.errors import is_disk_full

_OOM_TYPES = frozenset({"OutOfMemoryError", "ResourceExhaustedError", "MemoryError"})
_OOM_WORDS = (
    "out of memory",
    "failed to allocate",
    "can't allocate memory",
    "cannot allocate memory",
    "cublas_status_alloc_failed",
    "cuda_error_out_of_memory",
    "dst tensor is not initialized",  # TensorFlow, when the GPU has no room for an input
)
# after these every later call of the process fails too, with the same words
_LOST_TYPES = frozenset({"AcceleratorError"})
_LOST_WORDS = (
    "cuda error",
    "cuda_error_",
    "gpu sync failed",
    "device-side assert",
    "cublas_status_execution_failed",
    "unspecified launch failure",
)


class Failure(Enum):
    """Kinds of failure, by what is to be done about them."""

    OOM = "smaller batches"
    DISK_FULL = "stop; the disk is full"
    DEVICE_LOST = "stop; a new process goes on"
    UNSUPPORTED = "record that the model cannot do this"
    ERROR = "find the structure that causes it"


def kind_of(error: BaseException) -> Failure:
    """Tell what to do about an exception."""
    types = {cls.__name__ for cls in type(error).__mro__}
    words = str(error).lower()
    if types & _OOM_TYPES or any(w in words for w in _OOM_WORDS):
        return Failure.OOM
    if is_disk_full(error):
        return Failure.DISK_FULL
    if types & _LOST_TYPES or any(w in words for w in _LOST_WORDS):
        return Failure.DEVICE_LOST
    if "PropertyNotImplementedError" in types:
        return Failure.UNSUPPORTED
    return Failure.ERROR


def release_memory() -> None:
    """Give back what a failed batch held, on the device too."""
    gc.collect()
    if torch := sys.modules.get("torch"):
        torch.cuda.empty_cache()  # does nothing where CUDA was never used
        if torch.cuda.is_initialized():
            torch.cuda.reset_peak_memory_stats()  # the peak of what did not fit says nothing about what fits
