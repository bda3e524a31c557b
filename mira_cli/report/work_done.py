"""What the answers cost: time, memory and hardware of each model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.report.gathered import short

if TYPE_CHECKING:
    from mira_cli.report.gathered import Gathered


def timing(gathered: Gathered) -> list[dict[str, Any]]:
    """For each model, over its distinct structures with an answer: time of evaluation alone, and what jobs say."""
    rows = gathered.index.distinct
    ok, wall = gathered.answers.ok[rows], gathered.column("wall_s")[rows]
    n_atoms = gathered.answers.n_atoms[rows]
    names, devices = gathered.texts("device")
    found = []
    for m, model in enumerate(gathered.provenance["models"]):
        timed = ok[:, m] & np.isfinite(wall[:, m])
        seconds, atoms = float(wall[timed, m].sum()), int(n_atoms[timed].sum())
        jobs = model["jobs"]
        found.append(
            {
                "model": model["name"],
                "devices": sorted(name for i in np.unique(devices[:, m]).tolist() if (name := names[i])),
                "structures": int(timed.sum()),
                "atoms": atoms,
                "evaluate_s": short([seconds])[0],
                "ms_per_atom": short([1000 * seconds / atoms])[0] if atoms else None,
                "structures_per_s": short([timed.sum() / seconds])[0] if seconds else None,
                "jobs": len(jobs),
                "start_s": _sum(jobs, "import_s", "load_s"),
                "peak_memory_mb": _most(jobs, "peak_rss_mb"),
                "peak_gpu_memory_mb": _most(jobs, "peak_gpu_mb"),
                "accelerators": sorted({str(a["accelerator"]) for a in model["attempts"] if a.get("accelerator")}),
                "threads": sorted({a["threads"] for a in model["attempts"] if isinstance(a.get("threads"), int)}),
            }
        )
    return found


def _sum(jobs: list[dict[str, Any]], *keys: str) -> float | None:
    given = [job[key] for job in jobs for key in keys if isinstance(job.get(key), (int, float))]
    return short([sum(given)])[0] if given else None


def _most(jobs: list[dict[str, Any]], key: str) -> float | None:
    given = [job[key] for job in jobs if isinstance(job.get(key), (int, float))]
    return short([max(given)])[0] if given else None
