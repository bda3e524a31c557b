"""XLA compiles for seconds for each shape of a graph that it has not met: many batches must have few shapes."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from ase import Atoms

from tests.unit.worker.jobs import one_step
from worker.batching import Queue
from worker.families.grace import Grace, padded
from worker.structures import Structure

N_STRUCTURES, BATCH_ATOMS, NEIGHBOURS = 2000, 64, 40


@pytest.mark.parametrize("smallest", [1, 16, 512])
def test_padding_has_room_and_is_never_more_than_half(smallest):
    sizes = range(1, 100 * smallest, max(1, smallest // 5))
    found = [padded(size, smallest) for size in sizes]
    for size, shape in zip(sizes, found, strict=True):
        assert max(smallest, size) <= shape <= max(smallest, 1.5 * size + 1)
    assert found == sorted(found)
    assert [padded(shape, smallest) for shape in found] == found
    assert len(set(found)) <= 2 * np.log2(100) + 2


class Builder:
    """As much of the package's builder of graphs as is used; remembers the shapes that it is to pad to."""

    def __init__(self):
        self.shapes = []

    def extract_from_ase_atoms(self, atoms):
        return {"atoms": len(atoms), "bonds": int(atoms.info["bonds"])}

    def join_to_batch(self, graphs):
        return {name: sum(graph[name] for graph in graphs) for name in ("atoms", "bonds")}

    def pad_batch(self, joined, shape):
        assert shape["most atoms"] > joined["atoms"], "no atom is left for surplus bonds to end at"
        assert shape["most bonds"] >= joined["bonds"]
        self.shapes.append((shape["most atoms"], shape["most bonds"]))


@pytest.fixture
def builder(monkeypatch):
    """Stand in for tensorpotential, whose words for what is in a graph are ours here."""
    constants = SimpleNamespace(
        N_ATOMS_BATCH_REAL="atoms",
        N_NEIGHBORS_REAL="bonds",
        PAD_MAX_N_STRUCTURES="most structures",
        PAD_MAX_N_ATOMS="most atoms",
        PAD_MAX_N_NEIGHBORS="most bonds",
    )
    package = ModuleType("tensorpotential")
    package.constants = constants
    monkeypatch.setitem(sys.modules, "tensorpotential", package)
    return Builder()


def test_the_batches_of_a_job_have_few_shapes(builder):
    """As many as 2,000 structures of 1 to 40 atoms make, whose densities differ by a third."""
    random = np.random.default_rng(0)
    structures = [Structure(f"{i:05d}", int(random.integers(1, 41)), None, i) for i in range(N_STRUCTURES)]
    model, queue = Grace(SimpleNamespace(geom_data_builder=builder), "", "float64"), Queue(structures, one_step)
    while batch := queue.next_batch(BATCH_ATOMS):
        bonds = [s.n_atoms * NEIGHBOURS * random.uniform(0.8, 1.2) for s in batch]
        model.graphs([Atoms(f"H{s.n_atoms}", info={"bonds": n}) for s, n in zip(batch, bonds, strict=True)])
    assert len(builder.shapes) > N_STRUCTURES // 4
    assert len(set(builder.shapes)) <= 12
