"""Runs in NequIP's image: its faster networks, right ones and wrong ones, as the worker chooses among them.

`compiled.py FINDINGS.json`. The current folder holds what is written. It only reports; the tests judge.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "workflow"), str(HERE)]
PATIENCE_S = 1500.0  # of a machine that does much else


def chosen(family, model, plain, **how) -> dict:
    """Let the worker choose, and report that, with what it says and the largest difference of single structures."""
    from worker import accelerator, compiled

    apart = partial(compiled.compile_apart, limit_s=PATIENCE_S)
    began = time.perf_counter()
    with mock.patch.object(compiled, "compile_apart", apart), contextlib.redirect_stderr(io.StringIO()) as said:
        choice = accelerator.accelerate(family, model, plain, "cpu", **how)
    return {
        "name": choice.name,
        "refused": choice.refused,
        "is_plain": choice.potential is plain,
        "said": said.getvalue(),
        "calculator": None if choice.potential is plain else apart_by(model, plain, choice.potential),
        "seconds": round(time.perf_counter() - began, 1),
    }


def apart_by(model, plain, fast) -> float:
    """Largest difference, in eV/Å, of forces by the calculators of both, one structure at a time."""
    from worker import accelerator

    off = 0.0
    for prepared in accelerator.structures_asked(model, plain):
        forces = []
        for potential in (plain, fast):
            prepared.atoms.calc = potential.calculator()
            forces.append(prepared.atoms.get_forces())
        off = max(off, float(abs(forces[0] - forces[1]).max()))
    return off


def scaled(module, by: float) -> None:
    import torch

    with torch.no_grad():
        for weights in module.parameters():
            weights.mul_(by)


def fused(family, load, row) -> dict:
    """NequIP by its fused convolution, by one that is wrong, and by none."""
    from worker.families import convolution

    model, plain = load(row)
    found = {"good": chosen(family, model, plain)}
    call = convolution.Convolution.__call__
    with mock.patch.object(convolution.Convolution, "__call__", lambda *given: call(*given) * 1.001):
        found["wrong"] = chosen(family, model, plain)
    with mock.patch.object(convolution, "Convolution", side_effect=ValueError("of another kind")):
        found["unfused"] = chosen(family, model, plain)
    return found


def compiled_networks(family, load, row, folder: Path) -> dict:
    """Allegro compiled once, loaded again, wrong, and damaged."""
    model, plain = load(row)
    found = {
        "waiting for nothing": chosen(family, model, plain),
        "a short job": chosen(family, model, plain, atoms=9_999),
    }
    with mock.patch.dict(os.environ, CXX="no-such-compiler"):
        found["without a compiler"] = chosen(family, model, plain, setting="on")
    found["first"] = chosen(family, model, plain, atoms=10_000)
    with mock.patch.dict(os.environ, CXX="no-such-compiler"):  # which it no longer needs
        found["again"] = chosen(family, model, plain, atoms=2_000)
        found["again, a short job"] = chosen(family, model, plain, atoms=1_999)
        found["left"] = sorted({file.suffix for file in (folder / "compiled").iterdir()})
        scaled(plain.single.model, 1.001)
        found["wrong"] = chosen(family, model, plain, atoms=2_000)
        scaled(plain.single.model, 1 / 1.001)
        (file,) = (folder / "compiled").glob("*.pt2")
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        found["damaged"] = chosen(family, model, plain, atoms=10_000)
    found["unpacked"] = sorted(path.name for path in folder.parent.glob("aotinductor*"))
    return found


def main(findings_file: str) -> None:
    """Choose for a tiny NequIP and a tiny Allegro."""
    os.environ |= {"CUDA_VISIBLE_DEVICES": "", "TMPDIR": str(Path("cache").absolute())}
    Path("cache").mkdir()
    from tiny import nequip as tiny

    from worker import families, isolation
    from worker.device import Device
    from worker.job import read_model
    from worker.session import import_family, load_model

    family = families.find_family("nequip")
    import_family(family)

    def load(row):
        return read_model(row), load_model(family, read_model(row), Device("cpu", "", None))

    (folder := Path("made")).mkdir()
    nequip, allegro = (tiny.row(tiny.save(folder / f"{kind}.ckpt", tiny.network(kind))) for kind in tiny.SIZES)
    _, plain = load(allegro)
    findings = {
        "fused": fused(family, load, nequip),
        "compiled": compiled_networks(family, load, allegro, isolation.cache_folder()),
        "on a GPU": [*family.compiled(read_model(allegro), plain, "cuda:0"), *family.accelerators(plain, "cuda:0")],
    }
    Path(findings_file).write_text(json.dumps(findings))


if __name__ == "__main__":
    main(*sys.argv[1:])
