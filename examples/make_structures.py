# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0"]
# ///
"""Write `examples/structures/` anew, its README included: the same bytes every time, from ASE alone.

Run it with the project's Python (or `uv run examples/make_structures.py`).
"""

import warnings
from pathlib import Path
from unittest.mock import patch

import ase
import ase.db
import numpy as np
from ase import Atoms, units
from ase.build import add_adsorbate, bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.collections import dcdft, s22
from ase.db.row import AtomsRow
from ase.io import iread, read, write
from ase.md.velocitydistribution import Stationary, thermalize_momenta
from ase.md.verlet import VelocityVerlet
from ase.spacegroup import crystal

OUT = Path(__file__).parent / "structures"
ASE_DATA = Path(ase.__file__).parent / "test" / "testdata"

# What the README says of a source more than once.
MERMIN = "Ashcroft and Mermin, *Solid State Physics* (1976), as in `ase.data.reference_states`"
TEXTBOOK = "textbook values at room temperature"
COD = "Crystallography Open Database {}, as in ASE's test data: "
AMCSD = "American Mineralogist Crystal Structure Database {}: "
DELTA = "Delta-codes set, github.com/molmod/DeltaCodesDFT, as in `ase.collections.dcdft`"
G2 = "MP2(full)/6-31G(d) geometry of the G2/97 set, Raghavachari, Redfern and Pople, *J. Chem. Phys.* 106, 1063 (1997), as in `ase.build.molecule`"  # noqa: E501
S22 = "Jurečka, Šponer, Černý and Hobza, *Phys. Chem. Chem. Phys.* 8, 1985 (2006), as in `ase.collections.s22`"

