"""One model in its image: relaxations by an ASE loop, by the library's own relaxer and by MIRA's worker, in turn.

Run by `relax.py`, as `relax_ways.py MODEL.json STRUCTURES.extxyz OUT.json THREADS PORTIONS LOOPED`. All ways are to
meet the same criteria, and a fresh calculator of the model's package says whether they do. What takes one structure
after the other, and so long, takes the first LOOPED portions only.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms

FMAX_EV_PER_ANG, SMAX_GPA, MOST_STEPS = 0.01, 0.1, 500
GPA = 160.21766208  # in 1 eV/Å³
BATCH_ATOMS = 64  # of torch-sim on a CPU
LOOPS = ("ASE loop, BFGS", "StructOptimizer")  # one structure after the other
SETTINGS = {
    "cell": "full", "pressure_gpa": 0.0, "symmetry": "free", "fmax_ev_per_ang": FMAX_EV_PER_ANG, "smax_gpa": SMAX_GPA,
    "max_steps": MOST_STEPS, "optimizer": "lbfgs", "keep": "last",
}  # fmt: skip


@dataclass
class Found:
    """What a way has made of structures: their geometries, None where it failed, and how often it asked the model."""

    atoms: list[Atoms | None]
    evaluations: int
    said: list[str]


def left(atoms: Atoms) -> tuple[float, float]:
    """Largest force in eV/Å and stress in GPa."""
    import numpy as np

    return float(np.linalg.norm(atoms.get_forces(), axis=1).max()), float(np.abs(atoms.get_stress()).max() * GPA)


def meets(atoms: Atoms) -> bool:
    """Whether the calculator of a structure calls it converged."""
    fmax, smax = left(atoms)
    return fmax <= FMAX_EV_PER_ANG and smax <= SMAX_GPA


def ase_loop(calculator: Any, optimizer: str, structures: list[Atoms]) -> Found:
    """The script that a user writes, with criteria for forces and stresses."""
    from ase import optimize
    from ase.filters import FrechetCellFilter

    found: list[Atoms | None] = []
    evaluations = 0
    for start in structures:
        atoms = start.copy()
        atoms.calc = calculator
        steps = getattr(optimize, optimizer)(FrechetCellFilter(atoms), logfile=None)
        for _ in steps.irun(fmax=0.0, steps=MOST_STEPS):
            evaluations += 1
            if meets(atoms):
                break
        atoms.calc = None
        found.append(atoms)
    return Found(found, evaluations, [])


def torch_sim_way(models: list[Any], counted: list[int], structures: list[Atoms]) -> Found:
    """torch-sim's L-BFGS, in flight: with its own neighbour list, and with the other where that ends all."""
    import torch_sim
    from nvalchemiops.neighbors.neighbor_utils import NeighborOverflowError
    from torch_sim.autobatching import InFlightAutoBatcher

    def met(state: Any, _last_energy: Any = None) -> Any:  # torch-sim gives both by place
        return (torch_sim.system_wise_max_force(state) <= FMAX_EV_PER_ANG) & (
            state.stress.abs().amax(dim=(1, 2)) * GPA <= SMAX_GPA
        )

    def ask(model: Any, these: list[Atoms]) -> list[Atoms | None]:
        batcher = InFlightAutoBatcher(model, memory_scales_with="n_atoms", max_memory_scaler=BATCH_ATOMS)
        state = torch_sim.optimize(
            these, model, optimizer=torch_sim.Optimizer.lbfgs, convergence_fn=met, max_steps=MOST_STEPS,
            steps_between_swaps=1, autobatcher=batcher, init_kwargs={"cell_filter": torch_sim.CellFilter.frechet},
        )  # fmt: skip
        ended: list[Atoms | None] = list(state.to_atoms())
        return ended

    before, said = counted[0], []
    for model in models:
        try:
            return Found(ask(model, structures), counted[0] - before, said)
        except (NeighborOverflowError, RuntimeError) as error:  # of one structure, and it ends all
            said.append(f"{type(error).__name__} ended {len(structures)} structures")
    return Found([None] * len(structures), counted[0] - before, said)


def torch_sim_relaxer(row: dict[str, Any]) -> Callable[[list[Atoms]], Found]:
    """torch-sim with its model of the family and each neighbour list; forward passes are counted by structures."""
    import torch
    import torch_sim
    from library_ways import LISTS, torch_sim_model

    def counting(model: Any) -> Any:
        forward = model.forward

        def count(state: Any, *more: Any, **named: Any) -> Any:
            counted[0] += state.n_systems
            return forward(state, *more, **named)

        model.forward = count
        return model

    counted = [0]
    lists = [{"neighbor_list_fn": getattr(torch_sim.neighbors, name)} for name in LISTS]
    models = [counting(torch_sim_model(row, torch.device("cpu"), one)) for one in lists]
    return partial(torch_sim_way, models, counted)


def struct_optimizer(network: Any, structures: list[Atoms]) -> Found:
    """CHGNet's own `StructOptimizer` with its own criterion, which counts the cell's rows as atoms."""
    from chgnet.model.dynamics import StructOptimizer
    from pymatgen.io.ase import AseAtomsAdaptor

    relaxer, found, evaluations = StructOptimizer(network, use_device="cpu"), [], 0
    for atoms in structures:
        start = AseAtomsAdaptor.get_structure(atoms)
        ended = relaxer.relax(start, fmax=FMAX_EV_PER_ANG, steps=MOST_STEPS, verbose=False)
        evaluations += len(ended["trajectory"].energies)
        end: Atoms = AseAtomsAdaptor.get_atoms(ended["final_structure"])
        found.append(end)
    return Found(list(found), evaluations, [])


