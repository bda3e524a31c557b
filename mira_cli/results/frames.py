"""`results.extxyz`: one frame a structure, in input order, every model's answer under keys of its own.

The text is what ASE would write, put together here since ASE takes several times as long for frames of many columns.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.compare.spread import atom_spread
from mira_cli.results.committee import committees_of, spread_key
from mira_cli.results.fixed_text import FORM, fixed_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mira_cli.results.batches import Batch
    from mira_cli.results.collect import ModelResults

    Array = np.ndarray[Any, Any]

PLAIN = re.compile(r"[\w.#/+-]+", re.ASCII)  # needs no quotes


def frames(batch: Batch, models: Sequence[ModelResults]) -> Iterator[bytes]:
    """Frames of some rows of the index; invalid structures have none. Units are eV and Å.

    `structure_id`, `energy_<slug>`, `forces_<slug>`, `stress_<slug>` hold what the models said, `force_spread…` how far
    they are apart on each atom, `reference_energy`, `reference_forces`, `reference_stress` what the input itself gave.
    The keys that ASE takes for a calculator's
    (`energy`, `forces`, `stress`) are left alone.
    """
    names, atoms = _atoms(batch, models)
    for i, (lattice, words, pbc) in enumerate(_heads(batch, models)):
        head = f"{batch.forces.sizes[i]}\n{lattice}Properties={names[i]} {words} pbc={pbc}\n"
        yield head.encode()
        yield atoms[i]


def _atoms(batch: Batch, models: Sequence[ModelResults]) -> tuple[list[str], list[bytes]]:
    """For each valid structure the names of its columns, and its atoms as lines."""
    chunk, together = batch.forces, committees_of(models)
    spreads = [atom_spread(chunk, committee) for committee in together]
    symbols = _symbols(chunk.numbers)
    names, lines = [""] * len(chunk.sizes), [b""] * len(chunk.sizes)
    patterns, pattern = np.unique(chunk.valid, axis=1, return_inverse=True)
    for number, has in enumerate(patterns.T):  # structures with the same columns
        here = np.flatnonzero(pattern.reshape(-1) == number)
        own = np.repeat(pattern.reshape(-1) == number, chunk.sizes)
        columns = {"pos:R:3": batch.geometry["positions"][own]}
        if has[-1]:
            columns["reference_forces:R:3"] = chunk.forces[-1, own]
        columns |= {f"forces_{m.slug}:R:3": chunk.forces[k, own] for k, m in enumerate(models) if has[k]}
        for committee, spread in zip(together, spreads, strict=True):
            if has[list(committee.members)].sum() > 1:
                columns[f"{spread_key(committee.name)}:R:1"] = spread[own, None]
        title = ":".join(["species:S:1", *columns])
        texts = _lines(symbols[own], np.hstack(list(columns.values())), chunk.sizes[here])
        for i, text in zip(here.tolist(), texts, strict=True):
            names[i], lines[i] = title, text
    return names, lines


def _lines(symbols: Array, numbers: Array, sizes: Array) -> Iterator[bytes]:
    """The atoms of some structures as lines; (a,) symbols of two letters, (a, k) numbers."""
    text, is_wide = fixed_text(numbers)
    whole = np.empty((len(numbers), text.shape[1] + 3), np.uint8)
    whole[:, :2] = symbols.view(np.uint8).reshape(-1, 2)
    whole[:, 2:-1] = text
    whole[:, -1] = ord("\n")
    form = f"%s{FORM * numbers.shape[1]}\n"
    ends = np.cumsum(sizes)
    any_wide = np.logical_or.reduceat(is_wide, ends - sizes) if len(sizes) else is_wide
    for begin, end, wide in zip((ends - sizes).tolist(), ends.tolist(), any_wide.tolist(), strict=True):
        if not wide:
            yield whole[begin:end].tobytes()
            continue
        rows = zip(symbols[begin:end].astype(str).tolist(), numbers[begin:end].tolist(), strict=True)
        yield "".join(form % (symbol, *values) for symbol, values in rows).encode()


def _symbols(numbers: Array) -> Array:
    """(a,) symbols of elements, S2, filled with a space."""
    from ase.data import chemical_symbols

    return np.array([symbol.ljust(2) for symbol in chemical_symbols], "S2")[numbers]


def _heads(batch: Batch, models: Sequence[ModelResults]) -> Iterator[tuple[str, str, str]]:
    """Lattice, words and periodicity of each valid structure."""
    structures, valid = batch.structures, batch.valid
    own = structures.take(valid)
    ids, energy, stress = (own[name].to_pylist() for name in ("id", "reference_energy_ev", STRESS))
    cells = batch.geometry["cell"].reshape(-1, 9).tolist()
    charge, spin = (batch.geometry[name].tolist() for name in ("charge", "spin"))
    pbc = batch.geometry["pbc"].tolist()
    said = [_said(batch, k, model, valid) for k, model in enumerate(models)]
    for i, name in enumerate(ids):
        words = [f"{key}={value}" for key, value in (("charge", charge[i]), ("spin", spin[i])) if value == value]  # noqa: PLR0124
        words.append(_named(name))
        if energy[i] is not None:
            words.append(f"reference_energy={energy[i]}")
        if stress[i] is not None:
            words.append(f'reference_stress="{" ".join(map(str, stress[i]))}"')
        words += [of_model[i] for of_model in said if of_model[i]]
        lattice = f'Lattice="{" ".join(map(str, cells[i]))}" ' if any(cells[i]) else ""
        yield lattice, " ".join(words), '"{}"'.format(" ".join("T" if periodic else "F" for periodic in pbc[i]))


STRESS = "reference_stress_ev_per_ang3"


def _said(batch: Batch, k: int, model: ModelResults, valid: Array) -> list[str]:
    """Energy and stress by one model of each valid structure; empty where it has no answer."""
    found, slug = batch.found[k], model.slug
    energy, stress, ok = (values[valid] for values in (found.numbers("energy_ev"), found.stress(), found.ok()))
    ok &= batch.forces.valid[k]
    has_stress = (ok & ~np.isnan(stress).any(axis=1)).tolist()
    with_stress = f'energy_{slug}=%r stress_{slug}="%r %r %r %r %r %r"'
    return [
        with_stress % (e, *six) if both else f"energy_{slug}={e}" if one else ""
        for e, six, one, both in zip(energy.tolist(), stress.tolist(), ok.tolist(), has_stress, strict=True)
    ]


def _named(name: str) -> str:
    """`structure_id=…`, in quotes where they are needed."""
    if PLAIN.fullmatch(name):
        return f"structure_id={name}"
    from ase.io.extxyz import key_val_dict_to_str

    return str(key_val_dict_to_str({"structure_id": name}))  # type: ignore[no-untyped-call]
