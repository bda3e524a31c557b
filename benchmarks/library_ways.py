"""How a family's own library evaluates many structures: every way that an expert would try, at several batch sizes.

A way is what it is called and a function that asks. Runs in the family's image.
"""

from __future__ import annotations

import time
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    from ase import Atoms

    Answers = list[tuple[float, np.ndarray]]
    Ask = Callable[[list[Atoms]], Answers]
    Way = tuple[dict[str, Any], Ask]  # what it is, and how to ask

ATOMS_A_BATCH = (32, 64, 128, 512)
STRUCTURES_A_BATCH = (1, 4, 8, 16)
LISTS = ("torchsim_nl", "torch_nl_linked_cell")  # of torch-sim; the first is its own choice


def library_ways(model: dict[str, Any], device: str) -> Iterator[Way]:
    """Yield the ways of a model's family, one by one so that what is slow to load is loaded once."""
    makers = {
        "sevennet": (torch_sim_ways, sevennet_batches),
        "chgnet": (chgnet_batches,),
        "mace": (torch_sim_ways,),
        "orb": (torch_sim_ways,),
    }
    for maker in makers[model["family"]]:
        yield from maker(model, device)


def tuned(ways: Iterable[Way], sample: list[Atoms]) -> dict[str, Way]:
    """Return the way of each library that is the fastest on a sample; each has been warmed up before."""
    best: dict[str, tuple[float, Way]] = {}
    for what, ask in ways:
        try:
            ask(sample[:4])
            began = time.perf_counter()
            ask(sample)
            seconds = time.perf_counter() - began
        except RuntimeError:  # these batches do not fit into memory
            continue
        if what["library"] not in best or seconds < best[what["library"]][0]:
            best[what["library"]] = seconds, (what, ask)
    return {library: way for library, (_, way) in best.items()}


def torch_sim_ways(model: dict[str, Any], device: str) -> Iterator[Way]:
    """torch-sim's `static`; on a CPU with bounded batches, on a GPU with those that its batcher finds to fit."""
    import torch
    import torch_sim
    from torch_sim.autobatching import BinningAutoBatcher

    def ask(network: Any, batcher: Any, structures: list[Atoms]) -> Answers:
        found = torch_sim.static(structures, network, autobatcher=batcher)
        return [(float(one["potential_energy"]), one["forces"].cpu().numpy()) for one in found]

    lists = LISTS if model["family"] != "orb" else (None,)  # orb makes its own
    kernels = (False, True) if device != "cpu" and model["family"] != "orb" else (False,)  # of cuEquivariance
    for neighbours, fused in product(lists, kernels):
        how = {"neighbor_list_fn": getattr(torch_sim.neighbors, neighbours)} if neighbours else {}
        try:
            network = torch_sim_model(model, torch.device(device), how | ({"enable_cueq": True} if fused else {}))
        except ImportError:  # no cuEquivariance here
            continue
        # on a GPU, what fits is found at the first call, and kept
        for size in ATOMS_A_BATCH if device == "cpu" else (None,):
            what = {"library": "torch-sim static", "batch": size, "unit": "atoms", "neighbours": neighbours}
            bounds = {"memory_scales_with": "n_atoms", "max_memory_scaler": size} if size else {}
            yield what | {"cuequivariance": fused}, partial(ask, network, BinningAutoBatcher(network, **bounds))


def torch_sim_model(model: dict[str, Any], device: Any, how: dict[str, Any]) -> Any:
    """Load a model as torch-sim has it; weights without gradients, since nobody asks for them."""
    import torch

    if model["family"] == "sevennet":
        from torch_sim.models.sevennet import SevenNetModel

        found = SevenNetModel(model=model["checkpoint"]["bundled"], device=device, **how)
    elif model["family"] == "mace":
        from torch_sim.models.mace import MaceModel

        network = torch.load(model["checkpoint"]["path"], map_location=device, weights_only=False)
        found = MaceModel(network, device=device, dtype=torch.float32, **how)
    else:
        from orb_models.forcefield.inference.orb_torchsim import OrbTorchSimModel
        from random_models import orb_network

        found = OrbTorchSimModel(*orb_network(model, device), device=device)
    found.model.requires_grad_(False)
    return found


def sevennet_batches(model: dict[str, Any], device: str) -> Iterator[Way]:
    """SevenNet's own batches, as its command `sevenn inference` makes them."""
    from sevenn import _keys as key
    from sevenn import util
    from sevenn.atom_graph_data import AtomGraphData
    from sevenn.train.dataload import unlabeled_atoms_to_graph
    from torch_geometric.loader import DataLoader

    network, _ = util.model_from_checkpoint(util.pretrained_name_to_path(model["checkpoint"]["bundled"]))
    network.to(device).eval().requires_grad_(False)
    network.set_is_batch_data(True)

    def ask(size: int, structures: list[Atoms]) -> Answers:
        graphs = [AtomGraphData.from_numpy_dict(unlabeled_atoms_to_graph(a, network.cutoff)) for a in structures]
        found: Answers = []
        for batch in DataLoader(graphs, size, shuffle=False):
            for one in util.to_atom_graph_list(network(batch.to(device)).detach().cpu()):
                found.append((float(one[key.PRED_TOTAL_ENERGY]), one[key.PRED_FORCE].numpy()))
        return found

    for size in STRUCTURES_A_BATCH if device == "cpu" else (64, 512):
        yield {"library": "SevenNet's own batches", "batch": size, "unit": "structures"}, partial(ask, size)


def chgnet_batches(model: dict[str, Any], device: str) -> Iterator[Way]:
    """CHGNet's `predict_structure`."""
    from chgnet.model.model import CHGNet
    from pymatgen.io.ase import AseAtomsAdaptor

    network = CHGNet.load(model_name=model["checkpoint"]["bundled"], use_device=device, verbose=False)
    network.requires_grad_(False)

    def ask(size: int, structures: list[Atoms]) -> Answers:
        given = [AseAtomsAdaptor.get_structure(atoms) for atoms in structures]
        found = network.predict_structure(given, task="efs", batch_size=size)
        found = [found] if isinstance(found, dict) else found
        return [(float(one["e"]) * len(one["f"]), one["f"]) for one in found]

    for size in STRUCTURES_A_BATCH if device == "cpu" else (16, 128, 512):
        yield {"library": "chgnet predict_structure", "batch": size, "unit": "structures"}, partial(ask, size)
