"""One way to compute a property of some structures, timed: matcalc in its environment, or MIRA's worker in its image.

Run by `properties.py`, as `properties_ways.py WAY TASK MODEL.json ASKED.json STRUCTURES.extxyz OUT.json THREADS`.
`ASKED.json` is the task with its settings as MIRA's jobs hold it. Loading the model is not counted.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms

    Numbers = list[float | None]  # of each structure; None where there is none


def heat_capacity(found: dict[str, Any], temperature_k: float = 300.0) -> float | None:
    """J/mol/K an atom, of what matcalc returns; None where some modes, which are imaginary, are not in it."""
    thermal, phonons = found["thermal_properties"], found["phonon"]
    if phonons.thermal_properties.number_of_integrated_modes < phonons.thermal_properties.number_of_modes:
        return None
    place = list(thermal["temperatures"]).index(temperature_k)
    return float(thermal["heat_capacity"][place]) / len(phonons.primitive)


NUMBERS = {  # task -> what is compared: in MIRA's records, and in what matcalc returns
    "eos": ("bulk_modulus_gpa", lambda found: found["bulk_modulus_bm"]),
    "elastic": ("clamped_bulk_modulus_gpa", lambda found: found["bulk_modulus_vrh"]),
    "phonons": ("heat_capacity_per_atom_j_per_mol_k", heat_capacity),
    "md": ("survived_ps", lambda found: found["potential_energy"]),
}


def matcalc_way(task: str, settings: dict[str, Any], calculator: Any) -> Callable[[list[Atoms]], Numbers]:
    """matcalc's calculator of a property with its own settings; size, displacement and steps are those of MIRA's."""
    import matcalc

    def property_of() -> Any:
        if task == "eos":
            return matcalc.EOSCalc(calculator)
        if task == "elastic":
            return matcalc.ElasticityCalc(calculator, units_GPa=True)
        if task == "phonons":
            size, step = settings["min_length_ang"], settings["displacement_ang"]
            return matcalc.PhononCalc(calculator, min_length=size, atom_disp=step, write_phonon=False)
        steps = round(1000 * settings["duration_ps"] / settings["timestep_fs"])
        return matcalc.MDCalc(
            calculator, ensemble="nve", temperature=settings["temperature_k"], timestep=settings["timestep_fs"],
            steps=steps, relax_structure=False, loginterval=steps,
        )  # fmt: skip

    def ask(structures: list[Atoms]) -> Numbers:
        found: Numbers = []
        for atoms in structures:
            try:
                with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
                    value = NUMBERS[task][1](property_of().calc(atoms.copy()))
                found.append(None if value is None else float(value))
            except Exception as error:  # noqa: BLE001  (matcalc raises what it likes, and the others are to be timed)
                print(f"{atoms.info.get('name')}: {type(error).__name__}: {error}", file=sys.stderr)
                found.append(None)
        return found

    return ask


def worker_way(task: str, asked: dict[str, Any], mira: Any) -> Callable[[list[Atoms]], Numbers]:
    """MIRA's worker, from packed structures to records on the disk, relaxations included."""
    from evaluation_ways import _packed

    from worker import tasks
    from worker.batching import budget_for
    from worker.device import Device
    from worker.evaluate import evaluate_all
    from worker.first_task import FirstTask
    from worker.job import BeginsWith
    from worker.journal import Journal
    from worker.memory import room
    from worker.records import RecordFiles

    module, settings, first = tasks.find_task(task), asked["settings"], asked.get("begins_with")

    def ask(structures: list[Atoms]) -> Numbers:
        packed = _packed(structures)
        with tempfile.TemporaryDirectory() as top:
            folder = Path(top) / "own" / "job"
            folder.mkdir(parents=True)
            records = RecordFiles(folder, module.VALUES, module.ARRAYS)
            relaxed = first and FirstTask(BeginsWith(first["name"], first["settings"], first["version"], "first"),
                                          folder, [one.hash for one in packed])  # fmt: skip
            evaluate_all(
                packed,
                lambda one: relaxed.steps(one, module, settings) if relaxed else module.steps(one.atoms(), settings),
                budget_for(mira.potential.batch_atoms(mira.device), sum(map(len, structures)), device=mira.device),
                mira.row,
                mira.potential,
                records=records,
                journal=Journal(folder, records.ledger.statuses),
                stop=Event(),
                fitting=room(Device(mira.device, "", None), None).fitting,
                reached=relaxed.record if relaxed else lambda _: None,
            )
            records.close()
            lines = map(json.loads, (folder / "records.jsonl").read_text().splitlines())
            rows = {line["structure"]: line for line in lines}
        for one, atoms in zip(packed, structures, strict=True):
            if rows[one.hash]["status"] != "ok":
                told = f"{rows[one.hash]['status']}: {rows[one.hash]['error']}"
                print(f"{atoms.info.get('name')}: {told}", file=sys.stderr)
        return [rows[one.hash].get(NUMBERS[task][0]) for one in packed]

    return ask


def main() -> None:
    way, task, model_file, asked_file, structures_file, out, threads = sys.argv[1:8]
    from worker import isolation

    isolation.set_job_environment(int(threads), in_container=False)  # before numpy's threads start
    from ase.io import read
    from evaluation_ways import Worker, calculator, timed

    row, asked = json.loads(Path(model_file).read_text()), json.loads(Path(asked_file).read_text())
    structures = read(structures_file, ":")
    if way == "matcalc":
        import torch

        torch.set_num_threads(int(threads))
        single = calculator(row, "cpu")
        first = structures[0].copy()
        first.calc = single
        first.get_stress()  # the first evaluation takes longer than others
        ask = matcalc_way(task, asked["settings"], single)
    else:
        mira = Worker(row, "cpu", int(threads))
        mira.ask(structures[:1])
        ask = worker_way(task, asked, mira)
    with contextlib.redirect_stdout(sys.stderr):
        wall_s, cpu_s, found = timed(ask, structures)
    Path(out).write_text(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s, "numbers": found}))


if __name__ == "__main__":
    main()
