#!/usr/bin/env bash
# A network that AOTInductor compiled ahead of time (torch 2.13.0, CPU) does not look at the shape of what it is given: one
# that was exported for four atoms answers five with four energies, without a word, where the exported program that it was
# made of refuses them. AOTI_RUNTIME_CHECK_INPUTS=1 in the environment of the run has it refuse too; it is off unless set.
# Sizes must be exported as dynamic, and a compiled potential must be compared with the plain one at other sizes than it was
# made with.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
command -v g++ > /dev/null || { echo "needs g++"; exit 2; }
python3 -m venv "$work/env" && "$work/env/bin/pip" install -q torch==2.13.0 numpy==2.3.5
cd "$work" && cat > ask.py <<'PYTHON'
import sys

import torch


class Wells(torch.nn.Module):
    """Each atom in a harmonic well."""

    def forward(self, positions):
        return (positions**2).sum(1)


four, five = torch.ones(4, 3), torch.ones(5, 3)
exported = torch.export.export(Wells(), (four,))
if sys.argv[1] == "compile":
    torch._inductor.aoti_compile_and_package(exported, package_path="wells.pt2")
    compiled = None
else:
    compiled = torch._inductor.aoti_load_package("wells.pt2")
for name, network in {"exported": exported.module(), "compiled": compiled}.items():
    if network:
        try:
            print(name, len(network(four)), len(network(five)))
        except Exception as error:
            print(name, "refuses:", type(error).__name__)
PYTHON
export TORCHINDUCTOR_CACHE_DIR="$work/inductor" TMPDIR="$work"
env/bin/python ask.py compile 2> /dev/null | tee made
env/bin/python ask.py load 2> /dev/null | grep compiled | tee plain
AOTI_RUNTIME_CHECK_INPUTS=1 env/bin/python ask.py load 2> /dev/null | grep compiled | tee checked
grep -q "exported refuses" made && grep -q "compiled 4 4" plain && grep -q "compiled refuses" checked
