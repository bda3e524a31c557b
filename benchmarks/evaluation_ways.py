"""One model in its image: an ASE loop, the library's own batches and MIRA's worker, in turn on the same structures.

Run by `evaluation.py`, as `evaluation_ways.py MODEL.json STRUCTURES.extxyz OUT.json THREADS PORTIONS`. All ways are in
one process: they have the same threads, and MIRA's setting of the C library's memory (freed memory is kept, which makes
all of them faster). All compute in single precision, with forces and stress.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from library_ways import Answers, Ask

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))
LONG_JOB_ATOMS = 10**6  # so long that any accelerator is repaid
SAMPLE = 24  # structures that the library's batches are tuned on


def calculator(model: dict[str, Any], device: str) -> Calculator:
    """Load a calculator as the package's manual says."""
    family, checkpoint = model["family"], model["checkpoint"]
    if family == "sevennet":
        from sevenn.calculator import SevenNetCalculator

        return SevenNetCalculator(checkpoint["bundled"], device=device)
    if family == "mace":
        from mace.calculators import MACECalculator

        return MACECalculator(model_paths=[checkpoint["path"]], device=device, default_dtype="float32")
    if family == "orb":
        from orb_models.forcefield.inference.calculator import ORBCalculator
        from random_models import orb_network

        return ORBCalculator(*orb_network(model, device), device=device)
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    network = CHGNet.load(model_name=checkpoint["bundled"], use_device=device, verbose=False)
    return CHGNetCalculator(network, use_device=device)


def loop(single: Calculator) -> Ask:
    """Ask the calculator about one structure after the other."""

    def ask(structures: list[Atoms]) -> Answers:
        found = []
        single.reset()  # it remembers the last structure
        for atoms in structures:
            atoms.calc = single
            found.append((atoms.get_potential_energy(), atoms.get_forces()))
            atoms.get_stress()
            atoms.calc = None
        return found

    return ask


class Worker:
    """MIRA's worker with a loaded model, from structures to records on the disk.

    `start` is what importing and loading took, in s, with the choice of an accelerator as a long job makes it.
    """

    def __init__(self, model: dict[str, Any], device: str, threads: int) -> None:
        from worker import accelerator, families, session, tasks
        from worker import device as devices
        from worker.job import read_model

        self.row = read_model(model)
        family = families.find_family(self.row.family)
        began = time.perf_counter()
        session.import_family(family)
        imported = time.perf_counter()
        self.device = devices.choose_device("cpu" if device == "cpu" else "cuda", family.FRAMEWORK, threads).id
        potential = session.load_model(family, self.row, devices.Device(self.device, "", None))
        with tempfile.TemporaryDirectory() as place:
            self.accelerated = accelerator.accelerate(
                family, self.row, potential, self.device, setting="auto", atoms=LONG_JOB_ATOMS, folder=Path(place)
            )
        self.potential = self.accelerated.potential
        self.start = {"import_s": imported - began, "load_s": time.perf_counter() - imported}
        self.task = tasks.find_task("singlepoint")

    def ask(self, structures: list[Atoms], batch_atoms: int | None = None) -> Answers:
        """Evaluate as a job does; `batch_atoms` is how many atoms a batch may hold to begin with."""
        return [(energy, forces) for _, energy, forces in self.records(structures, batch_atoms)]

    def records(self, structures: list[Atoms], batch_atoms: int | None = None) -> list[tuple[str, float, Any]]:
        """Evaluate as a job does; return the status, energy and forces of each structure as they were recorded."""
        from worker.batching import Budget, budget_for
        from worker.device import Device
        from worker.evaluate import evaluate_all
        from worker.journal import Journal
        from worker.memory import room
        from worker.records import RecordFiles

        atoms = sum(map(len, structures))
        budget = budget_for(self.potential.batch_atoms(self.device), atoms, device=self.device)
        with tempfile.TemporaryDirectory() as place:
            records = RecordFiles(Path(place), self.task.VALUES, self.task.ARRAYS)
            evaluate_all(
                _packed(structures),
                lambda one: self.task.steps(one.atoms(), {}),
                Budget(batch_atoms, batch_atoms) if batch_atoms else budget,
                self.row,
                self.potential,
                records=records,
                journal=Journal(Path(place), records.ledger.statuses),
                stop=Event(),
                fitting=room(Device(self.device, "", None), None).fitting,
                ahead=self.device != "cpu",
            )
            records.close()
            return _recorded(Path(place), len(structures))


