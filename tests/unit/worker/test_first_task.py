"""Tasks that begin at a model's own minimum: nobody relaxes twice, and a relaxation that fails ends them."""

import json

import numpy as np
import pytest
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from mira_cli import tasks
from mira_cli.tasks.relax import FromMinimum
from tests.unit.worker.jobs import run_worker, write_job
from worker.tasks import find_task

RELAX = tasks.asked(tasks.find_task("relax"), FromMinimum().relaxation())
KEY = "0123456789abcdef"


def computed(folder, structures, *, job="ab12", relaxation=RELAX, **changes):
    """Lines of the property's records, and of the relaxations', of a job whose task is `singlepoint` at the minimum."""
    folder.mkdir(exist_ok=True)
    task = {"name": "singlepoint", "settings": {}, "version": 1, "begins_with": relaxation}
    write_job(folder, structures, job=job, task=task, begins_with_key=KEY, **changes)
    done = run_worker(folder, "--records", f"work/records/emt/own/{job}")
    assert done.returncode == 0, done.stderr
    logs = (folder / f"work/records/emt/{key}/{job}/records.jsonl" for key in ("own", KEY))
    return [[json.loads(line) for line in log.read_text().splitlines()] for log in logs]


def records(lines):
    return [line for line in lines if line["kind"] == "record"]


@pytest.fixture
def stretched():
    atoms = [bulk(name, a=a) for name, a in (("Cu", 3.7), ("Ni", 3.4), ("Al", 4.1))]
    return [one.repeat((1, 1, 2)) for one in atoms]


def test_the_story_starts_at_the_model_s_own_minimum(tmp_path, stretched):
    own, first = computed(tmp_path / "run", stretched)
    for atoms, record in zip(stretched, sorted(records(own), key=lambda one: one["energy_ev"]), strict=True):
        assert record["status"] == "ok"
        assert record["evaluated_atoms"] > 4 * len(atoms)  # the relaxation is part of what it cost
    energies = []
    for atoms in stretched:
        atoms.calc = EMT()
        BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-3)
        energies.append(atoms.get_potential_energy())
    assert sorted(one["energy_ev"] for one in records(own)) == pytest.approx(sorted(energies), abs=1e-5)
    assert [one["structure"] for one in records(first)] == [one["structure"] for one in records(own)]
    assert {one["status"] for one in records(first)} == {"ok"}
    assert [line["kind"] for line in first].count("attempt") == 1  # which says what computed them


def test_nobody_relaxes_twice(tmp_path, stretched):
    before, first = computed(tmp_path / "run", stretched)
    again, first_again = computed(tmp_path / "run", stretched, job="cd34")
    assert records(first)
    assert not records(first_again)
    energies = {one["structure"]: one["energy_ev"] for one in records(before)}
    for record in records(again):
        assert record["energy_ev"] == energies[record["structure"]]  # to the last digit
        assert "evaluated_atoms" not in record  # as many as it has
    with (tmp_path / f"run/work/records/emt/{KEY}/ab12/positions.f64").open("r+b") as file:
        file.truncate(8)  # what is damaged is not known
    _, mended = computed(tmp_path / "run", stretched, job="ef56")
    assert len(records(mended)) == len(stretched)


def test_a_relaxation_that_does_not_end_ends_the_task(tmp_path, stretched):
    stretched[0].rattle(0.1, seed=1)
    relaxation = tasks.asked(tasks.find_task("relax"), FromMinimum(relax_max_steps=1).relaxation())
    own, first = computed(tmp_path / "run", stretched[:1], relaxation=relaxation)
    (record,), (relaxed,) = records(own), records(first)
    assert relaxed["status"] == "not_converged"
    assert record["status"] == "invalid_result"
    assert record["error"].startswith("its relaxation found no minimum: not converged within 1 step")
    assert record["energy_ev"] is None
    again, _ = computed(tmp_path / "run", stretched[:1], job="cd34", relaxation=relaxation)
    assert records(again)[0]["error"] == record["error"]


def test_what_the_model_does_not_know_is_said_as_ever(tmp_path):
    own, first = computed(tmp_path / "run", [bulk("Fe")], model={"elements": [29]})
    assert [one["status"] for one in records(own)] == ["unsupported_element"]
    assert not records(first)


def test_cells_are_relaxed_too(tmp_path, stretched):
    _, first = computed(tmp_path / "run", stretched)
    ends = np.fromfile(tmp_path / f"run/work/records/emt/{KEY}/ab12/cell.f64").reshape(-1, 3, 3)
    volumes = np.abs(np.linalg.det(ends)) / 2
    assert sorted(volumes) == pytest.approx(sorted([11.565, 10.601, 15.933]), rel=2e-3)  # a table made with ASE
    assert {one["n_fixed"] for one in records(first)} == {0}


@pytest.mark.parametrize("name", ["eos", "elastic", "phonons"])
def test_what_cannot_have_a_property_is_not_relaxed_for_it(tmp_path, name):
    task = tasks.asked(tasks.find_task(name), tasks.find_task(name).settings())
    write_job(tmp_path, [fcc111("Cu", (1, 1, 3), vacuum=8.0, periodic=True)], task=task, begins_with_key=KEY)
    done = run_worker(tmp_path, "--records", "work/records/emt/own/ab12")
    assert done.returncode == 0, done.stderr
    own, first = (tmp_path / f"work/records/emt/{key}/ab12/records.jsonl" for key in ("own", KEY))
    (told,) = records([json.loads(line) for line in own.read_text().splitlines()])
    assert told["status"] == "invalid_result"
    assert "vacuum" in told["error"]
    assert not told.get("evaluated_atoms")
    assert not first.exists() or not records([json.loads(line) for line in first.read_text().splitlines()])


def test_a_crystal_whose_atoms_are_held_has_no_elastic_constants():
    held = bulk("Cu", cubic=True)
    held.set_constraint(FixAtoms([0, 1, 2, 3]))
    assert find_task("elastic").refusal(held) == "some of its atoms are held: it is at no minimum"
    held.set_constraint(FixAtoms([0]))
    assert find_task("elastic").refusal(held) == "some of its atoms are held: it is at no minimum"
    held.set_constraint()
    assert find_task("elastic").refusal(held) is None
