# /// script
# requires-python = ">=3.11"
# dependencies = ["ase==3.29.0"]
# ///
"""Write `examples/s22/` anew: the same bytes every time, from ASE alone.

Run it with the project's Python (or `uv run examples/make_s22.py`).
"""

from pathlib import Path

from ase.collections import s22
from ase.data.s22 import get_interaction_energy_cc, get_number_of_dimer_atoms
from ase.io import write

OUT = Path(__file__).parent / "s22"
README = """\
# S22: how strongly pairs hold together

22 pairs from Jurečka, Šponer, Černý and Hobza, *Phys. Chem. Chem. Phys.* 8, 1985 (2006), as in `ase.collections.s22`:
seven with hydrogen bonds, eight held by dispersion, seven by both. `../make_s22.py` writes them.

    mira run examples/s22 --task interaction --models sevennet-0

Each frame of `s22.extxyz` says how many atoms its first fragment has (`fragment_atoms`; the others are the second), and
the interaction energy by CCSD(T) at the basis set limit of the same article (`reference_interaction_energy_ev`):
`scalars.csv` then has each model's errors, and `--group-by kind` those of each kind.
"""


def main() -> None:
    """Write the frames, and a page on them."""
    OUT.mkdir(exist_ok=True)
    frames = []
    for number, name in enumerate(s22.names):
        atoms = s22[name]
        atoms.info = {
            "name": name,
            "kind": "hydrogen_bonds" if number < 7 else "dispersion" if number < 15 else "mixed",
            "fragment_atoms": get_number_of_dimer_atoms(name)[0],
            "reference_interaction_energy_ev": get_interaction_energy_cc(name),
        }
        frames.append(atoms)
    write(OUT / "s22.extxyz", frames)
    (OUT / "README.md").write_text(README, encoding="utf-8")


if __name__ == "__main__":
    main()
