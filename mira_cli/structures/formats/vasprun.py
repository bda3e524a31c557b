"""vasprun.xml: ASE reads it; what it would leave out without a word is told."""

from __future__ import annotations

import re
from io import BytesIO
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from mira_cli.structures.frame import Frame, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ase import Atoms

_OWN_ENERGY = re.compile(rb"(<energy>.*?</energy>)", re.DOTALL)
_ELECTRONS = re.compile(rb'<i name="NELECT">\s*([\d.]+)\s*</i>')
_TYPES = re.compile(rb'<array name="atomtypes".*?</array>', re.DOTALL)
_VALENCE = re.compile(rb"<rc>\s*<c>\s*(\d+)\s*</c>\s*<c>[^<]*</c>\s*<c>[^<]*</c>\s*<c>\s*([\d.]+)\s*</c>")  # of a type
WHOLE_E = 0.01
_MOST_CYCLES = re.compile(rb'<i type="int" name="NELM">\s*(\d+)\s*</i>')
FORCE_FIELD = "VASP computed this step by its own machine-learned force field, not by DFT"


def read_vasprun(content: bytes) -> Iterator[Frame]:
    """Yield the ionic steps, or the initial structure where there are none.

    Raises
    ------
    UnreadableError
        The rest of the steps cannot be read.
    """
    begun, complete = content.count(b"<calculation"), content.rstrip().endswith(b"</modeling>")
    number, (charge, notes), most = 0, _charge(content), _MOST_CYCLES.search(content)
    try:
        for atoms, cycles in _steps(content):
            atoms.info |= charge
            of_step = (FORCE_FIELD,) if cycles == 0 else not_converged(cycles, most)
            yield Frame(atoms=atoms, notes=(*notes, *of_step))
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
    return charge_of(sum(valence) - float(electrons[1]))


def charge_of(charge: float) -> tuple[dict[str, float], tuple[str, ...]]:
    """What is said of a cell that lacks so many of its pseudopotentials' electrons."""
    if abs(charge) <= WHOLE_E:
        return {}, ()
    if abs(charge - round(charge)) > WHOLE_E:
        return {}, (f"{charge:+.3g} e by its NELECT, which is no whole charge: computed as neutral",)
    return {"charge": round(charge)}, (f"charge {round(charge):+d} is that of its NELECT",)


def _rest(number: int, begun: int, *, complete: bool) -> str:
    what = "is damaged" if complete else "ends early"
    return f"the file {what}: of {begun:,} ionic steps that begin in it, {min(number, begun):,} were read"


def not_converged(cycles: int | None, most: re.Match[Any] | None) -> tuple[str, ...]:
    """A note on an ionic step that took all electronic steps (NELM) that were allowed."""
    if most is None or cycles is None or cycles < int(most[1]):
        return ()
    return (f"VASP made all {cycles} electronic steps that NELM allows: the energy may not be converged",)


def _steps(content: bytes) -> Iterator[tuple[Atoms, int | None]]:
    """Structures, each with its count of electronic steps, if known; ASE gives up at steps without them."""
    from ase.io.vasp import read_vasp_xml

    head, *steps = re.split(rb"(?=<calculation[ >])", content)
    cycles = [step.count(b"<scstep") for step in steps]
    mended = [
        step if n else _OWN_ENERGY.sub(rb"<scstep>\1</scstep>\1", step) for step, n in zip(steps, cycles, strict=True)
    ]
    text = content if all(cycles) else b"".join([head, *mended])
    images = read_vasp_xml(BytesIO(text), index=slice(None))
    yield from zip(images, chain(cycles, repeat(None)), strict=False)