def _packed(structures: list[Atoms]) -> list[Any]:
    import numpy as np

    from worker.structures import Pack, Structure

    arrays = {
        "natoms": np.array([len(atoms) for atoms in structures]),
        "numbers": np.concatenate([atoms.numbers for atoms in structures]),
        "positions": np.concatenate([atoms.positions for atoms in structures]),
        "cell": np.array([atoms.cell.array for atoms in structures]),
        "pbc": np.array([atoms.pbc for atoms in structures]),
        "charge": np.full(len(structures), np.nan),
        "spin": np.full(len(structures), np.nan),
    }
    pack = Pack(arrays, np.concatenate([[0], np.cumsum(arrays["natoms"])]))
    return [Structure(f"{i:08d}", len(atoms), pack, i) for i, atoms in enumerate(structures)]


def _recorded(folder: Path, n: int) -> list[tuple[str, float, Any]]:
    import numpy as np

    forces = np.fromfile(folder / "forces.f64").reshape(-1, 3)
    lines = map(json.loads, (folder / "records.jsonl").read_text().splitlines())
    found = {r["structure"]: r for r in lines}
    return [
        (r["status"], r["energy_ev"], None if r["forces_row"] is None else forces[r["forces_row"] :][: r["n_atoms"]])
        for r in (found[f"{i:08d}"] for i in range(n))
    ]


def compare(model: dict[str, Any], structures: list[Atoms], threads: int, portions: int) -> dict[str, Any]:
    """Time all ways in turn, portion by portion, and compare their answers with the loop's."""
    import numpy as np
    from library_ways import library_ways, tuned

    mira = Worker(model, "cpu", threads)  # sets the threads of all
    parts = [structures[i::portions] for i in range(portions)]
    libraries = tuned(library_ways(model, "cpu"), structures[:SAMPLE])
    ways = {"loop": loop(calculator(model, "cpu")), **{name: ask for name, (_, ask) in libraries.items()}}
    ways["mira"] = mira.ask
    for ask in ways.values():
        ask(structures[:4])
    rows: dict[str, dict[str, list[float]]] = {way: {"wall_s": [], "cpu_s": []} for way in ways}
    worst = {way: {"energy_ev_per_atom": 0.0, "force_ev_per_ang": 0.0} for way in ways}
    for turn, part in enumerate(parts):
        shift = turn % len(ways)
        order = list(ways)[shift:] + list(ways)[:shift]
        answers = {}
        for way in order:
            wall_s, cpu_s, answers[way] = timed(ways[way], part)
            rows[way]["wall_s"].append(wall_s)
            rows[way]["cpu_s"].append(cpu_s)
        for way in ways:
            for (e, f), (e0, f0) in zip(answers[way], answers["loop"], strict=True):
                off = worst[way]
                off["energy_ev_per_atom"] = max(off["energy_ev_per_atom"], float(abs(e - e0)) / len(f0))
                off["force_ev_per_ang"] = max(off["force_ev_per_ang"], float(np.abs(f - f0).max()))
    chosen = {name: what for name, (what, _) in libraries.items()}
    return {
        "start": mira.start,
        "times": rows,
        "worst": worst,
        "libraries": chosen,
        "accelerator": mira.accelerated.name,
    }


def timed(ask: Callable[[list[Atoms]], Any], structures: list[Atoms]) -> tuple[float, float, Any]:
    """Ask once; return wall time, CPU time and the answer."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = ask(structures)
    return time.perf_counter() - wall, time.process_time() - cpu, found


def main() -> None:
    model_file, structures_file, out, threads, portions = sys.argv[1:6]
    from worker import isolation

    isolation.set_job_environment(int(threads), in_container=False)  # before numpy's threads start
    from ase.io import read

    found = compare(
        json.loads(Path(model_file).read_text()), read(structures_file, ":"), int(threads), int(portions)
    )  # fmt: skip
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
