"""Every task, through `tests/tasks/contract.py`; nothing here has to be changed for a new one."""

import pytest
from ase import Atoms

from mira_cli import tasks
from tests.runs import METALS
from tests.tasks import contract

pytestmark = pytest.mark.workflow


def two_pairs(metal: str) -> Atoms:
    """Two pairs of atoms in a box."""
    atoms = Atoms(f"{metal}4", [(0, 0, 0), (0, 0, 2.5), (0, 4.5, 0), (0, 4.5, 2.5)], cell=[14.0] * 3, pbc=True)
    atoms.positions += 3.0
    return atoms


QUICK: dict[str, dict] = {  # where a task is slow with its own settings
    "phonons": {"min_length_ang": 8, "mesh_ang": 20},
    "md": {
        "min_length_ang": 0, "duration_ps": 0.04, "equilibration_ps": 0.02, "timestep_fs": 1.0, "sample_fs": 4.0,
        "max_drift_ev_per_atom_per_ps": 1.0,
    },
    "formation": {"atom_energies_ev": {"empirical": dict.fromkeys((*METALS, "Fe"), 1.0)}},
}  # fmt: skip
OTHERS = {"interaction": two_pairs}  # what a task is asked about that can do nothing with crystals


@pytest.fixture(scope="module", params=tasks.names())
def kit(request, tmp_path_factory, mira):
    name = request.param
    atoms_of = OTHERS.get(name, contract.crystal)
    return contract.made(name, QUICK.get(name, {}), tmp_path_factory.mktemp(name), mira, atoms_of)


def test_host_and_worker_agree(kit) -> None:
    contract.check_twins(kit)


def test_failures_cost_their_structures(kit) -> None:
    contract.check_failures(kit)


def test_columns_are_those_declared(kit) -> None:
    contract.check_columns(kit)


def test_records_are_believed(kit) -> None:
    contract.check_records(kit)


def test_all_results_are_there(kit) -> None:
    contract.check_results(kit)


def test_answers_are_reused_and_additions_computed(kit) -> None:
    contract.check_reuse_and_additions(kit)


def test_interruptions_cost_nothing_finished(kit, started) -> None:
    contract.check_interruptions(kit, started)
