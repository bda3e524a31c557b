"""Networks of the `nequip` package, compiled for CPUs by AOTInductor: any number of structures, atoms and edges.

Imported where one is compiled or loaded. Both take one of the package's functions apart from its command, which would
want the training data of a checkpoint, and a file of a package's with all that is beside the network.
"""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from nequip.data import AtomicDataDict as Keys

if TYPE_CHECKING:
    from pathlib import Path

LEAST = 2  # of each dimension: code for one would be code for one alone
INPUTS = (
    Keys.POSITIONS_KEY,
    Keys.EDGE_INDEX_KEY,
    Keys.ATOM_TYPE_KEY,
    Keys.CELL_KEY,
    Keys.EDGE_CELL_SHIFT_KEY,
    Keys.BATCH_KEY,
    Keys.NUM_NODES_KEY,
)


def outputs(*, stress: bool) -> list[str]:
    """Return what a compiled network answers with, in order."""
    return [Keys.TOTAL_ENERGY_KEY, Keys.FORCE_KEY, *([Keys.STRESS_KEY] if stress else [])]


def compile_graphs(network: Any, graphs: Any, out: Path, *, stress: bool) -> None:
    """Compile a network into a file; joined graphs of several structures are its example."""
    from nequip.scripts._workflow_utils import set_workflow_state
    from nequip.utils import aot
    from torch.export import Dim

    set_workflow_state("compile")  # as `nequip-compile` does
    names = {"graph": "num_frames", "node": "num_nodes", "edge": "num_edges"}
    sizes = {kind: Dim(name, min=LEAST, max=torch.inf) for kind, name in names.items()}
    # it would compare answers to one batch, within 1e-12 in double precision; the worker's trial compares more of them
    with mock.patch.object(aot, "_NEQUIP_SKIP_AOTI_MODEL_CHECK", True):
        aot.aot_export_model(network, "cpu", list(INPUTS), outputs(stress=stress), graphs, sizes, str(out))


class Compiled(torch.nn.Module):
    """A compiled network, asked as the plain one is; it never gets fewer structures or edges than it was made for."""

    def __init__(self, file: Path, companion: Any, *, stress: bool) -> None:
        """Load a file; `companion` is the graph of a pair of atoms, which joins what is too small."""
        super().__init__()
        os.environ["AOTI_RUNTIME_CHECK_INPUTS"] = "1"  # else it computes with whatever shape it is given
        # it is unpacked into a folder that stays where a process is killed, and which nobody needs any more
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, TMPDIR=folder):
            self.loader = torch._C._aoti.AOTIModelPackageLoader(str(file), "model", False, 1, -1)  # noqa: SLF001 - no compiler
        self.companion, self.answers = companion, outputs(stress=stress)

    def forward(self, data: Any) -> Any:
        """Evaluate one graph, or joined ones."""
        graphs = Keys.with_batch_({key: data[key] for key in data if key in INPUTS})
        n_graphs, n_atoms = len(graphs[Keys.NUM_NODES_KEY]), len(graphs[Keys.POSITIONS_KEY])
        if n_graphs < LEAST or graphs[Keys.EDGE_INDEX_KEY].shape[1] < LEAST:
            companion = {key: self.companion[key] for key in graphs}
            graphs = Keys.batched_from_list([graphs, companion])
        with torch.inference_mode():
            found = self.loader.boxed_run([graphs[key] for key in INPUTS])
        whole = dict(zip(self.answers, found, strict=True))
        return {key: value[: n_atoms if key == Keys.FORCE_KEY else n_graphs] for key, value in whole.items()}
