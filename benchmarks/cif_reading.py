"""Reading CIFs: MIRA's reader against ASE's, which it was before.

    python benchmarks/cif_reading.py [--files 1000]

Both read the same texts from memory, in turns, in one process. Half of the files list all atoms, as programs write
them; half have a symbol or operations and the sites of an asymmetric unit, as databases do.
"""

import argparse
import io
import time
import warnings
from collections import defaultdict
from collections.abc import Iterable

import ase
import gemmi
import numpy as np
from ase.io import iread
from crystals import crystals
from results import write_section

from mira_cli.structures.formats.cif import read_cif

GROUPS = ("P n m a", "P 1 21/c 1", "F m -3 m", "P 63/m m c", "R -3 m:H", "C 1 2/m 1", "I 4/m m m", "P -1")
PORTION = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    n = parser.parse_args().files
    kinds = {"all atoms listed": list(listed(n // 2)), "symbol or operations": list(symmetric(n - n // 2))}
    lines = [
        "| files | n | atoms each | ASE, files/s | MIRA, files/s | MIRA/ASE, CPU | same structure |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    warnings.simplefilter("ignore")  # ASE's, of settings
    for kind, texts in kinds.items():
        seconds: dict[str, float] = defaultdict(float)
        atoms = same = 0
        for begin in range(0, n, PORTION):
            portion = texts[begin : begin + PORTION]
            start = time.process_time()
            before = [next(iread(io.BytesIO(text), format="cif")) for text in portion]
            middle = time.process_time()
            now = [next(read_cif(text)).atoms for text in portion]
            seconds["ase"] += middle - start
            seconds["mira"] += time.process_time() - middle
            atoms += sum(map(len, before))
            same += sum(is_same(one, other) for one, other in zip(before, now, strict=True))
        ase_s, mira_s = (len(texts) / seconds[who] for who in ("ase", "mira"))
        ratio = seconds["mira"] / seconds["ase"]
        each = atoms / len(texts)
        lines.append(
            f"| {kind} | {len(texts):,} | {each:.1f} | {ase_s:,.0f} | {mira_s:,.0f} | {ratio:.2f} | {same:,} |"
        )
    text = f"ASE {ase.__version__}, gemmi {gemmi.__version__}, CPU time.\n\n" + "\n".join(lines)
    print(text)
    write_section("cif-reading", "Reading CIFs", text)


def is_same(one: ase.Atoms, other: ase.Atoms | None) -> bool:
    """Whether two are the same to the last bit."""
    return (
        other is not None
        and one.numbers.tolist() == other.numbers.tolist()
        and np.array_equal(one.positions, other.positions)
    )


def listed(n: int) -> Iterable[bytes]:
    for atoms in crystals(n):
        stream = io.BytesIO()
        atoms.write(stream, format="cif")
        yield stream.getvalue()


def symmetric(n: int, seed: int = 0, atoms: int = 0) -> Iterable[bytes]:
    """CIFs of a few sites, or with so many atoms in the cell where the group allows it."""
    random = np.random.default_rng(seed)
    for i in range(n):
        group = gemmi.find_spacegroup_by_name(GROUPS[i % len(GROUPS)])
        a, b, c = random.uniform(5, 12, 3)
        cell = {
            "triclinic": (a, b, c, 83, 97, 102), "monoclinic": (a, b, c, 90, 98, 90),
            "orthorhombic": (a, b, c, 90, 90, 90), "tetragonal": (a, a, c, 90, 90, 90), "cubic": (a, a, a, 90, 90, 90),
        }.get(group.crystal_system_str(), (a, a, c, 90, 90, 120))  # fmt: skip
        tags = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
        lines = [f"data_{i}", *(f"_cell_{tag} {value}" for tag, value in zip(tags, cell, strict=True))]
        lines += [f"_symmetry_space_group_name_H-M '{group.hm}'", f"_symmetry_Int_Tables_number {group.number}"]
        if i % 2:
            lines += ["loop_", "_symmetry_equiv_pos_as_xyz", *(f"'{one.triplet()}'" for one in group.operations())]
        lines += ["loop_", *(f"_atom_site_{tag}" for tag in ("label", "type_symbol", "fract_x", "fract_y", "fract_z"))]
        order = len(group.operations())
        few = [("Mg", (0, 0, 0)), ("O", (0.5, 0, 0))]
        several = [("Mg", (0, 0, 0)), ("O", (0.11, 0.27, 0.41)), ("Si", (0.3, 0.25, 0.13))]
        more = [("O", random.random(3).round(4)) for _ in range(atoms // order)] if order <= 16 else []
        places = [*(few if order > 16 else several), *more]
        lines += [f"{element}{j} {element} {x} {y} {z}" for j, (element, (x, y, z)) in enumerate(places)]
        yield "\n".join([*lines, ""]).encode()


if __name__ == "__main__":
    main()