def worker_way(mira: Any, structures: list[Atoms]) -> Found:
    """MIRA's worker, from packed structures to records on the disk."""
    import numpy as np
    from evaluation_ways import _packed

    from worker import tasks
    from worker.batching import budget_for
    from worker.device import Device
    from worker.evaluate import evaluate_all
    from worker.journal import Journal
    from worker.memory import room
    from worker.records import RecordFiles

    task, packed = tasks.find_task("relax"), _packed(structures)
    guess = mira.potential.batch_atoms(mira.device)
    with tempfile.TemporaryDirectory() as place:
        records = RecordFiles(Path(place), task.VALUES, task.ARRAYS)
        evaluate_all(
            packed,
            lambda one: task.steps(one.atoms(), SETTINGS),
            budget_for(guess, sum(map(len, structures)), device=mira.device),
            mira.row,
            mira.potential,
            records=records,
            journal=Journal(Path(place), records.ledger.statuses),
            stop=Event(),
            fitting=room(Device(mira.device, "", None), None).fitting,
        )
        records.close()
        positions = np.fromfile(Path(place) / "positions.f64").reshape(-1, 3)
        cells = np.fromfile(Path(place) / "cell.f64").reshape(-1, 3)
        lines = map(json.loads, (Path(place) / "records.jsonl").read_text().splitlines())
        rows = {line["structure"]: line for line in lines}
    ended: list[Atoms | None] = []
    for k, start in enumerate(structures):
        row, atoms = rows[f"{k:08d}"], start.copy()
        if row["positions_row"] is not None:
            atoms.cell[:] = cells[row["cell_row"] :][:3]
            atoms.positions[:] = positions[row["positions_row"] :][: len(start)]
        ended.append(atoms if row["positions_row"] is not None else None)
    bad = [f"{rows[f'{k:08d}']['status']}: {a.info.get('name')}" for k, a in enumerate(structures)]
    said = [one for one in bad if not one.startswith("ok")]
    return Found(ended, sum(row["n_evaluations"] or 0 for row in rows.values()), said)


def compare(row: dict[str, Any], structures: list[Atoms], threads: int, portions: int, looped: int) -> dict[str, Any]:
    """Time all ways in turn, portion by portion; judge where they end with one fresh calculator."""
    from evaluation_ways import Worker, calculator, timed

    mira = Worker(row, "cpu", threads)  # sets the threads of all
    ways: dict[str, Callable[[list[Atoms]], Found]] = {
        "ASE loop, BFGS": partial(ase_loop, calculator(row, "cpu"), "BFGS")
    }
    if row["family"] == "chgnet":
        from chgnet.model.model import CHGNet

        network = CHGNet.load(model_name=row["checkpoint"]["bundled"], use_device="cpu", verbose=False)
        ways["StructOptimizer"] = partial(struct_optimizer, network)
    else:
        ways["torch-sim L-BFGS"] = torch_sim_relaxer(row)
    ways["MIRA's worker"] = partial(worker_way, mira)
    judge = calculator(row, "cpu")
    rows: dict[str, dict[str, Any]] = {
        way: {"wall_s": [], "cpu_s": [], "evaluations": [], "said": [], "ends": []} for way in ways
    }
    for turn in range(portions):
        part = structures[turn::portions]
        shift = turn % len(ways)
        now = [way for way in ways if turn < looped or way not in LOOPS]
        for way in now[shift:] + now[:shift]:
            with contextlib.redirect_stdout(sys.stderr):
                wall_s, cpu_s, found = timed(ways[way], part)
            one = rows[way]
            for key, value in (("wall_s", wall_s), ("cpu_s", cpu_s), ("evaluations", found.evaluations)):
                one[key].append(value)
            one["said"] += found.said
            one["ends"] += [(turn + k * portions, judged(judge, end)) for k, end in enumerate(found.atoms)]
            print(f"{turn + 1}/{portions} {way}: {cpu_s:.1f} s, {found.evaluations}", file=sys.stderr, flush=True)
    return {
        "ways": rows,
        "accelerator": mira.accelerated.name,
        "names": [atoms.info.get("name") for atoms in structures],
    }


def judged(calculator: Any, atoms: Atoms | None) -> dict[str, float | bool] | None:
    """Energy and volume an atom of a structure, and whether it is converged; None where there is none."""
    import numpy as np

    if atoms is None or not np.isfinite(atoms.positions).all():
        return None
    calculator.reset()
    atoms = atoms.copy()
    atoms.calc = calculator
    n = len(atoms)
    return {"ev": atoms.get_potential_energy() / n, "ang3": atoms.get_volume() / n, "converged": meets(atoms)}


def main() -> None:
    model_file, structures_file, out, *numbers = sys.argv[1:7]
    threads, portions, looped = map(int, numbers)
    from worker import isolation

    isolation.set_job_environment(threads, in_container=False)  # before numpy's threads start
    from ase.io import read

    found = compare(json.loads(Path(model_file).read_text()), read(structures_file, ":"), threads, portions, looped)
    Path(out).write_text(json.dumps(found, default=float))


if __name__ == "__main__":
    main()
