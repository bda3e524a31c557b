"""Real weights: heat capacities of SevenNet-0, whose amounts of matter were checked by phonopy run by hand."""

import json

import pytest
from ase.build import bulk

from mira_cli import tasks
from mira_cli.tasks.phonons import PhononSettings
from tests.families.conftest import bundled_models, python_of
from tests.unit.worker.jobs import run_worker, write_job


def test_heat_capacities_are_of_the_amount_of_matter_that_their_name_says(tmp_path) -> None:
    (model,) = (one for one in bundled_models("sevennet") if one["name"] == "sevennet-0")
    asked = tasks.asked(tasks.find_task("phonons"), PhononSettings(min_length_ang=10.0))
    crystals = [bulk("NaCl", "rocksalt", a=5.69), bulk("Si", a=5.45, cubic=True)]
    write_job(tmp_path, crystals, model=model, task=asked, begins_with_key="0123456789abcdef")
    place = "work/records/sevennet/own/ab12"
    done = run_worker(tmp_path, "--records", place, python=python_of("fairchem-sevennet"), timeout_s=900)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in (tmp_path / place / "records.jsonl").read_text().splitlines()]
    found = {line["formula_unit"]: line for line in lines if line["kind"] == "record"}
    assert {name: one["status"] for name, one in found.items()} == {"NaCl": "ok", "Si": "ok"}
    assert {name: one["n_formula_unit_atoms"] for name, one in found.items()} == {"NaCl": 2, "Si": 1}
    heat = {name: one["heat_capacity_per_atom_j_per_mol_k"] for name, one in found.items()}
    assert 2 * heat["NaCl"] == pytest.approx(48.1, abs=0.1)  # a formula unit
    assert 2 * heat["Si"] == pytest.approx(42.56, abs=0.05)  # a primitive cell, which is two formula units
