"""One model in its image: its forces with one thread, two, in double precision, and from MIRA's worker.

Run by `rounding.py`, as `rounding_ways.py MODEL.json STRUCTURES.extxyz OUT.json`. What the network is given stays as
the package makes it, in single precision where it does so: what is told is the rounding of the network itself.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator
    from library_ways import Answers, Ask

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))
LIMIT_EV_PER_ANG = 1e-4


def in_double(model: dict[str, Any]) -> Ask:
    """Load a package's calculator and let it compute in double precision; to be called last, as numbers stay double."""
    import torch
    from evaluation_ways import calculator, loop

    single = calculator(model, "cpu")
    single.model.double()
    torch.set_default_dtype(torch.float64)
    if model["family"] == "sevennet":
        _double_what_is_given(single)
    else:
        for name, module in list(sys.modules.items()):
            if name.startswith("chgnet") and hasattr(module, "TORCH_DTYPE"):
                module.TORCH_DTYPE = torch.float64
        single.model.composition_model.forward = lambda graphs: torch.zeros(len(graphs))  # single, and without forces
    return loop(single)


def _double_what_is_given(single: Calculator) -> None:
    import torch

    def doubled(_: Any, given: tuple[Any]) -> None:
        graph = given[0]
        for name, value in list(graph.items()):
            if torch.is_tensor(value) and value.dtype == torch.float32:
                graph[name] = value.double()

    for module in (single.model, *single.model.children()):
        module.register_forward_pre_hook(doubled)


def apart(some: Answers, others: Answers) -> dict[str, float]:
    """Compare forces, in eV/Å: the largest difference, and in how many structures one is above the limit."""
    import numpy as np

    worst = np.array([np.abs(f - g).max() for (_, f), (_, g) in zip(some, others, strict=True)])
    return {
        "max": float(worst.max()),
        "p99": float(np.quantile(worst, 0.99)),
        "above": int((worst > LIMIT_EV_PER_ANG).sum()),
    }


def main() -> None:
    model_file, structures_file, out = sys.argv[1:4]
    from worker import isolation

    isolation.set_job_environment(2, in_container=False)
    import torch
    from ase.io import read
    from evaluation_ways import Worker, calculator, loop

    model, structures = json.loads(Path(model_file).read_text()), read(structures_file, ":")
    mira = Worker(model, "cpu", 1).ask(structures)
    package = loop(calculator(model, "cpu"))
    torch.set_num_threads(1)
    one = package(structures)
    torch.set_num_threads(2)
    two, exact = package(structures), in_double(model)(structures)
    pairs = {
        "the package with one thread and with two": (one, two),
        "MIRA's worker and the package, both with one thread": (mira, one),
        "the package in single and in double precision": (one, exact),
        "MIRA's worker and the package in double precision": (mira, exact),
    }
    Path(out).write_text(json.dumps({name: apart(*pair) for name, pair in pairs.items()}))


if __name__ == "__main__":
    main()
