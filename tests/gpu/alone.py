"""What MIRA's worker does on a GPU, by PyTorch alone: no model package, nothing of `mira_cli`, no pytest.

`benchmarks/gpu.sh` runs it in whatever Python has PyTorch; `test_gpu.py` runs it where there is one. Each function is
named by the sentence that it proves, and fails by assertion. With `cpu` it runs what needs no GPU.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

WORKFLOW = Path(__file__).resolve().parents[2] / "workflow"
sys.path.insert(0, str(WORKFLOW))


def the_device_is_found_and_computes_in_full_single_precision(device: str) -> None:
    import torch

    from worker.device import choose_device

    found = choose_device("auto" if device == "cuda" else "cpu", "torch", threads=1)
    assert found.id == ("cuda:0" if device == "cuda" else "cpu"), found
    wide = torch.rand(300, 300, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    exact, near = wide @ wide, (wide.float().to(found.id) @ wide.float().to(found.id)).cpu().double()
    assert float(((near - exact).abs() / exact).max()) < 2e-6  # TF32 is off by 5e-4


def a_uuid_in_cuda_visible_devices_picks_that_gpu_and_a_wrong_one_none(device: str) -> None:
    asked = "import torch; print(torch.cuda.device_count(), *(str(torch.cuda.get_device_properties(0).uuid) for _ in"
    asked += " range(torch.cuda.device_count())))"

    def seen(visible: str) -> list[str]:
        env = {**os.environ, "CUDA_VISIBLE_DEVICES": visible}
        return subprocess.run([sys.executable, "-c", asked], env=env, capture_output=True, text=True).stdout.split()

    assert seen("")[0] == "0"
    assert seen("GPU-00000000-0000-0000-0000-000000000000")[0] == "0"
    if device == "cuda":
        import torch

        uuid = str(torch.cuda.get_device_properties(0).uuid)
        assert seen(f"GPU-{uuid}") == ["1", uuid]


def memory_that_runs_out_is_known_as_such_and_comes_back(device: str) -> None:
    import torch

    from worker.device import Device, free_gpu_mb, peak_gpu_mb
    from worker.failures import Failure, kind_of, release_memory

    kind = None
    try:
        torch.empty(1 << 50, dtype=torch.uint8, device=device)
    except Exception as error:  # noqa: BLE001  (which one it is, is what is asked)
        kind = kind_of(error)
    assert kind is Failure.OOM
    release_memory()
    if device == "cuda":
        before = free_gpu_mb()
        block = torch.ones(1 << 28, device=device)  # 1 GiB
        assert (peak_gpu_mb(Device("cuda:0", "", None)) or 0) > 1000
        del block
        release_memory()
        assert abs(free_gpu_mb() - before) < 200


TESTS = (
    the_device_is_found_and_computes_in_full_single_precision,
    a_uuid_in_cuda_visible_devices_picks_that_gpu_and_a_wrong_one_none,
    memory_that_runs_out_is_known_as_such_and_comes_back,
)


def main(device: str) -> int:
    """Run all; return how many failed."""
    failed = 0
    for test in TESTS:
        said = test.__name__.replace("_", " ")
        try:
            test(device)
            print(f"* test: {said}: passed.")
        except Exception as error:  # noqa: BLE001  (one that fails says nothing of the others)
            failed += 1
            print(f"* test: {said}: FAILED: {type(error).__name__}: {error}")
    return failed


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1]), 1))
