#!/usr/bin/env bash
# What can be learned of MIRA on an NVIDIA GPU in six minutes, on a machine that has nothing else and no network.
#
#   benchmarks/gpu.sh carry          where packages can be fetched: brings into .gpu-wheels/ what such a machine lacks
#   benchmarks/gpu.sh                there: the stages below, in this order; RESULTS.md has what is done so far
#   benchmarks/gpu.sh --device cpu   a rehearsal with few structures; RESULTS.md stays as it is
#
# Python: MIRA_GPU_PYTHON; else the images that are built as environments; else `python3`. One that has PyTorch gets the
# rest from .gpu-wheels/. Exit codes: 0 all stages went well, 1 some did not, 4 something is lacking.
# Environment: MIRA_GPU_LIMIT_S (360; stages have shares of it), MIRA_GPU_FOR (Python that wheels are for: 3.12)
set -euo pipefail
cd "$(dirname "$0")/.."

LIMIT=${MIRA_GPU_LIMIT_S:-360} WHEELS=.gpu-wheels
DEVICE=cuda CRYSTALS=10000 FEW=64
# not among those of a usual machine with PyTorch; in the versions of the images
CARRIED=(ase sevenn braceexpand matscipy chgnet pymatgen pymatgen-core monty ruamel-yaml spglib uncertainties palettable
    e3nn opt-einsum-fx orjson nvidia-ml-py3)

lacking() { printf 'gpu.sh: %s\n' "$@" >&2; exit 4; }

pin() { grep -hoE "^$1==[^ ;]+" containers/{fairchem-sevennet,matgl}/requirements.lock | head -n 1; }

carry() {
    rm -rf "$WHEELS"
    local name tags=(--python-version "${MIRA_GPU_FOR:-3.12}" --implementation cp) n
    for n in 2_39 2_34 2_31 2_28 2_27 2_24 2_17; do tags+=(--platform "manylinux_${n}_x86_64"); done
    for name in "${CARRIED[@]}"; do
        [[ -n $(pin "$name") ]] || { echo "gpu.sh: no image has $name" >&2; continue; }
        python3 -m pip download -q --no-deps --only-binary=:all: "${tags[@]}" --platform manylinux2014_x86_64 \
            --platform manylinux1_x86_64 -d "$WHEELS" "$(pin "$name")" 2>/dev/null ||
            python3 -m pip wheel -q --no-deps -w "$WHEELS" "$(pin "$name")" || echo "gpu.sh: no wheel of $(pin "$name")" >&2
    done
    # a lent machine may take no more than 64 MiB, most of which would be weights that no stage asks for
    python3 - "$WHEELS"/sevenn-*.whl <<'END_OF_STRIP'
import pathlib, sys, zipfile
wheel = pathlib.Path(sys.argv[1])
with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(wheel.with_suffix(".new"), "w", zipfile.ZIP_DEFLATED) as new:
    for file in old.infolist():
        if not file.filename.endswith(".pth") or "SevenNet_0__11Jul2024" in file.filename:
            new.writestr(file, old.read(file))
wheel.with_suffix(".new").replace(wheel)
END_OF_STRIP
    du -sh "$WHEELS" >&2
}