# Crystals of a space group: file → (group, cell, sites, what, source). A CIF keeps the asymmetric unit;
# every other format gets the primitive cell that ASE makes of it.
CUBIC, HEXAGONAL = (90, 90, 90), (90, 90, 120)
CRYSTALS = {
    "elements/Cu.cif": ("F m -3 m", (3.61, 3.61, 3.61, *CUBIC), [("Cu", 0, 0, 0)], "fcc", MERMIN),
    "elements/Mg.cif": (
        "P 63/m m c",
        (3.21, 3.21, 5.213, *HEXAGONAL),
        [("Mg", 1 / 3, 2 / 3, 1 / 4)],
        "hcp",
        MERMIN,
    ),
    "oxides/MgO_periclase.cif": (
        "F m -3 m",
        (4.2136, 4.2136, 4.2136, *CUBIC),
        [("Mg", 0, 0, 0), ("O", 0.5, 0.5, 0.5)],
        "rock salt",
        AMCSD.format("0008367") + "Zhang, *Phys. Chem. Miner.* 27, 145 (2000)",
    ),
    "oxides/TiO2_rutile.cif": (
        "P 42/m n m",
        (4.5937, 4.5937, 2.9587, *CUBIC),
        [("Ti", 0, 0, 0), ("O", 0.30478, 0.30478, 0)],
        "rutile",
        AMCSD.format("0019092") + "Howard, Sabine and Dickson, *Acta Cryst. B* 47, 462 (1991)",
    ),
    "oxides/CaTiO3_perovskite.cif": (
        "P n m a",
        (5.4224, 7.6510, 5.4043, *CUBIC),
        [
            ("Ca", 0.0123, 0.25, 0.9916),
            ("Ti", 0, 0, 0.5),
            ("O", 0.4687, 0.25, 0.0586),
            ("O", 0.288, 0.0371, 0.713),
        ],
        "orthorhombic perovskite, axes turned from Pbnm to Pnma",
        AMCSD.format("0002890") + "Yamanaka, Hirai and Komatsu, *Am. Mineral.* 87, 1183 (2002)",
    ),
    "oxides/Mg2SiO4_forsterite.vasp": (
        "P n m a",
        (10.193, 5.977, 4.752, *CUBIC),
        [
            ("Mg", 0, 0, 0),
            ("Mg", 0.2774, 0.25, 0.9915),
            ("Si", 0.094, 0.25, 0.4262),
            ("O", 0.0913, 0.25, 0.7657),
            ("O", 0.4474, 0.25, 0.2215),
            ("O", 0.1628, 0.0331, 0.2777),
        ],
        "olivine, axes turned from Pbnm to Pnma",
        AMCSD.format("0000546") + "Hazen, *Am. Mineral.* 61, 1280 (1976)",
    ),
    "salts/CaCO3_calcite.vasp": (
        "R -3 c",
        (4.980, 4.980, 17.192, *HEXAGONAL),
        [("Ca", 0, 0, 0), ("C", 0, 0, 0.25), ("O", 0.261, 0, 0.25)],
        "calcite at 297 °C, primitive rhombohedral cell",
        AMCSD.format("0017849") + "Antao and Hassan, *Can. Mineral.* 48, 1225 (2010)",
    ),
    "salts/POSCAR_NaCl": (
        "F m -3 m",
        (5.64, 5.64, 5.64, *CUBIC),
        [("Na", 0, 0, 0), ("Cl", 0.5, 0.5, 0.5)],
        "rock salt, primitive cell",
        TEXTBOOK,
    ),
    "salts/CaF2_fluorite.vasp": (
        "F m -3 m",
        (5.463, 5.463, 5.463, *CUBIC),
        [("Ca", 0, 0, 0), ("F", 0.25, 0.25, 0.25)],
        "fluorite, primitive cell",
        TEXTBOOK,
    ),
    "semiconductors/GaAs.cif": (
        "F -4 3 m",
        (5.653, 5.653, 5.653, *CUBIC),
        [("Ga", 0, 0, 0), ("As", 0.25, 0.25, 0.25)],
        "zinc blende",
        TEXTBOOK,
    ),
    "semiconductors/ZnO_wurtzite.cif": (
        "P 63 m c",
        (3.25, 3.25, 5.207, *HEXAGONAL),
        [("Zn", 1 / 3, 2 / 3, 0), ("O", 1 / 3, 2 / 3, 0.382)],
        "wurtzite",
        TEXTBOOK,
    ),
    "layered/BN_hexagonal.vasp": (
        "P 63/m m c",
        (2.504, 2.504, 6.661, *HEXAGONAL),
        [("B", 1 / 3, 2 / 3, 1 / 4), ("N", 1 / 3, 2 / 3, 3 / 4)],
        "hexagonal boron nitride",
        "*Acta Cryst.* 5, 356 (1952)",
    ),
    "layered/MgO2H2_brucite.cif": (
        "P -3 m 1",
        (3.14979, 3.14979, 4.7702, *HEXAGONAL),
        [("Mg", 0, 0, 0), ("O", 1 / 3, 2 / 3, 0.2203), ("H", 1 / 3, 2 / 3, 0.413)],
        "layered hydroxide",
        AMCSD.format("0007912") + "Catti, Ferraris, Hull and Pavese, *Phys. Chem. Miner.* 22, 200 (1995)",
    ),
    "intermetallics/NiAl.cif": (
        "P m -3 m",
        (2.88, 2.88, 2.88, *CUBIC),
        [("Ni", 0, 0, 0), ("Al", 0.5, 0.5, 0.5)],
        "B2 (caesium chloride structure)",
        "Kittel, *Introduction to Solid State Physics*, chapter 1",
    ),
}

