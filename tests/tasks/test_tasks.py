"""Every task, through `tests/tasks/contract.py`; nothing here has to be changed for a new one."""

import pytest

from mira_cli import tasks
from tests.tasks import contract

pytestmark = pytest.mark.workflow
QUICK: dict[str, dict] = {
    "phonons": {"min_length_ang": 8, "mesh_ang": 20}
}  # where a task is slow with its own settings


@pytest.fixture(scope="module", params=tasks.names())
def kit(request, tmp_path_factory, mira):
    name = request.param
    return contract.made(name, QUICK.get(name, {}), tmp_path_factory.mktemp(name), mira)


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
