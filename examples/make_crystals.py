# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0", "spglib==2.8.0"]
# ///
"""Write `examples/crystals/` again, its README included: the same bytes every time, from ASE's data alone.

Run it with the project's Python (or `uv run examples/make_crystals.py`).
"""

import csv
from pathlib import Path

import numpy as np
import spglib
from ase import Atoms
from ase.collections import dcdft
from ase.io import write

OUT = Path(__file__).parent / "crystals"
# Crystals of the Delta-codes set that are bound by more than dispersion, one of each kind of bond and structure.
ELEMENTS = (
    *("Li", "Be", "Na", "Mg", "Al", "Si", "K", "Ca", "Sc", "Ti", "V", "Fe", "Ni", "Cu", "Zn", "Ge"),
    *("Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Ru", "Rh", "Pd", "Ag", "Ta", "W", "Ir", "Pt", "Au", "Pb"),
)
NAMES = ("volume_per_atom_ang3", "bulk_modulus_gpa", "bulk_modulus_derivative")
PATH, KEYS = "structure_path", ("{}_volume", "{}_B", "{}_Bp")
README = """# Crystals with equations of state that are known

{n} elements of the Delta-codes set (github.com/molmod/DeltaCodesDFT, as in ASE's `ase.collections.dcdft`), in primitive
cells near their minimum by PBE. `../make_crystals.py` writes all of it, this page too: change that script, not these files.

```
mira run examples/crystals/wien2k.csv --models … --task eos
mira run examples/crystals/experiment.csv --models … --task eos
```

| sheet | references |
|---|---|
| `wien2k.csv` | {n} crystals by WIEN2k: all electrons, PBE, scalar-relativistic. K. Lejaeghere et al., *Science* 351, aad3000 (2016) |
| `experiment.csv` | {m} of them as measured, and corrected to 0 K and for zero-point vibrations. K. Lejaeghere et al., doi:10.1080/10408436.2013.772503 |

Each gives the volume of an atom in Å³, the bulk modulus in GPa and its derivative; `scalars.csv` then has errors and Δ.
Models are of a functional: against PBE a model of PBE is measured, against experiment its functional too. Iron and nickel
are ferromagnetic there, and models know no moments but those of their training data.
"""  # noqa: E501


def primitive(element: str) -> Atoms:
    """The crystal in a primitive cell, without magnetic moments."""
    atoms = dcdft[element]
    told = np.array(atoms.cell), atoms.get_scaled_positions(), atoms.numbers
    cell, scaled, numbers = spglib.standardize_cell(told, to_primitive=True, no_idealize=True, symprec=1e-3)
    return Atoms(numbers, scaled_positions=scaled.round(8), cell=cell.round(8), pbc=True)


def references(element: str, source: str) -> list[float] | None:
    """What a source says of an element, in the order of `NAMES`; None where it says nothing."""
    found = [dcdft.data[element].get(key.format(source)) for key in KEYS]
    return None if None in found else [float(value) for value in found]


def main() -> None:
    """Write everything."""
    (OUT / "structures").mkdir(parents=True, exist_ok=True)
    for element in ELEMENTS:
        write(OUT / "structures" / f"{element}.extxyz", primitive(element))
    counts = {}
    for name, source in (("wien2k", "wien2k"), ("experiment", "exp")):
        rows = [(element, said) for element in ELEMENTS if (said := references(element, source))]
        counts[name] = len(rows)
        with (OUT / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            sheet = csv.writer(stream, lineterminator="\n")
            sheet.writerow([PATH, *(f"reference_{name}" for name in NAMES)])
            sheet.writerows([f"structures/{element}.extxyz", *said] for element, said in rows)
    text = README.format(n=counts["wien2k"], m=counts["experiment"])
    (OUT / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