# CIFs of the Crystallography Open Database that ASE ships: file → (entry, what, article).
COD_FILES = {
    "oxides/SiO2_cristobalite.cif": (
        9017338,
        "tetragonal",
        "Lee and Xu, *Acta Cryst. B* 75 (2019), doi 10.1107/S2052520619000933",
    ),
    "salts/PbAlF3O2H2_artroeite.cif": (
        9001665,
        "triclinic",
        "Kampf and Foord, *Am. Mineral.* 80, 179 (1995)",
    ),
    "semiconductors/SiC_3C.cif": (1010995, "zinc blende", "Brækken, *Z. Kristallogr.* 75, 572 (1930)"),
    "layered/MoS2_3R.cif": (
        9007661,
        "three layers, R3m in hexagonal axes",
        "Schönfeld, Huang and Moss, *Acta Cryst. B* 39, 404 (1983)",
    ),
    "intermetallics/NiSb_breithauptite.cif": (
        1010930,
        "nickel arsenide structure",
        "Alsén, *Geol. Fören. Stockh. Förh.* 47, 19 (1925)",
    ),
    "sulfides/Ni3S2_heazlewoodite.cif": (
        9007640,
        "R32 in rhombohedral axes",
        "Parise, *Acta Cryst. B* 36, 1179 (1980)",
    ),
    "sulfides/CoAsS_cobaltite.cif": (
        9004218,
        "orthorhombic, Pca2₁",
        "Fleet and Burns, *Can. Mineral.* 28, 719 (1990)",
    ),
}


def slab_with(metal: str, adsorbate: Atoms, height: float, site: str) -> Atoms:
    """Give a (111) slab, periodic in its plane only, with an adsorbate's first atom above a site."""
    slab = fcc111(metal, (2, 2, 3), vacuum=7.5)
    add_adsorbate(slab, adsorbate, height, site)
    slab.center(vacuum=7.5, axis=2)
    return Atoms(slab.symbols, slab.positions, cell=slab.cell, pbc=slab.pbc)


def copper_at_600_kelvin() -> list[Atoms]:
    """Give eight frames, 40 fs apart, of a molecular dynamics with ASE's EMT; positions only.

    Half of the kinetic energy at the start becomes potential energy.
    """
    atoms = bulk("Cu", cubic=True) * 2
    thermalize_momenta(atoms, temperature_K=1200, rng=np.random.default_rng(7))
    Stationary(atoms)
    atoms.calc = EMT()
    dynamics, frames = VelocityVerlet(atoms, timestep=4 * units.fs), []
    for _ in range(8):
        dynamics.run(10)
        frames.append(Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=True))
    return frames


def silicon_volumes() -> list[Atoms]:
    """Give silicon at five volumes around the experimental one."""
    lengths = 5.43 * np.cbrt([0.94, 0.97, 1.00, 1.03, 1.06])
    return [bulk("Si", a=float(length)) for length in lengths]


def calculated(path: str, form: str, theory: str, program: str) -> list[Atoms]:
    """Read the output of a DFT program in ASE's test data: energy, forces and, where there is one, stress."""
    frames = []
    with warnings.catch_warnings(action="ignore"):
        outputs = read(ASE_DATA / path, index=":", format=form)
    for found in outputs:
        kept = ("energy", "free_energy", "forces", "stress")
        atoms = Atoms(found.symbols, found.positions, cell=found.cell, pbc=True)
        results = {name: found.calc.results[name] for name in kept if name in found.calc.results}
        atoms.calc = SinglePointCalculator(atoms, **results)
        atoms.info = {"level_of_theory": theory, "program": program, "source": f"ASE test data {path}"}
        frames.append(atoms)
    return frames


def pbe_references() -> list[Atoms]:
    """Give a nickel cluster with large forces and a compressed rock salt, both of VASP with PBE."""
    return [
        *calculated("vasp/OUTCAR_example_1", "vasp-out", "PBE, spin-polarised", "VASP 5.3.3"),
        *calculated("vasp/vasprun_dfpt.xml", "vasp-xml", "PBE", "VASP 6.3.2"),
    ]


def lda_references() -> list[Atoms]:
    """Give three steps of a short molecular dynamics of silicon, of CASTEP with LDA."""
    return calculated("castep/md.castep", "castep-castep", "LDA", "CASTEP 23.1")


