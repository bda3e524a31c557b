"""Random crystals and molecules through ASE's writers: MIRA reads the same structure, or says what it assumed."""

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.data import covalent_radii
from ase.io import write
from ase.neighborlist import neighbor_list
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mira_cli.structures.blocks import Block, read_task
from mira_cli.structures.find import Source
from mira_cli.structures.parts import cut
from mira_cli.structures.references import ReferenceKeys

EXAMPLES = 12  # of each format
ELEMENTS = ("H", "C", "O", "F", "Na", "Si", "S", "Cl", "Fe", "Cu", "Ga", "Sr", "Ba", "Pt", "U", "Ca", "He", "Hf", "I")
CRYSTAL, MOLECULE, SLAB = (True,) * 3, (False,) * 3, (True, True, False)
ANY = (CRYSTAL, MOLECULE, SLAB, (True, False, True), (False, False, True), (True, False, False))
BESIDE = re.compile("multiplicity|density|2S|atoms reach out")  # notes on what is odd in the structure itself
LONGEST_ANG = 6.0  # distances up to which are compared
APART = 0.6  # of the sum of covalent radii: what is nearer would be noted


def pseudopotentials(atoms: Atoms) -> dict[str, object]:
    return {"pseudopotentials": {symbol: f"{symbol}.UPF" for symbol in set(atoms.symbols)}}


# file, ASE's format, periodicities that it can hold, Å to which its digits go, what its writer is told
FORMATS: dict[str, tuple[str, str, tuple[tuple[bool, ...], ...], float, dict | Callable]] = {
    "cif": ("x.cif", "cif", (CRYSTAL,), 1e-5, {}),
    "cif, packed": ("x.cif.gz", "cif", (CRYSTAL,), 1e-5, {}),
    "vasp": ("POSCAR", "vasp", (CRYSTAL,), 1e-8, {}),
    "vasp, direct and sorted": ("POSCAR", "vasp", (CRYSTAL,), 1e-8, {"direct": True, "sort": True}),
    "vasp 4": ("POSCAR", "vasp", (CRYSTAL,), 1e-8, {"vasp5": False}),
    "xdatcar": ("XDATCAR", "vasp-xdatcar", (CRYSTAL,), 1e-6, {}),
    "extxyz": ("x.xyz", "extxyz", ANY, 1e-7, {}),
    "xyz": ("x.xyz", "xyz", (MOLECULE,), 1e-7, {}),
    "json": ("x.json", "json", ANY, 1e-9, {}),
    "db": ("x.db", "db", ANY, 1e-9, {}),
    "traj": ("x.traj", "traj", ANY, 1e-9, {}),
    "xsf": ("x.xsf", "xsf", (CRYSTAL, MOLECULE, SLAB, (True, False, False)), 1e-7, {}),
    "espresso": ("x.pwi", "espresso-in", (CRYSTAL,), 1e-6, pseudopotentials),
    "aims": ("geometry.in", "aims", (CRYSTAL, MOLECULE), 1e-6, {}),
    "aims, scaled": ("geometry.in", "aims", (CRYSTAL,), 1e-6, {"scaled": True}),
    "cfg": ("x.cfg", "cfg", (CRYSTAL,), 1e-4, {}),
    "gen": ("x.gen", "gen", (CRYSTAL, MOLECULE), 1e-6, {}),
    "gen, fractional": ("x.gen", "gen", (CRYSTAL,), 1e-6, {"fractional": True}),
    "res": ("x.res", "res", (CRYSTAL,), 1e-4, {}),
    "castep": ("x.cell", "castep-cell", (CRYSTAL,), 1e-5, {}),
    "xsd": ("x.xsd", "xsd", (CRYSTAL, MOLECULE), 1e-4, {}),
    "eon": ("x.con", "eon", (CRYSTAL,), 1e-5, {}),
    "dl_poly": ("CONFIG", "dlp4", (CRYSTAL, MOLECULE, SLAB), 1e-5, {}),
    "gromacs": ("x.gro", "gromacs", (CRYSTAL, MOLECULE), 2e-2, {}),
    "v_sim": ("x.ascii", "v-sim", (CRYSTAL,), 1e-5, {}),
    "magres": ("x.magres", "magres", (CRYSTAL,), 1e-4, {}),
    "cube": ("x.cube", "cube", (CRYSTAL,), 1e-4, {}),
    "turbomole": ("coord", "turbomole", (MOLECULE,), 1e-6, {}),
    "nwchem": ("x.nwi", "nwchem-in", (CRYSTAL, MOLECULE), 1e-5, {}),
    "gaussian": ("x.gjf", "gaussian-in", (CRYSTAL, MOLECULE), 1e-6, {}),
    "gromos": ("x.g96", "gromos", (CRYSTAL, MOLECULE), 1e-4, {}),
    "crystal": ("fort.34", "crystal", (CRYSTAL, MOLECULE, SLAB), 1e-5, {}),
    "sdf": ("x.sdf", "sdf", (MOLECULE,), 1e-3, {}),
    "mol": ("x.mol", "mol", (MOLECULE,), 1e-3, {}),
    "pdb": ("x.pdb", "proteindatabank", (CRYSTAL, MOLECULE), 3e-2, {}),
    "dmol": ("x.car", "dmol-car", (CRYSTAL, MOLECULE), 1e-6, {}),
    "qball": ("x.sys", "sys", (CRYSTAL,), 1e-4, {}),
    "lammps": ("x.data", "lammps-data", (CRYSTAL,), 1e-5, {"masses": True, "atom_style": "atomic"}),
    "lammps, charge": ("x.data", "lammps-data", (CRYSTAL,), 1e-5, {"masses": True, "atom_style": "charge"}),
    "lammps, full": ("x.data", "lammps-data", (CRYSTAL,), 1e-5, {"masses": True, "atom_style": "full"}),
}
USUAL = {"cif", "vasp", "extxyz", "lammps"}  # the others are slow by their number
NAMED = {"lammps-data"}  # in a sheet, since ASE does not know such files by name or content
UPRIGHT = {"eon"}  # ASE writes lengths and angles of the cell, and positions in the axes that it had
NOTED = {"vasp 4", "gromacs", "lammps", "lammps, charge", "lammps, full", "cube"}  # with what is assumed


