"""The guide to clusters, on the test cluster."""

import pytest

from mira_cli.images import apptainer
from tests.guides import replay


@pytest.mark.families
@pytest.mark.apptainer
@pytest.mark.timeout(1800)  # images may have to be built
def test_commands_print_what_the_page_shows(tmp_path) -> None:
    if apptainer.program() is None:
        pytest.skip("no Apptainer on this machine")
    if found := replay.differences(replay.GUIDES / "cluster-without-network.md", tmp_path):
        pytest.fail(found, pytrace=False)
