"""What a site's modules and start files set that would reach into a job: into its Python, container and libraries."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Of another Python, or of containers of somebody else's. Apptainer takes any of its options as a variable: a bind of a
# folder that a node lacks ends every job, and `--contain` leaves a container 64 MB for temporary files.
_OPTIONS = "BIND|CLEANENV|CONTAIN|CWD|ENV|FUSE|HOME|MOUNT|NET|NO_|OVERLAY|PWD|SCRATCH|WORKDIR|WRITABLE"
_DROPPED = re.compile(rf"PYTHON|(APPTAINER|SINGULARITY)(ENV_|_({_OPTIONS}))")
# Libraries that PyTorch and TensorFlow bring: `LD_LIBRARY_PATH` comes before theirs, and another release lacks symbols.
_CUDA = re.compile(r"lib(cudart|cudnn|cublas|cufft|curand|cusparse|cusolver|nccl|nvJitLink|nvrtc)\w*\.so")
_DRIVER = "libcuda.so.1"
# Numbers of this machine's GPUs; on a node they are what its scheduler says, or nobody's where it says nothing.
_OF_ONE_MACHINE = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES",
                   "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")  # fmt: skip


def for_jobs(given: Mapping[str, str]) -> dict[str, str]:
    """Variables as jobs and images get them: without what `dropped_variables` and `cuda_folders` name."""
    kept = {name: value for name, value in given.items() if not _DROPPED.match(name)}
    if strange := set(cuda_folders(given)):
        folders = kept["LD_LIBRARY_PATH"].split(os.pathsep)
        kept["LD_LIBRARY_PATH"] = os.pathsep.join(folder for folder in folders if folder not in strange)
    return kept


def for_other_machines(given: Mapping[str, str]) -> dict[str, str]:
    """Variables as jobs on nodes get them: without the choice of GPUs that holds here."""
    return {name: value for name, value in for_jobs(given).items() if name not in _OF_ONE_MACHINE}


def dropped_variables(given: Mapping[str, str]) -> list[str]:
    """Names of the variables that jobs do without."""
    return sorted(name for name in given if _DROPPED.match(name))


def cuda_folders(given: Mapping[str, str]) -> list[str]:
    """Folders of `LD_LIBRARY_PATH` with CUDA's libraries, which images bring themselves; the driver's is none."""
    return [folder for folder in given.get("LD_LIBRARY_PATH", "").split(os.pathsep) if folder and _has_cuda(folder)]


def _has_cuda(folder: str) -> bool:
    try:
        names = os.listdir(folder)  # noqa: PTH208  (thousands of names, of which only the text is looked at)
    except OSError:
        return False
    return _DRIVER not in names and any(map(_CUDA.match, names))
