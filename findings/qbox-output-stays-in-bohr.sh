#!/usr/bin/env bash
# Qbox and qball write lengths in Bohr, energies in Hartree and forces in Hartree/Bohr. ASE 3.29.0 hands the numbers over as Å,
# eV and eV/Å, without a word: aluminium (fcc, 4.05 Å) has neighbours at 5.41 Å and a seventh of its density. ASE's own test of
# the reader compares the numbers with those in the file.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python -W error - <<'PYTHON'
import sys
from ase.build import bulk
from ase.io import read
from ase.units import Bohr, Hartree

crystal = bulk("Al", cubic=True)
vectors = " ".join(f'{name}="{" ".join(f"{x / Bohr:.8f}" for x in v)}"' for name, v in zip("abc", crystal.cell))
atoms = "\n".join(
    f'<atom name="Al{i}" species="al"><position> {" ".join(f"{x / Bohr:.8f}" for x in place)} </position>'
    "<velocity> 0 0 0 </velocity><force> 0 0 0 </force></atom>"
    for i, place in enumerate(crystal.positions)
)
with open("al.r", "w") as file:
    file.write(f"""<fpmd:simulation>
<release> qbox 1.63.5 </release>
<species name="al">
<symbol>Al</symbol><atomic_number>13</atomic_number><mass>26.98</mass>
</species>
<cmd>run 0 1</cmd>
<iteration count="1">
<etotal> -8.40000000 </etotal>
<atomset>
<unit_cell {vectors}/>
{atoms}
</atomset>
</iteration>
</fpmd:simulation>
""")
found = read("al.r", format="qbox")
distance = float(found.get_distance(0, 1, mic=True))
print(f"distance {distance:.3f} Å, right is {crystal.get_distance(0, 1, mic=True):.3f}")
print(f"energy {found.get_potential_energy()} eV, right is {-8.4 * Hartree:.3f}")
print(f"cell {found.get_volume():.1f} Å³, right is {crystal.get_volume():.1f}")
sys.exit((round(distance, 2), found.get_potential_energy()) != (5.41, -8.4))
PYTHON
