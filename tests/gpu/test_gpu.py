"""The worker on a GPU: the very tests of `benchmarks/gpu.sh`, in an image; and their rehearsal without one."""

import subprocess
import sys
from pathlib import Path

import pytest

from mira_cli.images import recipe, venv

ALONE = Path(__file__).parent / "alone.py"


@pytest.fixture(scope="module")
def python() -> str:
    """Python of any image with PyTorch that is built here."""
    built = [i for i in recipe.all_images() if "torch" in recipe.locked_versions(i) and venv.built_venv(i)]
    if not built:
        pytest.skip("no image with PyTorch is built as an environment here")
    return str(venv.interpreter(built[0]))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_worker(python, device) -> None:
    has = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    if device == "cuda" and subprocess.run([python, "-c", has]).returncode:
        pytest.skip("there is no GPU here")
    done = subprocess.run([python, ALONE, device], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": passed.") == 3


def test_the_script_says_what_a_bare_python_lacks_and_gives_up(tmp_path) -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "gpu.sh"
    bare = {"PATH": "/usr/bin:/bin", "MIRA_GPU_PYTHON": "/usr/bin/false", "TMPDIR": str(tmp_path)}
    done = subprocess.run([script], env=bare, capture_output=True, text=True, timeout=60)
    assert done.returncode == 4, done.stderr
    assert "/usr/bin/false does not run" in done.stderr
    lean = tmp_path / "lean"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", lean], check=True)
    bare["MIRA_GPU_PYTHON"] = str(lean / "bin" / "python")
    done = subprocess.run([script], env=bare, capture_output=True, text=True, timeout=60)
    assert done.returncode == 4, done.stderr
    assert "lacks torch" in done.stderr
    assert "benchmarks/gpu.sh carry" in done.stderr
