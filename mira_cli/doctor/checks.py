"""The checks of `mira doctor`, in the order in which they are shown."""

from __future__ import annotations

from pathlib import Path

from mira_cli import paths
from mira_cli.doctor import disk, filesystem, gpu, images, runtime, slurm, software, surroundings, weights
from mira_cli.doctor.finding import Check

_HUNG = "a file system may hang: `df -h` shows which, or hangs too"
_STARTS = "Apptainer or a file system hangs: `apptainer version` and `df -h` show which"
_CARD = "`nvidia-smi` hangs: ask an administrator to reload the driver; `--device cpu` does without"
_QUEUE = "SLURM's controller does not answer: `scontrol ping`; `--profile local` works without SLURM"


def checks_here() -> list[Check]:
    """The checks that matter where `mira` is called."""
    return [
        Check(
            "runtime",
            "runtime",
            runtime.runtime_here,
            _STARTS,
            needed=True,
        ),
        Check("GPU", "GPU", gpu.gpus, _CARD),
        Check("images", "images", images.images, _HUNG, needed=True),
        Check("images", "builds", images.leftovers, _HUNG),
        Check("weights", "store", weights.weights, _HUNG),
        Check("disk", "cache", disk.cache_disk, _HUNG, needed=True),
        Check("disk", "current folder", disk.current_disk, _HUNG, needed=True),
        Check("disk", "home", disk.home, _HUNG),
        Check("disk", "temporary files", disk.temporary, _HUNG),
        Check("disk", "quota", disk.quota, "`quota` asks a file server that does not answer"),
        Check("sharing", "cache", filesystem.cache_filesystem, _HUNG),
        Check("sharing", "current folder", filesystem.current_filesystem, _HUNG),
        Check("SLURM", "commands", slurm.commands, _HUNG),
        Check("SLURM", "controller", slurm.controller, _QUEUE),
        Check("SLURM", "partitions", slurm.check_partitions, _QUEUE),
        Check("site", "variables", surroundings.variables, _HUNG),
        Check("site", "limits", surroundings.shell_limits, _HUNG),
        Check("software", "software", software.software, _HUNG),
    ]


def checks_on_node() -> list[Check]:
    """The checks that matter to a job on a compute node."""
    return [
        Check("runtime", "runtime", runtime.runtime_on_node, _STARTS, needed=True),
        Check("GPU", "GPU", gpu.gpus, _CARD),
        Check("images", "images", images.images, _HUNG, needed=True),
        Check("disk", "temporary files", disk.temporary, _HUNG),
        Check("sharing", "cache", filesystem.seen("cache", paths.cache_dir), _HUNG, needed=True),
        Check("sharing", "current folder", filesystem.seen("current folder", Path.cwd), _HUNG, needed=True),
        Check("site", "variables", surroundings.variables, _HUNG),
        Check("site", "limits", surroundings.shell_limits, _HUNG),
        Check("software", "software", software.software, _HUNG),
    ]
