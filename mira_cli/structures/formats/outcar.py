"""VASP's OUTCAR: ASE's parsers read each ionic step; what they leave out without a word, or stumble over, is told.

Of the three energies ASE calls energy(sigma→0) `energy`, and the free energy (TOTEN), to which forces and stresses
belong, `free_energy`, as for vasprun.xml. VASP's stress ("in kB": kbar, positive under pressure) gets ASE's unit and
sign.
"""

from __future__ import annotations

import re
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from mira_cli.structures.formats.vasprun import FORCE_FIELD, charge_of, not_converged
from mira_cli.structures.frame import Frame, UnreadableError, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ase import Atoms

CYCLE = "- Iteration "  # an electronic step begins
ML_STEP = "ML FORCE on cell"  # a step of VASP's own force field begins
ENERGIES, BEYOND = "FREE ENERGIE OF THE ION-ELECTRON SYSTEM", 4  # the end of an ionic step, and lines that follow
OF_ML = {" ML TOTEN": "   TOTEN", "ML energy": "energy"}  # the force field's words, and DFT's
_ELECTRONS = re.compile(r"^\s*NELECT\s*=\s*([\d.]+)", re.MULTILINE)
_VALENCE = re.compile(r"^\s*ZVAL\s*=((?:\s*\d+\.\d\d)+)\s*$", re.MULTILINE)
_OF_TYPES = re.compile(r"^\s*ions per type\s*=((?:\s+\d+)+)\s*$", re.MULTILINE)
_MOST_CYCLES = re.compile(r"^\s*NELM\s*=\s*(\d+)", re.MULTILINE)


def read_outcar(stream: Iterable[str]) -> Iterator[Frame]:
    """Yield the ionic steps; of a geometry that both DFT and VASP's force field computed, what DFT says.

    Raises
    ------
    UnreadableError
        No step was begun, or the last is not complete.
    """
    held: Frame | None = None  # of the force field: what DFT says of it may follow
    by_dft: Frame | None = None
    for frame in _frames(iter(stream)):
        is_ml = FORCE_FIELD in frame.notes
        if held and not (frame.atoms and not is_ml and _is_same(held, frame)):
            yield held
        held = None
        if is_ml:
            held = frame if by_dft is None or not _is_same(by_dft, frame) else None
            continue
        by_dft = frame if frame.atoms else None
        yield frame
    if held:
        yield held


def _frames(lines: Iterator[str]) -> Iterator[Frame]:
    from ase.io.vasp_parsers import vasp_outcar_parsers as of_ase

    head = []
    for line in lines:
        if CYCLE in line or ML_STEP in line:
            lines = chain([line], lines)
            break
        head.append(line)
    else:
        raise UnreadableError("the file ends before the first step")
    of_head = of_ase.OutcarHeaderParser([of_ase.SpeciesTypes(), of_ase.IonsPerSpecies()])
    what = (of_ase.Cell, of_ase.PositionsAndForces, of_ase.Stress, of_ase.Magmoms, of_ase.Magmom, of_ase.Energy)
    parser = of_ase.OutcarChunkParser(of_head.build(head), [one() for one in what])
    text = "".join(head)
    (charge, notes), most = _charge(text), _MOST_CYCLES.search(text)
    for number, step in enumerate(_steps(lines), 1):
        try:
            atoms: Atoms = parser.build(step)
        except Exception:  # noqa: BLE001  (ASE's parsers raise anything)
            yield unreadable(UnreadableError(f"ionic step {number:,} of the file is damaged, or has no positions"))
            continue
        atoms.info |= charge
        cycles = sum(CYCLE in line for line in step)
        of_step = not_converged(cycles, most) if cycles else (FORCE_FIELD,)
        yield Frame(atoms=atoms, notes=(*notes, *of_step))


def _steps(lines: Iterator[str]) -> Iterator[list[str]]:
    """Lines of each ionic step, in DFT's words.

    Raises
    ------
    UnreadableError
        The last is not complete.
    """
    step: list[str] = []
    number = 0
    for line in lines:
        step.append(line)
        if ENERGIES in line:
            step += (after := [_as_of_dft(line) for line in islice(lines, BEYOND)])
            if len(after) < BEYOND or not after[-1].endswith("\n"):
                break
            yield step
            step, number = [], number + 1
    if any(CYCLE in line or ML_STEP in line for line in step):
        begun = f"of {number + 1:,} ionic steps that begin in it, {number:,} were read"
        raise UnreadableError(f"the file ends early: {begun}")


def _as_of_dft(line: str) -> str:
    for ml, dft in OF_ML.items():
        line = line.replace(ml, dft)
    return line.replace("ML energy(", "energy(")


def _is_same(one: Frame, other: Frame) -> bool:
    """Whether two frames are of one geometry."""
    assert one.atoms is not None
    assert other.atoms is not None
    pairs = (one.atoms.positions, other.atoms.positions), (one.atoms.cell, other.atoms.cell)
    return all(np.array_equal(a, b) for a, b in pairs)


def _charge(head: str) -> tuple[dict[str, float], tuple[str, ...]]:
    """As `vasprun` finds it."""
    electrons, valence, counts = (pattern.search(head) for pattern in (_ELECTRONS, _VALENCE, _OF_TYPES))
    if not (electrons and valence and counts):
        return {}, ()
    each, of_types = re.findall(r"\d+\.\d\d", valence[1]), counts[1].split()
    if len(each) != len(of_types):
        return {}, ()
    return charge_of(sum(int(n) * float(z) for n, z in zip(of_types, each, strict=True)) - float(electrons[1]))