@st.composite
def structures(draw, periodicities) -> Atoms:
    """Atoms apart in cells of any shape: skewed, left-handed, hexagonal; on special places, and outside of the cell."""
    pbc = draw(st.sampled_from(periodicities))
    kinds = draw(st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=4, unique=True))
    symbols = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=12))
    dice = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cell = np.diag(dice.uniform(0.8, 1.3, 3))
    match draw(st.sampled_from(["right", "any", "skewed", "left", "lower", "hexagonal"])):
        case "any":
            cell += dice.uniform(-0.35, 0.35, (3, 3))
        case "skewed":
            cell[2] += cell[1] + dice.integers(-2, 3) * cell[0]
        case "left":
            cell = cell[[1, 0, 2]] + dice.uniform(-0.2, 0.2, (3, 3))
        case "lower":
            cell += np.tril(dice.uniform(-0.35, 0.35, (3, 3)))
        case "hexagonal":
            cell = np.array([[1, 0, 0], [-0.5, math.sqrt(3) / 2, 0], [0, 0, 1.6]])
    assume(abs(np.linalg.det(cell)) > 0.3)
    places = dice.random((len(symbols), 3))
    match draw(st.sampled_from(["anywhere", "special", "outside"])):
        case "special":
            places = np.rint(12 * places) / 12
        case "outside":
            places = 3 * places - 1 if all(pbc) else places
    size = (len(symbols) * dice.uniform(16, 40)) ** (1 / 3)
    atoms = Atoms(symbols, scaled_positions=places, cell=size * cell, pbc=pbc)
    if not any(pbc):
        atoms.cell = None
    assume(not len(neighbor_list("i", atoms, APART * covalent_radii[atoms.numbers])))
    return atoms


def distances(atoms: Atoms) -> dict[tuple[int, int], np.ndarray]:
    """Sorted distances (Å) of each pair of elements, whatever the origin, axes, handedness and order of atoms."""
    i, j, d = neighbor_list("ijd", atoms, LONGEST_ANG)
    pairs = np.sort(np.column_stack([atoms.numbers[i], atoms.numbers[j]]), axis=1)
    return {(a, b): np.sort(d[(pairs == (a, b)).all(axis=1)]) for a, b in np.unique(pairs, axis=0).tolist()}


def read(path, form: str) -> Block:
    given = f'{{"format": "{form}"}}' if form in NAMED else ""
    (block,) = read_task(cut(Source(path, path.name, given)), ReferenceKeys())
    return block


@pytest.mark.parametrize(
    "which", [which if which in USUAL else pytest.param(which, marks=pytest.mark.slow) for which in FORMATS]
)
def test_what_is_read_is_what_was_written(tmp_path, which) -> None:
    name, form, periodicities, digits, told = FORMATS[which]

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(atoms=structures(periodicities))
    def check(atoms: Atoms) -> None:
        if form in UPRIGHT:
            atoms.set_cell(atoms.cell.cellpar(), scale_atoms=True)
        write(tmp_path / name, atoms, format=form, **(told(atoms) if callable(told) else told))
        block = read(tmp_path / name, form)
        ((reason, note),) = zip(block.rows["invalid"].to_pylist(), block.rows["note"].to_pylist(), strict=True)
        assert reason is None
        assumed = [one for one in (note or "").split("; ") if one and not BESIDE.search(one)]
        assert bool(assumed) == (which in NOTED)
        found = block.geometry
        assert sorted(found.numbers) == sorted(atoms.numbers)
        assert found.pbc[0].tolist() == atoms.pbc.tolist()
        again = Atoms(found.numbers, found.positions, cell=found.cell[0], pbc=found.pbc[0])
        vectors, wanted = again.cell.array[again.pbc], atoms.cell.array[atoms.pbc]
        assert np.linalg.det(vectors @ vectors.T) == pytest.approx(np.linalg.det(wanted @ wanted.T), rel=1e-3 + digits)
        before, after = distances(atoms), distances(again)
        for pair in before.keys() | after.keys():
            short, long = sorted([before.get(pair, np.zeros(0)), after.get(pair, np.zeros(0))], key=len)
            assert long[: len(short)] == pytest.approx(short, abs=20 * digits)
            assert (long[len(short) :] > LONGEST_ANG - 20 * digits).all()  # one is beyond what is compared

    check()
