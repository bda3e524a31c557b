"""Runs in a family's image: checkpoints of a user's own, good and bad, through the worker's loader."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow"))


def chgnet(folder: Path) -> dict[str, list]:
    """Fine-tuned networks of both kinds as CHGNet's Trainer saves them; name: energies, MIRA's and its own."""
    import torch
    from ase.build import bulk
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet
    from chgnet.trainer import Trainer

    atoms, found = bulk("NaCl", "rocksalt", a=5.5), {}
    tiny = {"atom_fea_dim": 8, "bond_fea_dim": 8, "angle_fea_dim": 8, "num_radial": 5, "num_angular": 5}
    hidden = {"n_conv": 2, "atom_conv_hidden_dim": 8, "bond_conv_hidden_dim": 8, "mlp_hidden_dims": (8, 8)}
    for name, bias in (("with bias", True), ("without bias", False)):
        torch.manual_seed(0)
        network = CHGNet(**tiny, **hidden, composition_model="MPtrj", mlp_out_bias=bias)
        file = folder / f"{name}.pth.tar"
        Trainer(model=network, use_device="cpu").save(str(file))
        atoms.calc = CHGNetCalculator(network, use_device="cpu")
        found[name] = [energy("chgnet", file, {}, atoms), float(atoms.get_potential_energy())]
    return found


def sevennet(folder: Path) -> dict[str, list]:
    """Checkpoints under a name of the user's; name: energies, MIRA's and the package's own."""
    from ase.build import bulk
    from sevenn import _const
    from sevenn.calculator import SevenNetCalculator

    atoms, found = bulk("NaCl", "rocksalt", a=5.5), {}
    for name, source, modal in (("single", _const.SEVENNET_0_11Jul2024, None), ("multi", _const.SEVENNET_MF_0, "PBE")):
        file = folder / f"{name} [1].pth"
        shutil.copy(source, file)
        atoms.calc = SevenNetCalculator(source, device="cpu", modal=modal)
        options = {"modal": modal} if modal else {}
        found[name] = [energy("sevennet", file, options, atoms), float(atoms.get_potential_energy())]
    return found


def load(family: str, file: Path, options: dict):
    """Load a file as a job would."""
    from worker.families import find
    from worker.job import Checkpoint, Model

    model = Model("mine", family, Checkpoint(None, file), options, "float32", None, stress=True)
    return find(family).load(model, "cpu", "float32")


def energy(family: str, file: Path, options: dict, atoms) -> float:
    """Energy in eV by way of the worker."""
    from worker.prepare import prepare

    potential = load(family, file, options)
    return potential.evaluate([prepare(atoms, potential.cutoff_ang).atoms])[0].energy_ev


def refusals(family: str, folder: Path) -> dict[str, str]:
    """Try what cannot be loaded; name: what is said about it."""
    import torch

    from worker.errors import WorkerError

    (folder / "text").write_text("weights")
    torch.save({"model": 1, "config": {}}, folder / "other")
    torch.save(Path("pickled object"), folder / "pickle")
    tries = {name: (folder / name, {}) for name in ("missing", "text", "other")}
    if family == "chgnet":
        tries |= {"pickle": (folder / "pickle", {}), "option": (folder / "with bias.pth.tar", {"modal": "PBE"})}
    else:
        single, multi = folder / "single [1].pth", folder / "multi [1].pth"
        tries |= {
            "no modal": (multi, {}),
            "wrong modal": (multi, {"modal": "pbe"}),
            "superfluous modal": (single, {"modal": "PBE"}),
        }
    said = {}
    for name, (file, options) in tries.items():
        try:
            load(family, file, options)
        except WorkerError as error:
            said[name] = str(error)
    return said


def main(family: str, findings_file: str) -> None:
    """Report about one family."""
    good = {"chgnet": chgnet, "sevennet": sevennet}[family](Path.cwd())
    findings = {"energies": good, "refusals": refusals(family, Path.cwd())}
    Path(findings_file).write_text(json.dumps(findings))


if __name__ == "__main__":
    main(*sys.argv[1:])
