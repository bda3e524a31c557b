"""Real weights: properties whose worker is killed end with the numbers of a run that nobody disturbed."""

import json
import os
import signal

import pytest
from ase.build import bulk
from ase.io import write

from tests.families.conftest import python_of
from tests.runs import own_records, records, rows

CRYSTALS = {
    "Al": bulk("Al"),
    "Cu": bulk("Cu"),
    "Si": bulk("Si"),
    "MgO": bulk("MgO", "rocksalt", a=4.21),
    "Pd": bulk("Pd"),
}
NUMBERS = {  # of which two batches that are made up otherwise may change the last digits
    "eos": ("v0_per_atom_ang3", "bulk_modulus_gpa"),
    "elastic": ("bulk_modulus_gpa", "shear_modulus_gpa"),
    "phonons": ("heat_capacity_per_atom_j_per_mol_k", "zero_point_energy_per_atom_ev"),
}


@pytest.fixture(scope="module")
def call(tmp_path_factory, mira):
    """The words of a run, and one that nobody disturbed."""
    python_of("fairchem-sevennet")
    top = tmp_path_factory.mktemp("killed")
    (top / "crystals").mkdir()
    for name, atoms in CRYSTALS.items():
        write(top / "crystals" / f"{name}.extxyz", atoms)

    def words(name: str) -> tuple[object, ...]:
        small = ("--set", "batch_atoms=16", "--set", "reuse=false", "--set", "device=cpu", "--runtime", "venv")
        return "run", top / "crystals", "-m", "sevennet-0", "-o", top / name, "--task", ",".join(NUMBERS), *small

    mira(*words("whole"))
    return words


def test_a_killed_worker_costs_nothing_finished(call, started) -> None:
    one = started(*call("disturbed"))
    whole, run = (call(name)[5] for name in ("whole", "disturbed"))
    for task in NUMBERS:
        one.wait_for_records(run / task, 1)
        os.kill(one.wait_for_worker(run / task), signal.SIGKILL)
    code, err = one.end()
    assert code == 0, err
    for task, names in NUMBERS.items():
        (own,) = own_records(run / task)
        lines = [line for file in own.glob("*/records.jsonl") for line in file.read_text().splitlines()]
        kinds = [json.loads(line)["kind"] for line in lines]
        assert kinds.count("attempt") > 1, (task, kinds)
        assert sorted(one["structure"] for one in records(run / task)) == sorted(
            one["structure"] for one in records(whole / task)
        )
        known = {row["structure_id"]: row for row in rows(whole / task)}
        for row in rows(run / task):
            assert row["status"] == known[row["structure_id"]]["status"]
            if row["status"] == "ok":
                assert [float(row[name]) for name in names] == pytest.approx(
                    [float(known[row["structure_id"]][name]) for name in names], rel=2e-3
                ), row["structure_id"]
