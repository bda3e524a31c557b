"""FAIRChem: UMA, eSEN and AllScAIP, and checkpoints trained by users."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.calculators.calculator import PropertyNotImplementedError
from ase.geometry import minkowski_reduce
from ase.stress import full_3x3_to_voigt_6_stress

from worker.errors import WorkerError, sentence
from worker.families.base import Result, atoms_that_fit, check_options, existing_weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from worker.job import Model

DISTRIBUTIONS = ("fairchem-core", "e3nn", "torch")
IMPORTS = ("torch", "fairchem.core")
FRAMEWORK = "torch"
DTYPES = ("float32", "float64")
HOSTS = ("huggingface.co",)

# energies of isolated atoms from DFT, which the package finds by a model's name and its checkpoints do not hold
ATOM_REFERENCES = ("iso_atom_elem_refs.yaml", "odac_elem_refs.yaml")
# the only task whose energies depend on charge and multiplicity; embeddings of others were never trained on any
CHARGED_TASK = "omol"
WHOLE_E = 1e-6


@dataclass
class FAIRChem:
    """One task of a loaded checkpoint; `single` is the package's own ASE calculator, which holds the network."""

    single: Any
    checkpoint_sha256: str | None
    dtype: str

    @property
    def _network(self) -> Any:
        return self.single.predictor.model.module

    @property
    def cutoff_ang(self) -> float:
        """Cutoff of one message in Å."""
        return float(self._network.backbone.cutoff)

    @property
    def elements(self) -> frozenset[int]:
        """Elements that the network has inputs for; which of them were trained, only the catalogue knows."""
        return frozenset(range(1, self._network.backbone.max_num_elements))

    @property
    def takes_charge(self) -> bool:
        """True if the task reads charge and multiplicity."""
        return self.single.task_name == CHARGED_TASK

    @property
    def gives_stress(self) -> bool:
        """True if the task has a stress; the package derives it from the energy where it was not trained."""
        return "stress" in self.single.implemented_properties

    @property
    def conservative(self) -> bool:
        """True if forces are gradients."""
        return not self._network.backbone.regress_config.direct_forces

    def batch_atoms(self, device: str) -> int:
        """Say how many atoms a batch should hold to begin with."""
        return atoms_that_fit(device, on_cpu=16, gpu_mb_per_atom=16.0)

    def calculator(self) -> Calculator:
        """Return the package's own calculator, asked as `evaluate` asks."""
        from fairchem.core import FAIRChemCalculator

        ask = self._asked

        class Calculator(FAIRChemCalculator):
            def calculate(self, atoms: Atoms, properties: list[str], system_changes: list[str]) -> None:
                super().calculate(ask(atoms), properties, system_changes)
                self.atoms = atoms.copy()  # what ASE compares the next structure with

        return Calculator(self.single.predictor, task_name=self.single.task_name)

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures in one pass, and isolated atoms by themselves if the network takes none."""
        return self.answer(batch, self.graphs(batch))

    def graphs(self, batch: Sequence[Atoms]) -> list[tuple[list[int], Any]]:
        """Make the package's graphs, joined pass by pass, each with its places in the batch."""
        from fairchem.core.datasets.atomic_data import atomicdata_list_to_batch

        asked = [self._asked(atoms) for atoms in batch]
        apart = [i for i, atoms in enumerate(asked) if not atoms.pbc.any()]
        together = [i for i in range(len(asked)) if i not in apart]
        passes = [chosen for chosen in [together, *([i] for i in apart)] if chosen]
        return [(chosen, atomicdata_list_to_batch([self.single.a2g(asked[i]) for i in chosen])) for chosen in passes]

    def answer(self, batch: Sequence[Atoms], graphs: list[tuple[list[int], Any]]) -> list[Result]:
        """Evaluate joined graphs."""
        answers: dict[int, Result] = {}
        for chosen, joined in graphs:
            answers.update(zip(chosen, self._predict(joined, [len(batch[i]) for i in chosen]), strict=True))
        return [answers[i] for i in range(len(batch))]

    def _predict(self, joined: Any, sizes: list[int]) -> list[Result]:
        found = self.single.predictor.predict(joined)
        arrays = {name: values.detach().cpu().numpy() for name, values in found.items()}
        energies = arrays["energy"].reshape(-1)
        forces = np.split(arrays["forces"], np.cumsum(sizes)[:-1])
        stresses: Iterable[Any] = [None] * len(sizes)
        if self.gives_stress:
            stresses = map(full_3x3_to_voigt_6_stress, arrays["stress"].reshape(-1, 3, 3))
        return [Result(float(e), f, s) for e, f, s in zip(energies, forces, stresses, strict=True)]

    def _asked(self, atoms: Atoms) -> Atoms:
        """Copy a prepared structure into the form that the package answers correctly.

        Raises
        ------
        ValueError
            The charge or the multiplicity is no whole number, or there are no energies of isolated atoms.
        """
        asked = atoms.copy()
        asked.info = {"charge": 0, "spin": 0}
        if self.takes_charge:
            asked.info = {"charge": _whole(atoms, "charge", 0), "spin": _whole(atoms, "spin", 1)}
        self.single.predictor.validate_atoms_data(asked, self.single.task_name)
        if not self._network.supports_single_atoms and _isolated(atoms, self.cutoff_ang):
            if not self.single.predictor.atom_refs:
                files = " or ".join(ATOM_REFERENCES)
                raise ValueError(
                    f"this network takes no isolated atom, and no {files} beside its checkpoint has energies"
                )
            asked.pbc = False  # how the package knows such an atom
        return asked


