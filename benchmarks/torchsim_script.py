"""The torch-sim script that a user writes for SevenNet.

`torchsim_script.py NAME STRUCTURES.extxyz OUT.extxyz ATOMS LIST`: ATOMS is how many atoms a batch may hold, LIST a
neighbour list of `torch_sim.neighbors`. `torchsim_script.py NAME STRUCTURES.extxyz --tune` tries them, and prints the
fastest pair.
"""

from __future__ import annotations

import json
import sys

import torch
import torch_sim
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from ase.stress import full_3x3_to_voigt_6_stress


def main() -> None:
    name, structures_file, out = sys.argv[1:4]
    structures = read(structures_file, ":")
    if out == "--tune":
        from library_ways import torch_sim_ways, tuned

        model = {"family": "sevennet", "checkpoint": {"bundled": name}}
        ((what, _),) = tuned(torch_sim_ways(model, "cpu"), structures).values()
        print(json.dumps(what))
        return
    from torch_sim.autobatching import BinningAutoBatcher
    from torch_sim.models.sevennet import SevenNetModel

    batch_atoms, neighbours = int(sys.argv[4]), getattr(torch_sim.neighbors, sys.argv[5])
    model = SevenNetModel(model=name, device=torch.device("cpu"), neighbor_list_fn=neighbours)
    batcher = BinningAutoBatcher(model, memory_scales_with="n_atoms", max_memory_scaler=batch_atoms)
    for atoms, found in zip(structures, torch_sim.static(structures, model, autobatcher=batcher), strict=True):
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=float(found["potential_energy"]),
            forces=found["forces"].numpy(),
            stress=full_3x3_to_voigt_6_stress(found["stress"][0].numpy()),
        )
    write(out, structures)


if __name__ == "__main__":
    main()
