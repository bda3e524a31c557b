"""Runs in a family's image: MIRA's worker, its check, and the family's own calculators on the same structures.

`inside.py FAMILY FINDINGS.json [MODELS.json]`: models of MODELS.json, or else tiny ones that the family's own code
makes, with a structure of 2,000 atoms and checkpoints that must be refused. The current folder holds what is written.
It only reports; what is good enough is said in the tests.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "workflow"), str(HERE.parents[1]), str(HERE)]


def examine(model: dict, tiny, folder: Path) -> dict:
    """Everything about one model."""
    import cases

    from tests.unit.worker.jobs import hash_of, read_lines, read_records
    from worker.check import session

    began = time.perf_counter()
    checked = session.check(_job(model), threads=1)
    known = _known(model, checked["facts"])
    charge = {"takes_charge": checked["facts"]["takes_charge"]}
    good, bad = cases.good(known, **charge), cases.bad(known, **charge)
    code = work(folder, model, [*(given for given, _ in good.values()), *bad.values()])
    records = read_records(folder)
    named = {name: _plain(records[hash_of(i)]) for i, name in enumerate([*good, *bad])}
    asked = {name: safe for name, (_, safe) in good.items()} | {"coincident": bad["coincident"]}
    own = tiny.calculator(model)
    return {
        "model": model,
        "check": checked,
        "code": code,
        "attempt": read_lines(folder, "attempt")[0],
        "records": named,
        "own": {name: answers(own, atoms, stress=checked["facts"]["stress"]) for name, atoms in asked.items()},
        "left": sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")),
        "seconds": round(time.perf_counter() - began, 1),
    }


def mixed(model: dict, facts: dict) -> dict:
    """Every good structure by itself, and in random company."""
    import cases
    import numpy as np

    from worker import accelerator, families
    from worker.device import Device
    from worker.job import read_model
    from worker.prepare import prepare_structure
    from worker.session import load_model

    family, described = families.find_family(model["family"]), read_model(model)
    plain = load_model(family, described, Device("cpu", "", None))
    potential = accelerator.accelerate(family, described, plain, "cpu").potential
    good = cases.good(_known(model, facts), takes_charge=facts["takes_charge"])
    asked = {name: prepare_structure(given, potential.cutoff_ang) for name, (given, _) in good.items()}

    def ask(names: list[str]) -> dict[str, dict]:
        results = potential.evaluate([asked[name].atoms for name in names])
        return {name: _answer(result, asked[name]) for name, result in zip(names, results, strict=True)}

    single = {name: answer for one in asked for name, answer in ask([one]).items()}
    random, batches = np.random.default_rng(7), []
    for _ in range(6):
        names = random.permutation(list(asked)).tolist()
        cuts = sorted(random.choice(np.arange(1, len(names)), size=2, replace=False).tolist())
        batches += [names[begin:end] for begin, end in zip([0, *cuts], [*cuts, None], strict=True)]
    return {"single": single, "batches": [ask(names) for names in batches]}


def _known(model: dict, facts: dict) -> frozenset[int] | None:
    """Atomic numbers that both the catalogue and the weights know; None if neither says."""
    limits = [frozenset(limit) for limit in (model["elements"], facts["elements"]) if limit is not None]
    return frozenset.intersection(*limits) if limits else None


def _answer(result, prepared) -> dict:
    stress = result.stress_ev_per_ang3 if prepared.periodic_3d else None
    return {
        "n_atoms": len(prepared.atoms),
        "energy_ev": float(result.energy_ev),
        "forces": result.forces_ev_per_ang.astype(float).tolist(),
        "stress_ev_per_ang3": None if stress is None else stress.astype(float).tolist(),
    }


def large(model: dict, facts: dict, folder: Path) -> dict:
    """Two thousand atoms, and the cell that they repeat, through the worker."""
    import cases

    from tests.unit.worker.jobs import hash_of, read_records

    known = None if facts["elements"] is None else frozenset(facts["elements"])
    began = time.perf_counter()
    work(folder, model, [*cases.large(known, takes_charge=facts["takes_charge"])])
    records = read_records(folder)
    return {
        "many": _plain(records[hash_of(0)]),
        "cell": _plain(records[hash_of(1)]),
        "seconds": round(time.perf_counter() - began, 1),
    }


def work(folder: Path, model: dict, structures: list) -> int:
    """Run the whole worker in a new run directory; its exit code."""
    import worker.__main__ as worker
    from tests.unit.worker.jobs import write_job

    folder.mkdir()
    write_job(folder, structures, model=model)
    here, environment = Path.cwd(), dict(os.environ)
    os.chdir(folder)
    code = worker.main(["job.json", "--records", "records", "--done", "done.json", "--threads", "1"])
    os.chdir(here)
    os.environ.update(environment)  # what a package sets at import, and a job drops before that
    return code


def refused(models: dict[str, tuple[dict, str]]) -> dict[str, dict]:
    """Try to load what must be refused; what is said, and the words that are to be in it."""
    from worker import families
    from worker.device import Device
    from worker.errors import WorkerError
    from worker.job import read_model
    from worker.session import load_model

    said = {}
    for name, (model, words) in models.items():
        try:
            load_model(families.find_family(model["family"]), read_model(model), Device("cpu", "", None))
            said[name] = {"said": None, "words": words}
        except WorkerError as error:
            said[name] = {"said": str(error), "words": words}
    return said


def answers(calculator, atoms, *, stress: bool) -> dict:
    """Ask an ASE calculator; what it raises is an answer too."""
    atoms = atoms.copy()
    atoms.calc = calculator
    try:
        return {
            "energy_ev": float(atoms.get_potential_energy()),
            "forces": atoms.get_forces().astype(float).tolist(),
            "stress_ev_per_ang3": atoms.get_stress().astype(float).tolist() if stress else None,
        }
    except Exception as error:  # noqa: BLE001 - a finding
        return {"error": f"{type(error).__name__}: {error}"}


def unreachable() -> list[str]:
    """Try to reach the world, and return how that failed."""
    failures = []
    for address in (("192.0.2.1", 80), ("example.org", 80)):
        try:
            socket.create_connection(address, timeout=5).close()
        except OSError as error:
            failures.append(f"{type(error).__name__}: {error}")
    return failures


def _job(model: dict):
    from worker.job import Job, read_model

    return Job("check", read_model(model))


def _plain(record: dict) -> dict:
    return record | {"forces": record["forces"].tolist() if "forces" in record else None}


def main(family: str, findings_file: str, models_file: str | None = None) -> None:
    """Run everything for one family in this one process."""
    from worker import isolation

    isolation.set_job_environment(1, in_container=False)  # before numpy's and torch's threads are used
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    network = isolation.leave_network()
    from worker import device, families
    from worker.session import import_family

    import_family(families.find_family(family))
    device.choose_device("cpu", families.find_family(family).FRAMEWORK, threads=1)  # while nothing has been computed
    tiny, here = importlib.import_module(f"tiny.{family}"), Path.cwd()
    findings: dict = {"network": network, "unreachable": unreachable()}
    if models_file:
        models = json.loads(Path(models_file).read_text())
    else:
        for name in ("made", "refused"):
            (here / name).mkdir()
        models = tiny.make(here / "made")
    findings["models"] = [examine(model, tiny, here / f"run{i}") for i, model in enumerate(models)]
    for found in findings["models"]:
        found["mixed"] = mixed(found["model"], found["check"]["facts"])
    if not models_file:
        facts = findings["models"][0]["check"]["facts"]
        findings["large"] = large(models[0], facts, here / "large")
        findings["refusals"] = refused(tiny.refusals(here / "refused"))
    Path(findings_file).write_text(json.dumps(findings))


if __name__ == "__main__":
    main(*sys.argv[1:])