python_of() { # IMAGE: a Python that may have its packages
    local listed
    if [[ -n ${MIRA_GPU_PYTHON:-} ]]; then
        echo "$MIRA_GPU_PYTHON"
    elif [[ -x .venv/bin/python ]] && listed=$(.venv/bin/python -c '
import sys
sys.path.insert(0, "benchmarks")
from processes import pythons
print(pythons(sys.argv[1:])[sys.argv[1]])' "$1" 2>/dev/null); then
        echo "$listed"
    else
        command -v python3 || true
    fi
}

check() { # PYTHON MODULE...: ends with what is missing
    local missing
    missing=$("$1" - "$DEVICE" "${@:2}" <<'END_OF_CHECK'
import importlib.util, sys
lacks = [name for name in sys.argv[2:] if importlib.util.find_spec(name) is None]
if sys.argv[1] == "cuda" and "torch" not in lacks:
    import torch
    lacks += [] if torch.cuda.is_available() else [f"a GPU that its PyTorch {torch.__version__} can use"]
print(", ".join(lacks))
END_OF_CHECK
    ) || lacking "$1 does not run"
    [[ -z $missing ]] || lacking "$1 lacks $missing" \
        "hint: \`benchmarks/gpu.sh carry\` where packages can be fetched; carry $WHEELS; or set MIRA_GPU_PYTHON"
}

stage() { # NAME MOST_SECONDS COMMAND...: its output is a part of the results; it never takes others' time
    local name=$1 left=$((LIMIT - SECONDS)) code=0 part
    local most=$(($2 * LIMIT / 360))
    most=$((most < left ? most : left)) COUNT=$((COUNT + 1))
    part=$OUT/$(printf %02d "$COUNT")-$name.md
    echo "== $name (at $SECONDS s, at most $most s)" >&2
    if ((most < 5)); then
        echo "* $name: no time was left for it." >"$part"
        code=1
    else
        timeout -k 5 "$most" "${@:3}" >"$part.new" 2>"$OUT/$name.log" || code=$?
        if ((code)); then
            tail -n 3 "$OUT/$name.log" >&2
            echo "* $name: $( ((code == 124 || code == 137)) && echo "not done in $most s" || tail -n 1 "$OUT/$name.log")." >>"$part.new"
        fi
        mv "$part.new" "$part"
    fi
    ((code == 0)) || FAILED=1
    cat "$part" >&2
    "$SEVENNET" benchmarks/gpu_stages.py results "$DEVICE" "$OUT" >"$OUT/section.md"
}

[[ ${1:-} != carry ]] || { carry; exit; }
if [[ ${1:-} == --device && ${2:-} == cpu ]]; then
    DEVICE=cpu CRYSTALS=8 FEW=4
    export CUDA_VISIBLE_DEVICES=
fi
OUT=$(mktemp -d "${OUT:-${TMPDIR:-/tmp}}/gpu-XXXXXX") COUNT=0 FAILED=0
SEVENNET=$(python_of fairchem-sevennet) CHGNET=$(python_of matgl)
[[ -n $SEVENNET && -n $CHGNET ]] || lacking "there is no Python" "hint: set MIRA_GPU_PYTHON to one with PyTorch"
check "$SEVENNET" torch
if [[ -d $WHEELS && $SEVENNET == "$CHGNET" ]]; then
    "$SEVENNET" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$OUT/site" "$WHEELS"/*.whl ||
        lacking "the wheels in $WHEELS do not fit $SEVENNET" "hint: MIRA_GPU_FOR=3.x benchmarks/gpu.sh carry"
    export PYTHONPATH=$OUT/site
fi
check "$SEVENNET" torch ase spglib sevenn
check "$CHGNET" torch ase spglib chgnet nvidia_smi
export PYTHONUNBUFFERED=1

ask() { # STAGE MODEL COUNT
    local python=$SEVENNET
    [[ $2 != chgnet* ]] || python=$CHGNET
    "$python" benchmarks/gpu_stages.py "$1" "$DEVICE" "$2" "$3"
}
export -f ask
export SEVENNET CHGNET DEVICE

stage tests 60 "$SEVENNET" tests/gpu/alone.py "$DEVICE"
for model in sevennet-0 chgnet-0.3.0; do
    stage "agreement-$model" 60 bash -c "ask agreement $model $FEW"
done
for model in sevennet-0 chgnet-0.3.0; do
    stage "small-$model" 100 bash -c "ask small $model $CRYSTALS"
    stage "memory-$model" 60 bash -c "ask memory $model $CRYSTALS"
done
cat "$OUT/section.md"
echo "gpu.sh: $SECONDS s; logs in $OUT" >&2
exit "$FAILED"
