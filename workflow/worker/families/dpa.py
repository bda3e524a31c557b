"""DPA, of DeePMD-kit: published models, of one head or several, and checkpoints of its PyTorch trainer (`.pt`)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
from ase.data import atomic_numbers
from ase.stress import full_3x3_to_voigt_6_stress

from worker.errors import WorkerError, sentence
from worker.families.base import NEUTRAL, Result, atoms_that_fit, charge_aware, check_options, existing_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from numpy.typing import NDArray

    from worker.job import Model

DISTRIBUTIONS = ("deepmd-kit", "torch")
IMPORTS = ("torch", "deepmd.calculator", "deepmd.pt.infer.deep_eval")
FRAMEWORK = "torch"
DTYPES = ("as-trained",)
HOSTS = ("huggingface.co", "hf-mirror.com", "modelscope.cn")


@dataclass
class DPA:
    """One head of a loaded DPA; `single` is the package's own ASE calculator, which holds the network."""

    single: Any
    checkpoint_sha256: str | None
    elements: frozenset[int]
    dtype: str
    takes_charge: bool
    gives_stress: bool = True
    conservative: bool = True

    @property
    def cutoff_ang(self) -> float:
        """Cutoff of one message in Å."""
        return float(self.single.dp.get_rcut())

    def batch_atoms(self, device: str) -> int:
        """Say how many atoms a batch should hold to begin with."""
        # on GPUs nothing was measured: a careful guess
        return atoms_that_fit(device, on_cpu=128, gpu_mb_per_atom=20.0)

    def calculator(self) -> Calculator:
        """Return the package's own calculator, which is told charge and spin in its own words."""
        from deepmd.calculator import DP

        told = self._charge_spin

        class Calculator(DP):
            def calculate(self, atoms: Atoms, properties: list[str], system_changes: list[str]) -> None:
                asked = atoms.copy()
                asked.info = {} if (state := told([atoms])) is None else {"charge_spin": state}
                super().calculate(asked, properties, system_changes)
                self.atoms = atoms.copy()  # what ASE compares the next structure with

        shared = Calculator.__new__(Calculator)
        shared.__dict__.update(self.single.__dict__, results={}, atoms=None)
        return charge_aware(shared)

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures, those of as many atoms in one pass, which is what the package joins."""
        alike: dict[int, list[int]] = defaultdict(list)
        for place, atoms in enumerate(batch):
            alike[len(atoms)].append(place)
        answers: dict[int, Result] = {}
        for places in alike.values():
            answers.update(zip(places, self._pass([batch[place] for place in places]), strict=True))
        return [answers[place] for place in range(len(batch))]

    def _pass(self, batch: list[Atoms]) -> list[Result]:
        types = [[self.single.type_dict[symbol] for symbol in atoms.symbols] for atoms in batch]
        energies, forces, virials = self.single.dp.eval(
            np.array([atoms.positions for atoms in batch]),
            np.array([atoms.cell.array.ravel() for atoms in batch]),
            np.array(types),
            mixed_type=True,
            charge_spin=self._charge_spin(batch),
        )
        volumes = np.array([atoms.get_volume() for atoms in batch])
        stresses = -virials.reshape(-1, 3, 3) / volumes[:, None, None]
        return [
            Result(float(energy), force, full_3x3_to_voigt_6_stress(stress))
            for energy, force, stress in zip(energies.ravel(), forces, stresses, strict=True)
        ]

    def _charge_spin(self, batch: Sequence[Atoms]) -> NDArray[np.float64] | None:
        """(n, 2) total charge in e and multiplicity of each, where the network reads them."""
        if not self.takes_charge:
            return None
        return np.array([[atoms.info.get(key, neutral) for key, neutral in NEUTRAL.items()] for atoms in batch], float)


def load(model: Model, device: str, dtype: str) -> DPA:  # noqa: ARG001 - DTYPES has one entry
    """Load one head of a checkpoint without running code from it.

    The package's own loader takes what fits, and leaves the rest of the network at random.

    Raises
    ------
    WorkerError
        There is no such checkpoint or head, or it is not DeePMD-kit's, or the network wants what MIRA does not know.
    """
    from deepmd.pt.utils import env

    check_options(model, ["head"])
    if model.checkpoint.path is None:
        raise WorkerError(f"{model.name}: deepmd-kit ships no weights, and {model.checkpoint.bundled!r} was asked for")
    file = existing_weights(model, model.checkpoint.path)
    if file.suffix != ".pt":
        what = "a checkpoint of DeePMD-kit's PyTorch trainer, whose name ends with .pt"
        raise WorkerError(f"{model.name}: {file} is not {what}")
    if env.DEVICE.type != device.partition(":")[0]:  # it is chosen when the package is imported
        raise WorkerError(f"{model.name}: deepmd-kit has taken {env.DEVICE}, and {device} was asked for")
    try:
        head = _head(model, file)
        single = _calculator(file, head)
    except WorkerError:
        raise
    except Exception as error:
        raise WorkerError(f"{model.name}: {file} is not a DPA checkpoint ({sentence(error)})") from error
    deep = single.dp.deep_eval
    if "energy" not in deep.dp.model["Default"].model_output_type() or deep.get_has_spin():
        raise WorkerError(f"{model.name}: {file} is no potential of atoms without spins")
    if (deep.get_dim_fparam() and not deep.has_default_fparam()) or deep.get_dim_aparam():
        raise WorkerError(f"{model.name}: {file} wants parameters of frames or atoms, which MIRA does not have")
    deep.auto_batch_size = None  # memory is watched by the worker
    return DPA(single, model.checkpoint.sha256, _elements(model, deep), _dtype(deep), bool(deep.has_chg_spin_ebd()))


def _head(model: Model, file: Path) -> str | None:
    """The name of the head that is asked for, as the file has it; None where the network has none.

    Raises
    ------
    WorkerError
        None is asked for, or one that it does not have.
    """
    import torch
    from deepmd.utils.model_branch_dict import get_model_dict

    saved = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    params = saved.get("model", saved)["_extra_state"]["model_params"]
    asked = model.options.get("head")
    if "model_dict" not in params:
        if asked is not None:
            raise WorkerError(f"{model.name}: {file} has no heads, and {asked!r} was asked for")
        return None
    known, _ = get_model_dict(params["model_dict"])
    heads = list(params["model_dict"])
    listed = f"its heads are {', '.join(heads)}: `?head={heads[0]}` after its name takes the first"
    if asked is None:
        raise WorkerError(f"{model.name}: {file} has several heads, and option head names none; {listed}")
    found = {name.lower(): name for name in reversed(list(known))}.get(str(asked).lower())
    if found is None:
        raise WorkerError(f"{model.name}: {file} has no head {asked!r}; {listed}")
    return str(known[found])


def _calculator(file: Path, head: str | None) -> Any:
    from deepmd.calculator import DP
    from deepmd.pt.infer import deep_eval

    class Strict(deep_eval.ModelWrapper):
        def load_state_dict(self, saved: Any, strict: bool = True) -> Any:  # noqa: ARG002 - nothing is left out
            found = super().load_state_dict(saved, strict=False)
            if differing := sorted([*found.missing_keys, *found.unexpected_keys]):
                raise ValueError(f"its weights do not fit its network, {differing[0]} for one")
            return found

    with mock.patch.object(deep_eval, "ModelWrapper", Strict):
        return DP(file, head=head)


def _elements(model: Model, deep: Any) -> frozenset[int]:
    """Elements that the training data had; those that the network has inputs for where that is not noted.

    Raises
    ------
    WorkerError
        Atom types are no elements.
    """
    known = deep.get_type_map()
    if strange := [name for name in known if name not in atomic_numbers]:
        raise WorkerError(f"{model.name}: its atom types are no elements, {strange[0]} for one")
    seen = deep.dp.model["Default"].get_observed_type_list()
    return frozenset(atomic_numbers[name] for name in seen or known)


def _dtype(deep: Any) -> str:
    """The lowest precision among a network's weights."""
    import torch

    dtypes = {weight.dtype for weight in deep.dp.parameters() if weight.is_floating_point()}
    return "float64" if dtypes == {torch.float64} else "float32"


def fetch(name: str, folder: Path) -> Path:
    """Download a model with the package's own code, which compares its hash with the published one."""
    from deepmd.pretrained.download import download_model

    return Path(download_model(name, cache_dir=folder))
