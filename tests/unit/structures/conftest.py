"""Files are read as ever; the processes that read some of them serve one test after another."""

from pathlib import Path

import pytest

from mira_cli.structures import readers
from mira_cli.structures.children import Children

# whose tests are about these processes themselves
OF_PROCESSES = {"test_reading_bounds.py"}


class Lasting(Children):
    """Processes that outlive the reading that they were started for, unless it was broken off."""

    begun = ended = 0

    def read(self, task):
        self.begun += 1
        blocks = super().read(task)
        self.ended += 1
        return blocks

    def kill(self) -> None:
        if self.begun != self.ended:
            super().kill()

    def close(self) -> None:
        pass

    def is_of_use(self) -> bool:
        return not self._ended


@pytest.fixture(scope="session")
def _lasting():
    """What starts processes for a folder and keys, each a third of a second of imports, or has them already."""
    made: dict[tuple, Lasting] = {}

    def children(processes: int, keys) -> Lasting:
        wanted = (Path.cwd(), processes, keys)
        if wanted not in made or not made[wanted].is_of_use():
            made[wanted] = Lasting(processes, keys)
        return made[wanted]

    yield children
    for one in made.values():
        Children.kill(one)
        Children.close(one)


@pytest.fixture(autouse=True)
def _readers_last(request, monkeypatch, _lasting) -> None:
    if request.path.name not in OF_PROCESSES:
        monkeypatch.setattr(readers, "Children", _lasting)
