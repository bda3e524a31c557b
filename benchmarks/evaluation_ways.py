"""One model in its image: an ASE loop, the library's own batches and MIRA's worker, in turn on the same structures.

Run by `evaluation.py`. `evaluation_ways.py compare MODEL.json STRUCTURES.extxyz OUT.json THREADS PORTIONS` compares in
one process; `evaluation_ways.py loop MODEL.json STRUCTURES.extxyz OUT.extxyz` is the script that a user would write.
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

    import numpy as np
    from ase import Atoms
    from ase.calculators.calculator import Calculator

    Answers = list[tuple[float, np.ndarray]]

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))
LIBRARY = {"sevennet": "torch-sim static", "chgnet": "chgnet predict_structure"}
SIZES = {"sevennet": (32, 64, 128, 512), "chgnet": (1, 4, 8, 16)}  # atoms and structures a batch, as they count them


def calculator(family: str, name: str) -> Calculator:
    """Load a calculator as the package's manual says."""
    if family == "sevennet":
        from sevenn.calculator import SevenNetCalculator

        return SevenNetCalculator(name, device="cpu")
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    return CHGNetCalculator(CHGNet.load(model_name=name, use_device="cpu", verbose=False), use_device="cpu")


def loop(family: str, name: str) -> Callable[[list[Atoms]], Answers]:
    """Ask the calculator about one structure after the other."""
    single = calculator(family, name)

    def ask(structures: list[Atoms]) -> Answers:
        found = []
        for atoms in structures:
            atoms.calc = single
            found.append((atoms.get_potential_energy(), atoms.get_forces()))
            atoms.calc = None
        return found

    return ask


def library(family: str, name: str, sample: list[Atoms]) -> tuple[Callable[[list[Atoms]], Answers], int]:
    """Return the library's own batches, and the batch size that was fastest on a sample."""
    make = {"sevennet": _torch_sim, "chgnet": _predict_structure}[family](name)
    make(SIZES[family][0])(sample[:4])
    seconds = {size: _timed(make(size), sample)[0] for size in SIZES[family]}
    best = min(seconds, key=seconds.__getitem__)
    return make(best), best


def _torch_sim(name: str) -> Callable[[int], Callable[[list[Atoms]], Answers]]:
    import torch_sim
    from torch_sim.autobatching import BinningAutoBatcher
    from torch_sim.models.sevennet import SevenNetModel

    model = SevenNetModel(model=name, device="cpu")

    def sized(size: int) -> Callable[[list[Atoms]], Answers]:
        def ask(structures: list[Atoms]) -> Answers:
            batcher = BinningAutoBatcher(model, memory_scales_with="n_atoms", max_memory_scaler=size)
            found = torch_sim.static(structures, model, autobatcher=batcher)
            return [(float(one["potential_energy"]), one["forces"].numpy()) for one in found]

        return ask

    return sized


def _predict_structure(name: str) -> Callable[[int], Callable[[list[Atoms]], Answers]]:
    from chgnet.model.model import CHGNet
    from pymatgen.io.ase import AseAtomsAdaptor

    model = CHGNet.load(model_name=name, use_device="cpu", verbose=False)

    def sized(size: int) -> Callable[[list[Atoms]], Answers]:
        def ask(structures: list[Atoms]) -> Answers:
            given = [AseAtomsAdaptor.get_structure(atoms) for atoms in structures]
            found = model.predict_structure(given, task="efs", batch_size=size)
            return [(float(one["e"]) * len(one["f"]), one["f"]) for one in found]

        return ask

    return sized


