"""Fixtures of the tests about looking at runs."""

import pytest

from tests.unit.watching.watching_site import Site, held


@pytest.fixture
def site(tmp_path) -> Site:
    return Site(tmp_path / "run")


@pytest.fixture
def holder(site):
    """A process that holds the lock of the run."""
    with held(site) as child:
        yield child
