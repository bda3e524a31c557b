"""AIMNet2: the published models for molecules, and models that `aimnet export` has written."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
from ase.stress import full_3x3_to_voigt_6_stress

from worker.errors import WorkerError, sentence
from worker.families.base import Result, atoms_that_fit, check_options, existing_weights, to_float64
from worker.late_imports import late_imports
from worker.prepare import PERIODIC

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from worker.job import Model

DISTRIBUTIONS = ("aimnet", "nvalchemi-toolkit-ops", "warp-lang", "torch")
IMPORTS = ("torch", "aimnet.calculators")
FRAMEWORK = "torch"
DTYPES = ("float32",)
HOSTS = ("storage.googleapis.com",)

_MULTIPOLES = "nvalchemiops.torch.interactions.electrostatics"
# electrostatics of dipoles and quadrupoles, which no model here has (`worker.late_imports`)
LATE = {
    _MULTIPOLES: tuple(
        f"{_MULTIPOLES}.{module}"
        for module in (
            "_multipole_moments",
            "multipole_electrostatics",
            "multipole_ewald",
            "multipole_ewald_quadrupole",
            "multipole_features",
            "multipole_scf_cache",
            "multipole_scf_step",
            "pme_multipole",
        )
    )
}
# In crystals Coulomb interactions are damped and shifted (DSF), and end here: the library's own default.
DSF_CUTOFF_ANG = 15.0


@dataclass
class AIMNet:
    """A loaded AIMNet2; `single` is the package's own calculator, which ASE's is a shell of."""

    single: Any
    checkpoint_sha256: str | None
    elements: frozenset[int] | None
    takes_charge: bool
    dtype: str = "float32"
    gives_stress: bool = True
    conservative: bool = True

    @property
    def cutoff_ang(self) -> float:
        """How far atoms of a crystal see in Å: in the box of a slab, no farther than to its own atoms."""
        reach = [self.single.cutoff]
        if self.single.has_external_coulomb:
            reach.append(DSF_CUTOFF_ANG)
        if self.single.has_external_dftd3:
            reach.append(self.single.dftd3_cutoff)
        return float(max(reach))

    def batch_atoms(self, device: str) -> int:
        """Say how many atoms a batch should hold to begin with."""
        # on GPUs nothing was measured; what is kept of a crystal's neighbours within 15 Å is most of it
        return atoms_that_fit(device, on_cpu=128, gpu_mb_per_atom=10.0)

    def calculator(self) -> Calculator:
        """Return the package's own calculator, given what it would else remember or be mistaken about."""
        from aimnet.calculators import AIMNet2ASE

        class Own(AIMNet2ASE):
            def calculate(self, atoms: Any = None, *args: Any, **kwargs: Any) -> None:
                super().calculate(_as_it_is(atoms), *args, **kwargs)

        return Own(self.single)

    def evaluate(self, batch: Sequence[Atoms]) -> list[Result]:
        """Evaluate prepared structures: molecules in one pass, all others in another.

        A molecule in its box would be computed as a crystal, with Coulomb interactions that end.
        """
        results: dict[int, Result] = {}
        for periodic in (False, True):
            chosen = [i for i, atoms in enumerate(batch) if _is_periodic(atoms) is periodic]
            if chosen:
                answers = self._pass([batch[i] for i in chosen], periodic=periodic)
                results.update(zip(chosen, answers, strict=True))
        return [results[i] for i in range(len(batch))]

    def _pass(self, batch: list[Atoms], *, periodic: bool) -> list[Result]:
        sizes = [len(atoms) for atoms in batch]
        asked = {
            "coord": np.concatenate([atoms.positions for atoms in batch]),
            "numbers": np.concatenate([atoms.numbers for atoms in batch]),
            "mol_idx": np.repeat(np.arange(len(batch)), sizes),
            "charge": [float(atoms.info.get("charge", 0)) for atoms in batch],
        }
        if self.single.is_nse:
            asked["mult"] = [float(atoms.info.get("spin", 1)) for atoms in batch]
        if periodic:
            asked["cell"] = np.array([atoms.cell.array for atoms in batch])
            asked["pbc"] = np.ones((len(batch), 3), dtype=bool)
        output = self.single(asked, forces=True, stress=periodic, validate_species=False)
        energies = to_float64(output["energy"]).reshape(-1)
        forces = np.split(to_float64(output["forces"]), np.cumsum(sizes)[:-1])
        stresses: Any = [None] * len(batch)
        if periodic:
            stresses = full_3x3_to_voigt_6_stress(to_float64(output["stress"]).reshape(-1, 3, 3))
        return [Result(float(e), f, s) for e, f, s in zip(energies, forces, stresses, strict=True)]