# Everything else: file → (frames, what, source).
OTHERS = {
    "elements/C_diamond.xyz": (lambda: [bulk("C")], "diamond structure; extended XYZ with its cell", MERMIN),
    "elements/Fe.extxyz": (lambda: [bulk("Fe", cubic=True)], "bcc, with initial magnetic moments", MERMIN),
    "elements/Th.vasp": (lambda: [bulk("Th")], "fcc, an actinide", MERMIN),
    "elements/W.json": (lambda: [bulk("W")], "bcc", MERMIN),
    "elements/deltacodes.db": (
        lambda: [dcdft[symbol] for symbol in ("B", "Cr", "Se")],
        "α-boron, antiferromagnetic chromium, trigonal selenium; volumes of PBE, not of experiment",
        DELTA,
    ),
    "semiconductors/Si.vasp": (lambda: [bulk("Si")], "diamond structure", MERMIN),
    "surfaces/Cu111_CO.extxyz": (
        lambda: [slab_with("Cu", molecule("CO")[::-1], 1.85, "ontop")],  # codespell:ignore ontop
        "three layers, CO on top, 1.85 Å above, not relaxed; periodic in x and y",
        MERMIN + "; built with `ase.build`",
    ),
    "surfaces/Pt111_O.traj": (
        lambda: [slab_with("Pt", Atoms("O"), 1.2, "fcc")],
        "three layers, O in the fcc hollow, 1.2 Å above, not relaxed; periodic in x and y",
        MERMIN + "; built with `ase.build`",
    ),
    "molecules/water.xyz": (lambda: [molecule("H2O")], "plain XYZ, no cell", G2),
    "molecules/small.extxyz": (
        lambda: [molecule(name) for name in ("CO2", "CH3CH2OH", "C6H6")],
        "carbon dioxide, ethanol, benzene; no cell",
        G2,
    ),
    "molecules/dimers.extxyz": (
        lambda: [s22[name] for name in ("Water_dimer", "Formic_acid_dimer")],
        "hydrogen-bonded dimers of water and formic acid; no cell",
        S22,
    ),
    "trajectories/Cu_md.extxyz": (
        copper_at_600_kelvin,
        "molecular dynamics at about 600 K: positions of ASE's EMT, without its energies",
        MERMIN + "; run by `make_structures.py`, fixed seed",
    ),
    "trajectories/Si_volumes.traj": (
        silicon_volumes,
        "diamond structure at 94 to 106 % of its volume",
        MERMIN,
    ),
    "reference/Ni18_NaCl_PBE.extxyz": (
        pbe_references,
        (
            "**energies, forces, stresses**: nickel cluster in a box (VASP, PBE, 300 eV, Γ, spin-polarised); "
            "compressed rock salt (VASP, PBE, 400 eV, 3×3×3)"
        ),
        "ASE's test data `vasp/OUTCAR_example_1` and `vasp/vasprun_dfpt.xml`",
    ),
    "reference/Si8_LDA.extxyz": (
        lda_references,
        "**energies, forces, one stress**: silicon, molecular dynamics (CASTEP, LDA, 190 eV, 2×2×2)",
        "ASE's test data `castep/md.castep`",
    ),
}

README = """\
# Structures to try MIRA on

{files} files with {frames} structures ({atoms} atoms) in the formats people have: CIF, POSCAR, XYZ,
extended XYZ and ASE's json, db and traj. `../make_structures.py` writes all of them, this page too:
change that script, not these files.

* No structure was relaxed with the models that MIRA compares. Crystals are as their source has them, mostly
  as measured at room temperature: forces and stresses are seldom zero, and reach several eV/Å where a hydrogen
  was refined too close to its oxygen (artroeite, brucite).
* Only `reference/` carries energies, forces and stresses: numbers of real density-functional calculations
  that ASE ships to test its readers. They are **not a converged benchmark** (low cutoffs, few k-points), and
  of two levels of theory: each frame names its own in `level_of_theory`. Total energies depend on
  pseudopotentials: compare forces and stresses, and energies only between frames of one file and composition.
* CIFs of the Crystallography Open Database are as ASE ships them, less their `#$…` lines. Each names its
  article: cite that one.

| file | formula | atoms | what | source |
|---|---|---|---|---|
{rows}
"""


