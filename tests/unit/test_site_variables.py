"""What environment modules set, and what jobs get of it."""

import os
import subprocess
import sys

from mira_cli import site_variables
from mira_cli.site_variables import for_jobs


def test_nothing_of_another_python_or_container_reaches_a_job() -> None:
    ours = {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "GPU-1", "APPTAINER_TMPDIR": "/scratch", "APPTAINER_UNSQUASH": "1"}
    others = ("PYTHONHOME", "PYTHONUSERBASE", "APPTAINER_BIND", "APPTAINER_BINDPATH", "SINGULARITY_BIND",
              "APPTAINERENV_LD_LIBRARY_PATH", "SINGULARITYENV_PYTHONPATH", "APPTAINER_CLEANENV", "APPTAINER_CONTAINALL",
              "APPTAINER_NO_HOME", "APPTAINER_ENV_FILE")  # fmt: skip
    given = {**ours, **dict.fromkeys(others, "/elsewhere")}
    assert for_jobs(given) == ours
    assert site_variables.dropped_variables(given) == sorted(others)


def test_a_python_starts_in_spite_of_pythonhome(tmp_path) -> None:
    given = {**os.environ, "PYTHONHOME": str(tmp_path)}
    words = [sys.executable, "-c", "print(6 * 7)"]
    assert subprocess.run(words, env=given, capture_output=True, text=True).returncode != 0
    assert subprocess.run(words, env=for_jobs(given), capture_output=True, text=True).stdout == "42\n"


def test_cuda_of_a_module_gives_way_to_that_of_the_image_and_the_driver_stays(tmp_path) -> None:
    folders = {
        "toolkit": ["libcudart.so.12", "libfoo.so"],
        "cudnn": ["libcudnn_graph.so.9"],
        "python": ["libpython3.so"],
        "driver": ["libcuda.so.1", "libcudart.so.12"],
    }
    for folder, files in folders.items():
        (tmp_path / folder).mkdir()
        for file in files:
            (tmp_path / folder / file).touch()
    given = {"LD_LIBRARY_PATH": ":".join(str(tmp_path / folder) for folder in [*folders, "missing"])}
    assert site_variables.cuda_folders(given) == [str(tmp_path / "toolkit"), str(tmp_path / "cudnn")]
    kept = [str(tmp_path / folder) for folder in ("python", "driver", "missing")]
    assert for_jobs(given) == {"LD_LIBRARY_PATH": ":".join(kept)}
    assert for_jobs({"LD_LIBRARY_PATH": "/none"}) == {"LD_LIBRARY_PATH": "/none"}
