"""Runs whose reports are looked at: with references and without, and those in which little or nothing came out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from mira_cli.driver.collect import collect
from mira_cli.run.directory import RunDirectory
from tests.unit.results.comparison_runs import Answer, made_run
from tests.unit.results.property_runs import elastic_run, eos_run
from tests.unit.results.relaxed_runs import End, relaxed_run

METALS = ("Cu", "Ni", "Al")
EVIL = "</script><img src=x onerror=alert(1)> <!-- @@DATA@@ é 漢字 \u202e.extxyz".replace("/", "\u2215")
EVIL_MODEL = "<b>&amp;</script><script>alert(2)</script>"


def frames(number: int, *, references: bool = False) -> list[Atoms]:
    """Rattled metals; every other one with energy, forces and stress of its own."""
    found = []
    for i in range(number):
        atoms = bulk(METALS[i % 3], cubic=True)
        atoms.rattle(0.1, seed=i)
        if references and i % 2 == 0:
            rng = np.random.default_rng(100 + i)
            results = {"energy": -12.0 + i, "forces": rng.normal(size=(4, 3)), "stress": rng.normal(size=6) / 100}
            atoms.calc = SinglePointCalculator(atoms, **results)
        found.append(atoms)
    return found


def answers(number: int, seed: int, *, failed: Sequence[int] = (), spread: float = 0.1) -> list[Answer]:
    """What a model says: the forces of all models are alike but for `spread`, which grows with the structure."""
    rng, common = np.random.default_rng(seed), np.random.default_rng(0)
    found: list[Answer] = []
    for i in range(number):
        forces = common.normal(size=(4, 3)) + spread * (i + 1) * rng.normal(size=(4, 3))
        stress = (common.normal(size=6) + 0.1 * rng.normal(size=6)).tolist()
        energy = -14.0 + 40 * seed + common.normal() + 0.01 * rng.normal()
        found.append(None if i in failed else (energy, forces, stress))
    return found


def usual(folder: Path, number: int = 30) -> RunDirectory:
    """Three models, of two levels of theory, one of which failed on two structures; references for every other one."""
    said = {"a": answers(number, 1), "b": answers(number, 2), "c": answers(number, 3, failed=(1, 4))}
    theory = {"a": "PBE", "b": "PBE", "c": "r2SCAN"}
    return collected(made_run(folder, frames(number, references=True), said, theory=theory))


def one_structure(folder: Path) -> RunDirectory:
    return collected(made_run(folder, frames(1), {name: answers(1, seed) for seed, name in enumerate("abc")}))


def one_model(folder: Path) -> RunDirectory:
    return collected(made_run(folder, frames(6), {"a": answers(6, 1)}))


def all_failed(folder: Path) -> RunDirectory:
    return collected(made_run(folder, frames(6, references=True), {"a": [None] * 6, "b": [None] * 6}))


def no_overlap(folder: Path) -> RunDirectory:
    said = {"a": answers(6, 1, failed=(0, 1, 2)), "b": answers(6, 2, failed=(3, 4, 5))}
    return collected(made_run(folder, frames(6), said))


def hostile(folder: Path) -> RunDirectory:
    said = {"a": answers(6, 1), EVIL_MODEL: answers(6, 2), "c": answers(6, 3)}
    return collected(made_run(folder, frames(6), said, name=EVIL))


def many_models(folder: Path) -> RunDirectory:
    said = {f"model-{k}": answers(6, k, failed=(k % 6,)) for k in range(40)}
    return collected(made_run(folder, frames(6), said))


def eight_models(folder: Path) -> RunDirectory:
    said = {f"sevennet-of-some-length-{k}": answers(6, k) for k in range(8)}
    return collected(made_run(folder, frames(6), said))


def relaxed(folder: Path) -> RunDirectory:
    """Two models whose minima differ, one of which blew up once, and a relaxed reference."""
    starts = frames(6)
    ends: dict[str, list[End | None]] = {"a": [], "b": []}
    for i, atoms in enumerate(starts):
        for seed, model in enumerate("ab"):
            end = atoms.copy()
            end.set_cell(atoms.cell * (1 + 0.01 * (seed + i)), scale_atoms=True)
            end.rattle(0.02 * i, seed=seed)
            ends[model].append(End(end, -4.0 - seed + 0.1 * i))
    ends["a"][1] = End(starts[1], status="blown_up", error="atoms are 0.1 Å apart after 3 steps")
    ends["b"][2] = None
    reference = starts[0].copy()
    reference.info["structure_id"] = "in.extxyz#0"
    return collected(relaxed_run(folder, starts, ends, theory={"a": "PBE", "b": "PBE"}, reference=[reference]))


def collected(run: RunDirectory) -> RunDirectory:
    collect(run)
    return run


EVERY = {
    one.__name__: one
    for one in (
        usual,
        one_structure,
        one_model,
        all_failed,
        no_overlap,
        hostile,
        many_models,
        eight_models,
        relaxed,
        eos_run,
        elastic_run,
    )
}