def _whole(atoms: Atoms, name: str, default: int) -> int:
    value = float(atoms.info.get(name, default))
    if abs(value - round(value)) > WHOLE_E:
        raise PropertyNotImplementedError(f"{name} is {value:g}, and this model takes whole numbers only")
    return round(value)


def _isolated(atoms: Atoms, cutoff_ang: float) -> bool:
    """Tell whether a fully periodic structure is one atom out of reach of its images."""
    return len(atoms) == 1 and bool(np.linalg.norm(minkowski_reduce(atoms.cell)[0], axis=1).min() > cutoff_ang)


def load(model: Model, device: str, dtype: str) -> FAIRChem:
    """Load one task of a checkpoint.

    A folder may hold, beside the checkpoint, the energies of isolated atoms (`ATOM_REFERENCES`); a file alone has none.
    Checkpoints of this family are pickles, and name the code that builds the network: a file from a stranger
    runs the stranger's code.

    Raises
    ------
    WorkerError
        There is no such checkpoint, it is not FAIRChem's, or the task does not fit it.
    """
    check_options(model, ["task"])
    if model.checkpoint.path is None:
        raise WorkerError(f"{model.name}: fairchem ships no weights")
    place = model.checkpoint.path
    file, references = _inside(model, place) if place.is_dir() else (existing_weights(model, place), None)
    from fairchem.core import FAIRChemCalculator
    from fairchem.core.units.mlip_unit import load_predict_unit
    from fairchem.core.units.mlip_unit.api.inference import InferenceSettings
    from omegaconf import OmegaConf

    # the package's settings for structures of many kinds; its default compiles, merges experts and uses TF32
    settings = InferenceSettings(
        tf32=False, activation_checkpointing=True, merge_mole=False, compile=False, base_precision_dtype=dtype
    )
    try:
        unit = load_predict_unit(
            file,
            inference_settings=settings,
            device=device.partition(":")[0],
            atom_refs=OmegaConf.load(references) if references else None,
        )
    except Exception as error:
        if "has no model_id" in str(error):
            raise WorkerError(
                f"{model.name}: {file} is a UMA checkpoint that this fairchem-core cannot read ({sentence(error)})"
            ) from error
        raise WorkerError(f"{model.name}: {file} is not a FAIRChem checkpoint ({sentence(error)})") from error
    task = _task(model, {name: {t.property for t in tasks} for name, tasks in unit.dataset_to_tasks.items()})
    return FAIRChem(FAIRChemCalculator(unit, task_name=task), model.checkpoint.sha256, dtype)


def _task(model: Model, properties: dict[str, set[str]]) -> str:
    """Choose the task; `properties` are those of each task in the checkpoint."""
    known = ", ".join(sorted(properties))
    task = model.options.get("task")
    if task is None and len(properties) > 1:
        raise WorkerError(f"{model.name}: this checkpoint has several tasks, name one of {known}")
    if task is None:
        task = next(iter(properties))
    if task not in properties:
        raise WorkerError(f"{model.name}: this checkpoint has no task {task!r}, only {known}")
    if missing := sorted({"energy", "forces"} - properties[task]):
        raise WorkerError(f"{model.name}: task {task} of this checkpoint gives no {' and no '.join(missing)}")
    return task


def _inside(model: Model, folder: Path) -> tuple[Path, Path | None]:
    """Find the checkpoint in a folder, and the energies of isolated atoms, None if there are none."""
    found = sorted(folder.glob("*.pt"))
    if len(found) != 1:
        raise WorkerError(f"{model.name}: {folder} holds {len(found)} checkpoints (*.pt), and must hold one")
    return found[0], next((folder / name for name in ATOM_REFERENCES if (folder / name).is_file()), None)


def fetch(name: str, folder: Path) -> Path:
    """Download a checkpoint and its reference energies from where the package's own table says they are."""
    table = json.loads((resources.files("fairchem.core.calculate") / "pretrained_models.json").read_text())
    if name not in table:
        raise WorkerError(f"fairchem-core has no weights {name!r}, only {', '.join(table)}")
    from huggingface_hub import hf_hub_download

    about = table[name]
    wanted = [about, *(about[kind] for kind in ("atom_refs", "form_elem_refs") if about.get(kind))]
    for item in wanted:
        # all but the transfer itself is what the package does; `local_dir` gives plain files, its cache only links
        arrived = hf_hub_download(
            about["repo_id"],
            item["filename"],
            subfolder=item.get("subfolder"),
            revision=about.get("revision"),
            local_dir=folder,
        )
        Path(arrived).rename(folder / item["filename"])
    for left in [place for place in folder.iterdir() if place.is_dir()]:
        shutil.rmtree(left)
    return folder
