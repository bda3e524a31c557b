"""The surroundings of a model: no network, no stray settings, caches where writing is allowed.

Everything here happens before numpy or a model's package is imported: threads, caches and offline switches
are read at import, and a process can leave the network only while it has one thread.
"""

from __future__ import annotations

import contextlib
import os
import site
import socket
import stat
import sys
import tempfile
from pathlib import Path

from worker import private
from worker.errors import WorkerError

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRACE_NO_UPDATE_CHECK": "1",
    "WANDB_MODE": "disabled",
    "MPLBACKEND": "Agg",
    "PYTHONNOUSERSITE": "1",
}
TENSORFLOW = {
    "TF_USE_LEGACY_KERAS": "1",  # tensorpotential is written for Keras 2
    "TF_ENABLE_ONEDNN_OPTS": "0",  # other rounding from call to call
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # instead of all memory at once
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
# numpy has the matrices of one structure only: more threads are no help, and take cores from the model while they wait
OF_NUMPY = {"OPENBLAS_NUM_THREADS": "1"}
# variable: folder below the cache. What is kept here is compiled code, worth keeping between jobs.
CACHES = {
    "XDG_CACHE_HOME": "xdg",
    "MPLCONFIGDIR": "matplotlib",
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
    "TRITON_CACHE_DIR": "triton",
    "TORCH_EXTENSIONS_DIR": "torch-extensions",
    "WARP_CACHE_PATH": "warp",
    "FAIRCHEM_CACHE_DIR": "fairchem",
    "CACHED_PATH_CACHE_ROOT": "cached-path",
    "GRACE_CACHE": "grace",
    "CUDA_CACHE_PATH": "cuda",
    "NUMBA_CACHE_DIR": "numba",
}
# A number must not depend on a variable that somebody once exported.
NUMBER_CHANGING = (
    "SEVENNET_ENABLE_CUEQ",
    "SEVENNET_ENABLE_FLASH",
    "SEVENNET_ENABLE_OEQ",
    "TACE_APPLY_U_SHIFT",
    "TACE_USE_COMPILE",
    "TACE_USE_CUE",
    "TACE_USE_DENS",
    "TACE_USE_EQT",
    "TACE_USE_EQX",
    "TACE_USE_MATRIX_WEIGHT",
    "TACE_USE_OEQ",
    "TACE_USE_TF32",
    "AIMNET_CUDA_GRAPH",
    "CUEQ_USE_SCATTER_FUSION",
    "CUEQ_TP_METHOD",
    "CHGNET_DEVICE",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_DEFAULT_FPMATH_MODE",
    "XLA_FLAGS",
    "TF_XLA_FLAGS",
    "TF_ENABLE_AUTO_MIXED_PRECISION",
    "TF_ENABLE_AUTO_MIXED_PRECISION_GRAPH_REWRITE",
    "TF_ENABLE_CUBLAS_TENSOR_OP_MATH_FP32",
    "TF_ENABLE_CUDNN_TENSOR_OP_MATH_FP32",
)
# folders for temporary files, after TMPDIR
PLACES = ("/tmp", "/var/tmp")  # noqa: S108 - on this machine, for everyone
LEAST_BYTES = 1 << 30  # what is compiled for a GPU, and a copy of usual weights
# Weights are on the disk before a job starts: a model has no use for a user's token.
TOKENS = ("HF_TOKEN", "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN", "HUGGINGFACEHUB_API_TOKEN")


def set_job_environment(threads: int, *, in_container: bool, shared: bool = False) -> None:
    """Set and drop environment variables of this process and those it starts.

    Parameters
    ----------
    threads
        Threads for numerical libraries.
    in_container
        Whether the image is a container. Its packages are complete, and those of the user's own Python
        (`~/.local`), which a container may see, must not replace them.
    shared
        Whether the cores are others', too. Threads that wait for one another then sleep: awake they save up to half of
        the time, and cost ten times as much as soon as something else wants a core.

    Raises
    ------
    WorkerError
        There is no folder for temporary files.
    """
    for name in (*NUMBER_CHANGING, *TOKENS):
        os.environ.pop(name, None)
    os.environ.update(OFFLINE | TENSORFLOW)
    os.environ.update(dict.fromkeys(THREADS, str(threads)) | OF_NUMPY)
    if shared:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    cache = cache_folder()
    usual = os.environ.get("TMPDIR") or PLACES[0]
    if cache.parent != Path(usual):
        why = f"as {usual} is missing, read-only, noexec, or smaller than 1 GiB"
        print(f"worker: temporary files are in {cache.parent}, {why}", file=sys.stderr, flush=True)
        os.environ["TMPDIR"] = str(cache.parent)  # what loads compiled code unpacks it there
    for name, folder in CACHES.items():
        if not _writable(os.environ.get(name)):
            (cache / folder).mkdir(exist_ok=True)
            os.environ[name] = str(cache / folder)
    home = os.environ.get("HOME")
    # some families write below HOME at import; a run directory bound as HOME is not theirs to fill
    if not _writable(home) or Path(home or "").resolve() == Path.cwd():
        (cache / "home").mkdir(exist_ok=True)
        os.environ["HOME"] = str(cache / "home")
    with contextlib.suppress(OSError):  # what packages write and forget, as code that PyTorch Geometric generates
        tempfile.tempdir = str(private.private_folder(cache))
    if in_container:
        users = site.getusersitepackages()
        sys.path[:] = [entry for entry in sys.path if entry != users]


def cache_folder() -> Path:
    """Return this user's folder for compiled kernels, made if need be; never one that another user owns.

    Raises
    ------
    WorkerError
        There is no folder for temporary files.
    """
    folder = Path(temporary_place()) / f"mira-cache-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    return folder if mine else Path(tempfile.mkdtemp(prefix="mira-cache-", dir=folder.parent))


def temporary_place() -> str:
    """Return the folder below which temporary files and compiled code go: of those that are usual, the best.

    It is the first from which code can be loaded, unless that is smaller than `LEAST_BYTES`. What counts is the size of
    the whole file system, since free space changes while jobs run, and all jobs here are to find the same folder.

    Raises
    ------
    WorkerError
        There is none that can be written to.
    """
    # not `tempfile.gettempdir`, which takes the run directory if the others are full
    places = [place for place in (os.environ.get("TMPDIR"), *PLACES) if place and _writable(place)]
    if not places:
        raise WorkerError("no folder for temporary files is writable; set TMPDIR to one that is")
    return max(places, key=_merits)


def _merits(place: str) -> tuple[bool, bool]:
    state = os.statvfs(place)
    return not state.f_flag & os.ST_NOEXEC, state.f_blocks * state.f_frsize >= LEAST_BYTES


def _writable(folder: str | None) -> bool:
    return bool(folder) and Path(folder or "").is_dir() and os.access(folder or "", os.W_OK | os.X_OK)


def leave_network() -> str:
    """Leave the network if the system lets us, and say whether this process is out of it.

    Not root, this takes a user namespace, in which the user keeps their id and so all access to files.
    It must precede CUDA's initialisation and every thread. CUDA itself needs device files and sockets
    with a path, both of which stay; but a driver that has yet to make its device files does that through
    a setuid program, which has no power in a user namespace, so such a node is left as it is.

    Returns
    -------
    str
        `"isolated"` or `"open"`.
    """
    namespace = getattr(os, "CLONE_NEWNET", 0)  # Python 3.12, Linux
    if namespace and not _outside():
        return "isolated"
    for flags in (namespace, namespace | getattr(os, "CLONE_NEWUSER", 0)) if namespace else ():
        if flags != namespace and _driver_unready():
            continue
        if _works(flags):
            _enter(flags)
            break
    return "open" if _outside() else "isolated"


def _outside() -> bool:
    """Tell whether there is any network interface but the loopback."""
    return any(name != "lo" for _, name in socket.if_nameindex())


def _driver_unready() -> bool:
    return Path("/proc/driver/nvidia").exists() and not Path("/dev/nvidia-uvm").exists()


def _works(flags: int) -> bool:
    """Try in a child first: some systems grant the namespace, then forbid to map the user's id into it."""
    child = os.fork()
    if child == 0:
        try:
            _enter(flags)
        except BaseException:  # noqa: BLE001 - whatever it is, the child only reports it
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _enter(flags: int) -> None:
    uid, gid = os.getuid(), os.getgid()
    if sys.version_info < (3, 12):  # there are no flags to call this with
        return
    os.unshare(flags)
    if flags & os.CLONE_NEWUSER:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
