#!/usr/bin/env bash
# CHGNet 0.4.2 and cuEquivariance 0.13.0, the GPU kernels of MACE and SevenNet, each name a package with NVIDIA's bindings,
# and both packages hold the module `pynvml`: nvidia-ml-py3 7.352.0 and nvidia-ml-py. pip installs both without a
# word, and whichever comes last is there: with CHGNet's, two functions are gone that cuEquivariance asks a GPU by
# (nvmlDeviceGetNumGpuCores, nvmlDeviceGetCudaComputeCapability). `pip check` finds nothing, and taking one package out takes
# the other's module along.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
pip() { "$work/env/bin/python" -m pip -q --disable-pip-version-check "$@"; }
needs() { # PACKAGE: what it requires of NVIDIA's bindings
    pip install --dry-run --no-deps --ignore-installed --report "$work/report.json" "$1" >/dev/null
    "$work/env/bin/python" - "$work/report.json" <<'PYTHON'
import json, sys
(package,) = json.load(open(sys.argv[1]))["install"]
print(*[name for name in package["metadata"]["requires_dist"] if name.startswith("nvidia-ml-py")])
PYTHON
}
functions() {
    "$work/env/bin/python" -c '
import pynvml
print(*(hasattr(pynvml, f"nvmlDeviceGet{name}") for name in ("NumGpuCores", "CudaComputeCapability")))'
}
failed=0
expect() { echo "$1: $2"; [[ $2 == "$3" ]] || failed=1; }

expect "chgnet needs" "$(needs chgnet==0.4.2)" "nvidia-ml-py3>=7.352.0"
expect "cuequivariance-ops-cu13 needs" "$(needs cuequivariance-ops-cu13==0.13.0)" "nvidia-ml-py"
pip install nvidia-ml-py==13.615.71
expect "functions with nvidia-ml-py alone" "$(functions)" "True True"
pip install nvidia-ml-py3==7.352.0
expect "functions once nvidia-ml-py3 has come" "$(functions)" "False False"
expect "pip check" "$(pip check && echo nothing)" "nothing"
pip uninstall -y nvidia-ml-py3
expect "nvidia-ml-py without the other" "$(functions 2>&1 | tail -n 1)" "ModuleNotFoundError: No module named 'pynvml'"
exit "$failed"
