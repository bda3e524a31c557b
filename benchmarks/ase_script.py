"""The script that a user writes: one model, one loop. `ase_script.py FAMILY NAME STRUCTURES.extxyz OUT.extxyz`.

It loads the model once as the package's manual says, leaves the threads to the libraries (all cores), and writes
everything once, at the end. The last line of its output says where its time went.
"""

from __future__ import annotations

import json
import sys
import time


def main() -> None:
    family, name, structures_file, out = sys.argv[1:5]
    marks = [time.perf_counter()]
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import read, write

    if family == "sevennet":
        from sevenn.calculator import SevenNetCalculator
    else:
        from chgnet.model.dynamics import CHGNetCalculator
        from chgnet.model.model import CHGNet
    marks.append(time.perf_counter())
    if family == "sevennet":
        calculator = SevenNetCalculator(name, device="cpu")
    else:
        calculator = CHGNetCalculator(CHGNet.load(model_name=name, use_device="cpu", verbose=False), use_device="cpu")
    marks.append(time.perf_counter())
    structures = read(structures_file, ":")
    marks.append(time.perf_counter())
    for atoms in structures:
        atoms.calc = calculator
        found = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces(), "stress": atoms.get_stress()}
        atoms.calc = SinglePointCalculator(atoms, **found)
    marks.append(time.perf_counter())
    write(out, structures)
    marks.append(time.perf_counter())
    stages = ("import_s", "load_s", "read_s", "evaluate_s", "write_s")
    print(json.dumps({stage: marks[i + 1] - marks[i] for i, stage in enumerate(stages)}))


if __name__ == "__main__":
    main()
