"""vasprun.xml: ASE reads it; what it would leave out without a word is told."""

from __future__ import annotations

import re
from io import BytesIO
from itertools import chain, repeat
from typing import TYPE_CHECKING

from mira_cli.structures.frame import Frame, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ase import Atoms

_OWN_ENERGY = re.compile(rb"(<energy>.*?</energy>)", re.DOTALL)
_ELECTRONS = re.compile(rb'<i name="NELECT">\s*([\d.]+)\s*</i>')
_TYPES = re.compile(rb'<array name="atomtypes".*?</array>', re.DOTALL)
_VALENCE = re.compile(rb"<rc>\s*<c>\s*(\d+)\s*</c>\s*<c>[^<]*</c>\s*<c>[^<]*</c>\s*<c>\s*([\d.]+)\s*</c>")  # of a type
WHOLE_E = 0.01
FORCE_FIELD = "VASP computed this step by its own machine-learned force field, not by DFT"


def read_vasprun(content: bytes) -> Iterator[Frame]:
    """Yield the ionic steps, or the initial structure where there are none.

    Raises
    ------
    UnreadableError
        The rest of the steps cannot be read.
    """
    begun, complete = content.count(b"<calculation"), content.rstrip().endswith(b"</modeling>")
    number, (charge, notes) = 0, _charge(content)
    try:
        for atoms, is_dft in _steps(content):
            atoms.info |= charge
            yield Frame(atoms=atoms, notes=notes if is_dft else (*notes, FORCE_FIELD))
            number += 1
    except Exception as error:
        raise UnreadableError(_rest(number, begun, complete=complete)) from error
    if begun > number or not complete:
        raise UnreadableError(_rest(number, begun, complete=complete))


def _charge(content: bytes) -> tuple[dict[str, float], tuple[str, ...]]:
    """`charge` (e) of a cell whose electrons are not those of its pseudopotentials, and a note on it."""
    electrons, types = _ELECTRONS.search(content), _TYPES.search(content)
    valence = [int(count) * float(each) for count, each in _VALENCE.findall(types[0])] if types else []
    if electrons is None or not valence:
        return {}, ()
    charge = sum(valence) - float(electrons[1])
    if abs(charge) <= WHOLE_E:
        return {}, ()
    if abs(charge - round(charge)) > WHOLE_E:
        return {}, (f"{charge:+.3g} e by its NELECT, which is no whole charge: computed as neutral",)
    return {"charge": round(charge)}, (f"charge {round(charge):+d} is that of its NELECT",)


def _rest(number: int, begun: int, *, complete: bool) -> str:
    what = "is damaged" if complete else "ends early"
    return f"the file {what}: of {begun:,} ionic steps that begin in it, {min(number, begun):,} were read"


def _steps(content: bytes) -> Iterator[tuple[Atoms, bool]]:
    """Structures, each with whether DFT was asked; ASE gives up at steps without electronic ones."""
    from ase.io.vasp import read_vasp_xml

    head, *steps = re.split(rb"(?=<calculation[ >])", content)
    is_dft = [b"<scstep" in step for step in steps]
    mended = [
        step if dft else _OWN_ENERGY.sub(rb"<scstep>\1</scstep>\1", step)
        for step, dft in zip(steps, is_dft, strict=True)
    ]
    text = content if all(is_dft) else b"".join([head, *mended])
    images = read_vasp_xml(BytesIO(text), index=slice(None))  # type: ignore[no-untyped-call]
    yield from zip(images, chain(is_dft, repeat(True)), strict=False)
