"""Runs in a family's image: what its library gets wrong without a word, and what MIRA makes of it.

`traps.py FAMILY FINDINGS.json`. It only reports; the tests judge.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "workflow"), str(HERE)]


def loaded(row: dict):
    """A family's potential, loaded as in a job, with the sha256 of its file."""
    from dataclasses import replace

    from worker.families import find_family
    from worker.job import Checkpoint, read_model
    from worker.weights import sha256

    model, file = read_model(row), Path(row["checkpoint"]["path"])
    model = replace(model, checkpoint=Checkpoint(None, file, sha256(file)))
    return find_family(row["family"]).load(model, "cpu", row["dtype"])


def asked(potential, *structures) -> list:
    from worker.prepare import prepare_structure

    return potential.evaluate([prepare_structure(atoms, potential.cutoff_ang).atoms for atoms in structures])


def water(**info):
    from ase.build import molecule

    atoms = molecule("H2O")
    atoms.info.update(info)
    return atoms


def upet(tiny, folder: Path) -> dict:
    """A charge in a list, and states without an embedding."""
    row = tiny.row(folder / "charged.ckpt")
    tiny.save(folder / "charged.ckpt", tiny.network(states=True))
    potential, own = loaded(row), tiny.calculator(row)
    ion, neutral = water(charge=1, spin=2), water(charge=0, spin=1)
    single = []
    for one in (ion, neutral):
        own.reset()  # it does not see that a charge is another one
        one.calc = own
        single.append(one.get_potential_energy())
    refused = {}
    for name, states in {"half": {"charge": 0.5}, "far": {"charge": 11}, "spin": {"spin": 0}}.items():
        try:
            refused[name] = asked(potential, water(**states))[0].energy_ev
        except Exception as error:  # noqa: BLE001 - a finding
            refused[name] = f"{type(error).__name__}: {error}"
    return {
        "single": single,
        "list": own.calculator.compute_energy([ion, neutral])["energy"].tolist(),
        "ours": [result.energy_ev for result in asked(potential, ion, neutral)],
        "refused": refused,
    }


def matris(tiny, folder: Path) -> dict:
    """Elements that have an input and no training."""
    return {"elements": sorted(loaded(tiny.row(tiny.save(folder / "tiny.pth.tar"))).elements)}


def aimnet(tiny, folder: Path) -> dict:
    """A charge that stays, a molecule in a box, and a published file that is loaded by its path."""
    from aimnet.calculators import AIMNet2ASE, AIMNet2Calculator, model_registry

    file = tiny.save(folder / "tiny.pt", config="aimnet2.yaml")
    potential, own = loaded(tiny.row(file)), AIMNet2ASE(AIMNet2Calculator(str(file), device="cpu"))
    boxed = water(charge=0)
    boxed.set_cell([20.0] * 3)
    boxed.pbc = True
    boxed.center()
    theirs = []
    for one in (water(), water(charge=1), water(), boxed):
        one.calc = own
        theirs.append(one.get_potential_energy())
    registry = model_registry.load_model_registry()
    known = {"models": registry["models"] | {"x": {"family": "rxn", "sha256": potential.checkpoint_sha256}}}
    with mock.patch.object(model_registry, "load_model_registry", return_value=registry | known):
        published = loaded(tiny.row(file))
    return {
        "theirs": theirs,
        "ours": [asked(potential, one)[0].energy_ev for one in (water(), water(charge=1), water(), boxed)],
        "by_path": [potential.takes_charge, potential.single.has_external_dftd3],
        "published": [published.takes_charge, published.single.has_external_dftd3],
    }


def tace(tiny, folder: Path) -> dict:
    """What is written into the caller's structure, and the stress of a molecule."""
    row = tiny.row(tiny.save(folder / "one.pt"))
    theirs, ours = water(), water()
    theirs.calc = tiny.calculator(row)
    stress = theirs.get_stress().tolist()
    asked(loaded(row), ours)
    return {"theirs": [sorted(theirs.info), stress], "ours": sorted(ours.info)}


def main(family: str, findings_file: str) -> None:
    """Look into one family."""
    from worker import isolation

    isolation.set_job_environment(1, in_container=False)
    isolation.leave_network()
    found = globals()[family](importlib.import_module(f"tiny.{family}"), Path.cwd())
    Path(findings_file).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