def _is_periodic(atoms: Atoms) -> bool:
    return any(atoms.info.get(PERIODIC, atoms.pbc))


def _as_it_is(atoms: Atoms) -> Atoms:
    """Copy a prepared structure: a molecule without its box, and none without charge and multiplicity.

    The package's ASE calculator goes on with those of the structure before where one has none.
    """
    copy = atoms.copy()
    if not _is_periodic(atoms):
        copy.pbc, copy.cell = False, None
    copy.info = {"charge": atoms.info.get("charge", 0), "spin": atoms.info.get("spin", 1)}
    return copy


def importing() -> AbstractContextManager[None]:
    """Return the context in which the package is imported: without what few of its functions need."""
    return late_imports(LATE)


def load(model: Model, device: str, dtype: str) -> AIMNet:  # noqa: ARG001 - DTYPES has one entry
    """Load a checkpoint without running code from it.

    Raises
    ------
    WorkerError
        There is no such checkpoint, or it is not AIMNet2's in its present format.
    """
    check_options(model, [])
    if model.checkpoint.path is None:
        raise WorkerError(f"{model.name}: aimnet ships no weights, and {model.checkpoint.bundled!r} was asked for")
    file = existing_weights(model, model.checkpoint.path)
    from aimnet.calculators import AIMNet2Calculator, resolve

    # what the library knows of a published model's family (a dispersion to be added, ions that it does not know), it
    # applies to names alone, and not to files
    told = partial(_with_family, resolve._apply_family_defaults, _published_family(model.checkpoint.sha256))  # noqa: SLF001
    try:
        with mock.patch.object(resolve, "_apply_family_defaults", told):
            single = AIMNet2Calculator(str(file.absolute()), device=device)
        about = dict(single.metadata or {})
        known = about["implemented_species"]
    except Exception as error:
        raise WorkerError(f"{model.name}: {file} is not an AIMNet2 checkpoint ({sentence(error)})") from error
    if single._has_embedded_coulomb() or single._has_embedded_dispersion():  # noqa: SLF001 - it has no other way to ask
        raise WorkerError(f"{model.name}: {file} is of an older format: convert it with `aimnet convert`")
    return AIMNet(
        single,
        model.checkpoint.sha256,
        frozenset(int(z) for z in known) or None,
        takes_charge=about.get("supports_charged_systems") is not False,
    )


def _published_family(sha256: str | None) -> str | None:
    """The library's word for the family of a published file; None of any other."""
    from aimnet.calculators.model_registry import load_model_registry

    known = load_model_registry()["models"].values()
    return next((row["family"] for row in known if row["sha256"] == sha256), None)


def _with_family(apply: Any, family: str | None, metadata: Any, _: Any) -> Any:
    return apply(metadata, family)


def fetch(name: str, folder: Path) -> Path:
    """Download a checkpoint with the package's own code, which compares it with the sha256 that it knows.

    Raises
    ------
    WorkerError
        The package has no such weights.
    """
    from aimnet.calculators import model_registry

    known = model_registry.load_model_registry()["models"]
    if name not in known:
        raise WorkerError(f"aimnet has no weights {name!r}, only {', '.join(known)}")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        os.environ["AIMNET_CACHE_DIR"] = scratch
        brought = model_registry.get_registry_model_path(name)
        return Path(shutil.move(brought, folder / f"{name}.pt"))
