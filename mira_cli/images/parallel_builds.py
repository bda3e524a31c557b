"""Build several images at once, as far as the machine allows: one that fails does not stop the others."""

from __future__ import annotations

import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from mira_cli import console, paths
from mira_cli.errors import EnvironmentNotReadyError, MiraError
from mira_cli.images import process, progress
from mira_cli.refusals import refused_by_system
from mira_cli.scratch import unpacking_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.progress import Progress

    from mira_cli.images.recipe import Image, Runtime

# what one build keeps busy: compiling bytecode, a model's test, packing, for which mksquashfs holds much in memory
_CORES, _MEMORY_GB = 2, 6


def build_in_parallel(
    images: Sequence[Image], one: Callable[[Image, Progress | None], object], n: int
) -> dict[str, MiraError]:
    """Build images, at most `n` at once.

    Parameters
    ----------
    one
        Builds an image, with its progress on a display (None where there is no terminal).

    Returns
    -------
    Errors by image, for those that could not be built; `Interrupted` ends all builds.
    """
    failed: dict[str, MiraError] = {}
    process.stopping.clear()
    with progress.display() as display, ThreadPoolExecutor(n) as pool:
        jobs = {pool.submit(one, image, display): image.name for image in images}
        try:
            for job in as_completed(jobs):
                try:
                    job.result()
                except (MiraError, OSError) as error:
                    failed[jobs[job]] = _explained(error)
                    if len(images) > 1:
                        console.say(f"image {jobs[job]} has failed; what else there is to build goes on")
        except BaseException:
            process.stopping.set()
            pool.shutdown(cancel_futures=True)
            raise
    return {image.name: failed[image.name] for image in images if image.name in failed}


def _explained(error: MiraError | OSError) -> MiraError:
    return error if isinstance(error, MiraError) else refused_by_system(error)


def raise_for(failed: dict[str, MiraError], runtime: Runtime) -> None:
    """Say why images are not built.

    Raises
    ------
    MiraError
        If there is one such image its own error, else one that names them after theirs have been printed.
    """
    if len(failed) == 1:
        raise next(iter(failed.values()))
    for error in failed.values():
        console.fail(error)
    if failed:
        names = " ".join(failed)
        raise EnvironmentNotReadyError(f"not built: {names}", hint=f"`mira images build {names} --runtime {runtime}`")


def at_once(images: Sequence[Image], runtime: Runtime) -> int:
    """Return how many builds this machine can bear at once, by its cores, memory and space."""
    costs = sorted((image.cost[runtime] for image in images), key=lambda cost: -cost.free_gigabytes)
    stay = [cost.gigabytes if runtime == "apptainer" else cost.free_gigabytes for cost in costs]
    n = min(len(costs), len(os.sched_getaffinity(0)) // _CORES, int(free_memory() / 1e9 / _MEMORY_GB))
    n = min(n, _fitting(stay, paths.cache_dir()))
    if runtime == "apptainer":
        scratch = unpacking_place(costs[0].free_gigabytes)
        n = min(n, _fitting([cost.free_gigabytes + cost.gigabytes for cost in costs], scratch))
    return max(n, 1)


def _fitting(gigabytes: Iterable[float], folder: Path) -> int:
    """How many of these, the largest first, fit in the free space."""
    free = shutil.disk_usage(next(p for p in (folder, *folder.parents) if p.exists())).free / 1e9
    return sum(total <= free for total in accumulate(gigabytes))


def free_memory() -> float:
    """Bytes of memory that are free for this process: the machine's, or less where its control group has a limit."""
    found = re.search(r"MemAvailable:\s+(\d+) kB", _text(Path("/proc/meminfo")))
    free = float(found[1]) * 1024 if found else 0
    own = re.search(r"^0::(/.*)$", _text(Path("/proc/self/cgroup")), re.MULTILINE)
    place = Path("/sys/fs/cgroup") / own[1].lstrip("/") if own else Path("/")
    for folder in (place, *place.parents):
        limit, used = _text(folder / "memory.max").strip(), _text(folder / "memory.current").strip()
        if limit.isdigit() and used.isdigit():
            free = min(free, float(limit) - float(used))
    return free


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
