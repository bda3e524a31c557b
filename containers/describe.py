"""Say what is installed here, one `name version` a line: Python, CUDA as torch or TensorFlow wants it, and packages.

With a requirements file as argument: only the packages that it names.
"""

import platform
import re
import runpy
import sys
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path


def normal(name):
    """Spell a package's name as indexes do."""
    return re.sub(r"[-_.]+", "-", name).lower()


versions = {normal(dist.metadata["Name"]): dist.version for dist in distributions()}
if len(sys.argv) > 1:
    asked = {normal(name) for name in re.findall(r"^[A-Za-z0-9][\w.-]*", Path(sys.argv[1]).read_text(), re.MULTILINE)}
    versions = {name: version for name, version in versions.items() if name in asked}
print("python", platform.python_version())
# one file of each alone: importing them takes seconds
if torch := find_spec("torch"):
    print("cuda", runpy.run_path(f"{torch.submodule_search_locations[0]}/version.py")["cuda"] or "none")
elif tensorflow := find_spec("tensorflow"):
    build = runpy.run_path(f"{tensorflow.submodule_search_locations[0]}/python/platform/build_info.py")["build_info"]
    print("cuda", ".".join(build.get("cuda_version", "none").split(".")[:2]))
for name, version in sorted(versions.items()):
    print(name, version)