def write_cif(path: Path, group: str, cell: tuple, sites: list) -> None:
    """Write an asymmetric unit with its space group; ASE's own writer knows P1 only."""
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = [f"data_{path.stem}", f"_space_group_name_H-M_alt '{group}'"]
    lines += [f"_cell_{name} {value}" for name, value in zip(names, cell, strict=True)]
    lines += [
        "loop_",
        *(f"_atom_site_{name}" for name in ("label", "type_symbol", "fract_x", "fract_y", "fract_z")),
    ]
    for number, (symbol, *position) in enumerate(sites, 1):
        lines.append(f"{symbol}{number} {symbol} " + " ".join(f"{x:.10g}" for x in position))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_database(path: Path, frames: list[Atoms]) -> None:
    """Write an ASE database without the clock, the user's name and random ids."""
    with patch(f"ase.db.{'jsondb' if path.suffix == '.json' else 'sqlite'}.now", return_value=0.0):
        for number, atoms in enumerate(frames, 1):
            row = AtomsRow(atoms)
            row.ctime, row.user, row.unique_id = 0.0, "", f"{number:032x}"
            ase.db.connect(path).write(row)


def write_frames(path: Path, frames: list[Atoms]) -> None:
    """Write frames in the format that the file's name asks for."""
    if path.suffix in {".json", ".db"}:
        write_database(path, frames)
    elif path.suffix == ".vasp" or path.name.startswith("POSCAR"):
        write(path, frames, format="vasp", direct=True, sort=True)
    elif path.suffix == ".xyz" and not frames[0].pbc.any():
        write(path, frames, format="xyz")
    else:
        write(path, frames, format="traj" if path.suffix == ".traj" else "extxyz")


def main() -> None:
    """Write every file, read each back, and list them in the README."""
    told = {}
    for name in sorted({**CRYSTALS, **COD_FILES, **OTHERS}):
        path = OUT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # a database would grow
        if name in COD_FILES:
            entry, what, article = COD_FILES[name]
            text = (ASE_DATA / "minerals" / f"cod_{entry}.cif").read_text(encoding="utf-8")
            kept = [line for line in text.splitlines() if not line.startswith("#$")]
            path.write_text("\n".join(kept) + "\n", encoding="utf-8")
            source = COD.format(entry) + article
        elif name in CRYSTALS:
            group, cell, sites, what, source = CRYSTALS[name]
            if path.suffix == ".cif":
                write_cif(path, group, cell, sites)
            else:
                symbols, basis = [site[0] for site in sites], [site[1:] for site in sites]
                made = crystal(symbols, basis, spacegroup=group, cellpar=cell, primitive_cell=True)
                write_frames(path, [made])
        else:
            frames, what, source = OTHERS[name]
            write_frames(path, frames())
        told[name] = (list(iread(path, index=":")), what, source)

    rows = []
    for name, (frames, what, source) in told.items():
        formulas = list(dict.fromkeys(atoms.symbols.formula.format("metal") for atoms in frames))
        sizes = list(dict.fromkeys(str(len(atoms)) for atoms in frames))
        count = f"{len(frames)} × " if len(frames) > 1 and len(sizes) == 1 else ""
        rows.append(f"| `{name}` | {', '.join(formulas)} | {count}{', '.join(sizes)} | {what} | {source} |")
    every = [atoms for frames, _, _ in told.values() for atoms in frames]
    page = README.format(files=len(told), frames=len(every), atoms=sum(map(len, every)), rows="\n".join(rows))
    (OUT / "README.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
