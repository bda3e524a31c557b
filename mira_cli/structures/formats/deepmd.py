"""Data sets of DeePMD-kit: a folder with `type.raw`, and frames in `set.*/coord.npy`, `box.npy`, `energy.npy`, ….

Elements are named by `type_map.raw`, or by the user. Lengths are in Å, energies in eV, forces in eV/Å, virials
in eV and such that stress = −virial/volume with ASE's sign, as dpdata has it. In data of mixed types each frame has its
own in `real_atom_types.npy`, −1 where there is no atom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mira_cli.structures.companions import OF_DEEPMD, TYPES_OF_DEEPMD
from mira_cli.structures.formats.labels import is_element
from mira_cli.structures.frame import Frame, UnreadableError, unreadable
from mira_cli.structures.given import NOT_USED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    Array = np.ndarray[Any, Any]

NAME = "deepmd-npy"
NAMES, NOT_PERIODIC = "type_map.raw", "nopbc"
REFERENCES = ("energy", "force", "virial")


def read(folder: Path, elements: Sequence[str] = ()) -> Iterator[Frame]:
    """Yield the frames of all sets, each from its place on disk; `elements` are those of types 0, 1, ….

    Raises
    ------
    UnreadableError
        The folder does not say which elements its types are.
    """
    try:
        types = np.loadtxt(folder / TYPES_OF_DEEPMD, ndmin=1).astype(int).ravel()
    except ValueError:
        raise UnreadableError(f"`{TYPES_OF_DEEPMD}` holds other than numbers of types") from None
    names, notes = _names(folder, elements)
    periodic = not (folder / NOT_PERIODIC).exists()
    for one in sorted(path.parent for path in folder.glob(OF_DEEPMD)):
        try:
            yield from _of_set(one, types, names, notes, periodic=periodic)
        except (UnreadableError, ValueError, EOFError) as error:
            why = error if isinstance(error, UnreadableError) else "is damaged, or no array of numbers"
            yield unreadable(UnreadableError(f"`{one.name}` {why}"))


def _names(folder: Path, elements: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Elements of the types, and a note where those that were given are not used."""
    file = folder / NAMES
    named = file.read_text(encoding="utf-8", errors="replace").split() if file.is_file() else []
    if named and all(map(is_element, named)):
        return named, (NOT_USED,) if elements else ()
    if elements:
        return list(elements), ()
    strange = [name for name in named if not is_element(name)]
    lacking = f"`{strange[0][:20]}` in its `{NAMES}` is no element" if strange else f"it has no `{NAMES}`"
    raise UnreadableError(
        f"types of atoms are no elements, and {lacking}: give those of types 0, 1, … by `--elements O,H`"
    )


def _of_set(folder: Path, types: Array, names: list[str], notes: tuple[str, ...], *, periodic: bool) -> Iterator[Frame]:
    coord = _array(folder, "coord", 3 * len(types))
    assert coord is not None
    n = len(coord)
    box = _array(folder, "box", 9, n) if periodic else None
    if periodic and box is None:
        raise UnreadableError(f"has no `box.npy`, and no file `{NOT_PERIODIC}` says that it needs none")
    real = _array(folder, "real_atom_types", len(types), n)
    widths = {"energy": 1, "force": 3 * len(types), "virial": 9}
    given = {name: array for name in REFERENCES if (array := _array(folder, name, widths[name], n)) is not None}
    for i in range(n):
        try:
            yield Frame(atoms=_atoms(i, coord, box, types if real is None else real[i], names, given), notes=notes)
        except UnreadableError as error:
            yield unreadable(error)


def _array(folder: Path, name: str, width: int, frames: int | None = None) -> Array | None:
    """(frames, width) an array of a set, not read yet; None where there is none.

    Raises
    ------
    UnreadableError
        It has another shape.
    """
    file = folder / f"{name}.npy"
    if not file.is_file():
        return None
    array: Array = np.load(file, mmap_mode="r")
    frames = len(array) if frames is None and array.ndim else frames
    if array.size != (frames or 0) * width:
        raise UnreadableError(
            f"has a `{file.name}` of {array.size:,} numbers, not of {width:,} for each of {frames or 0:,} frames"
        )
    return array.reshape(-1, width)


def _atoms(i: int, coord: Array, box: Array | None, types: Array, names: list[str], given: dict[str, Array]) -> Any:
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator

    there = types >= 0
    if types.max(initial=-1) >= len(names):
        raise UnreadableError(f"a frame has the type {types.max()}, and only {len(names)} are named (from 0 on)")
    symbols = [names[number] for number in types[there].astype(int)]
    atoms = Atoms(symbols, positions=coord[i].reshape(-1, 3)[there].astype(float))
    if box is not None:
        atoms.cell, atoms.pbc = box[i].reshape(3, 3).astype(float), True
    results: dict[str, Any] = {}
    if "energy" in given:
        results["energy"] = float(given["energy"][i, 0])
    if "force" in given:
        results["forces"] = given["force"][i].reshape(-1, 3)[there].astype(float)
    if "virial" in given:
        atoms.info["virial"] = given["virial"][i].astype(float)  # (9,), of which a stress is made elsewhere
    if results:
        atoms.calc = SinglePointCalculator(atoms, **results)
        atoms.calc.name = "DeePMD-kit"  # by which the keys are told
    return atoms