def worker(model: dict[str, Any], threads: int) -> tuple[Callable[[list[Atoms]], Answers], dict[str, float]]:
    """Return MIRA's worker from structures to records on the disk, and what its start took in seconds."""
    from worker import device, families, session, tasks
    from worker.batching import Budget, Queue
    from worker.evaluate import evaluate_all
    from worker.job import read_model
    from worker.journal import Journal
    from worker.records import Records

    row = read_model(model)
    family, task = families.find(row.family), tasks.find("singlepoint")
    began = time.perf_counter()
    session.import_family(family)
    imported = time.perf_counter()
    potential = session.load_model(family, row, device.choose("cpu", family.FRAMEWORK, threads))
    start = {"import_s": imported - began, "load_s": time.perf_counter() - imported}

    def ask(structures: list[Atoms]) -> Answers:
        with tempfile.TemporaryDirectory() as place:
            records = Records(Path(place))
            budget = potential.batch_atoms("cpu")
            evaluate_all(
                Queue(_packed(structures)),
                Budget(budget, budget),
                row,
                potential,
                lambda batch: task.run(potential, batch, {}),
                records=records,
                journal=Journal(Path(place), records.ledger.statuses),
                stop=Event(),
            )
            records.close()
            return _recorded(Path(place), len(structures))

    return ask, start


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


def _recorded(folder: Path, n: int) -> Answers:
    import numpy as np

    forces = np.fromfile(folder / "forces.f64").reshape(-1, 3)
    lines = map(json.loads, (folder / "records.jsonl").read_text().splitlines())
    found = {r["structure"]: (r["energy_ev"], forces[r["forces_row"] :][: r["n_atoms"]]) for r in lines}
    return [found[f"{i:08d}"] for i in range(n)]


def compare(model: dict[str, Any], structures: list[Atoms], threads: int, portions: int) -> dict[str, Any]:
    """Time the three ways in turn, portion by portion, and compare their answers with the loop's."""
    import numpy as np

    family, name = model["family"], model["checkpoint"]["bundled"]
    mira, start = worker(model, threads)  # sets the threads of all three
    parts = [structures[i::portions] for i in range(portions)]
    batched, size = library(family, name, parts[0][:30])
    ways = {"loop": loop(family, name), "library": batched, "mira": mira}
    for ask in ways.values():
        ask(structures[:4])
    rows: dict[str, dict[str, list[float]]] = {way: {"wall_s": [], "cpu_s": []} for way in ways}
    worst = {way: {"energy_ev_per_atom": 0.0, "force_ev_per_ang": 0.0} for way in ways}
    for turn, part in enumerate(parts):
        order = list(ways)[turn % 3 :] + list(ways)[: turn % 3]
        answers = {}
        for way in order:
            wall_s, cpu_s, answers[way] = _timed(ways[way], part)
            rows[way]["wall_s"].append(wall_s)
            rows[way]["cpu_s"].append(cpu_s)
        for way in ways:
            for (e, f), (e0, f0) in zip(answers[way], answers["loop"], strict=True):
                off = worst[way]
                off["energy_ev_per_atom"] = max(off["energy_ev_per_atom"], float(abs(e - e0)) / len(f0))
                off["force_ev_per_ang"] = max(off["force_ev_per_ang"], float(np.abs(f - f0).max()))
    return {"start": start, "times": rows, "worst": worst, "library": LIBRARY[family], "batch": size}


def _timed(ask: Callable[[list[Atoms]], Answers], structures: list[Atoms]) -> tuple[float, float, Answers]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = ask(structures)
    return time.perf_counter() - wall, time.process_time() - cpu, found


def main() -> None:
    what, model_file, structures_file, out = sys.argv[1:5]
    model = json.loads(Path(model_file).read_text())
    if what == "compare":
        from worker import isolation

        isolation.set_environment(int(sys.argv[5]), in_container=False)  # before numpy's threads start
    from ase.io import read, write

    structures = read(structures_file, ":")
    if what == "compare":
        found = compare(model, structures, int(sys.argv[5]), int(sys.argv[6]))
        Path(out).write_text(json.dumps(found))
        return
    single = calculator(model["family"], model["checkpoint"]["bundled"])
    for atoms in structures:
        atoms.calc = single
        atoms.get_potential_energy()
        atoms.get_forces()
        atoms.get_stress()
        write(out, atoms, append=True)
        atoms.calc = None


if __name__ == "__main__":
    main()
