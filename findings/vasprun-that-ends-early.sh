#!/usr/bin/env bash
# A vasprun.xml of a run that was cut off is not well-formed XML. ASE 3.29.0 returns the steps that are whole, and none of what
# follows, without a word: three steps of a relaxation are two, the last of which then looks like its end. Cut in the first step
# it is a structure without energy.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q ase==3.29.0
cd "$work" && env/bin/python -W error - <<'PYTHON'
import sys
from ase.io import read

HEAD = """<modeling><incar/><kpoints><generation param="Gamma"/><varray name="kpointlist"><v>0 0 0</v></varray>
<varray name="weights"><v>1</v></varray></kpoints><parameters/><atominfo><atoms>1</atoms><types>1</types>
<array name="atoms"><set><rc><c>Cu</c><c>1</c></rc></set></array>
<array name="atomtypes"><set><rc><c>1</c><c>Cu</c><c>63.5</c><c>11</c><c>PAW_PBE Cu</c></rc></set></array></atominfo>
"""


def crystal(name=""):
    vectors = "<v>4 0 0</v><v>0 4 0</v><v>0 0 4</v>"
    basis, places = f'<varray name="basis">{vectors}</varray>', '<varray name="positions"><v>0 0 0</v></varray>'
    return f"<structure{name}><crystal>{basis}</crystal>{places}</structure>"


def step(energy):
    names = ("e_fr_energy", "e_wo_entrp", "e_0_energy")
    energies = "<energy>" + "".join(f'<i name="{name}">{energy}</i>' for name in names) + "</energy>"
    forces = '<varray name="forces"><v>0 0 0</v></varray>'
    return f"<calculation><scstep>{energies}</scstep>{crystal()}{forces}{energies}</calculation>\n"


whole = HEAD + crystal(' name="initialpos"') + step(-1.0) + step(-2.0) + step(-3.0) + "</modeling>\n"
third, first = whole.rindex("<calculation>") + 60, whole.index("<calculation>") + 60
texts = {"whole": whole, "third step cut": whole[:third], "first step cut": whole[:first]}
seen = {}
for name, text in texts.items():
    with open("vasprun.xml", "w") as file:
        file.write(text)
    seen[name] = [float(atoms.get_potential_energy()) if atoms.calc else None for atoms in read("vasprun.xml", ":")]
print(f"energies of the steps: {seen}")
sys.exit(seen != {"whole": [-1.0, -2.0, -3.0], "third step cut": [-1.0, -2.0], "first step cut": [None]})
PYTHON
