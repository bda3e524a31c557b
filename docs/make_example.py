"""Copy a run's report and small tables to `docs/example/`: `python docs/make_example.py runs/example`."""

import shutil
import sys
from pathlib import Path

SHOWN = (
    "report.html",
    "comparison.csv",
    "pairs.csv",
    "disagreement.csv",
    "reference.csv",
    "reference_errors.csv",
    "energies_aligned.csv",
)

run, example = Path(sys.argv[1]), Path(__file__).parent / "example"
for name in SHOWN:
    shutil.copyfile(run / name, example / name)
    print(f"{(example / name).stat().st_size / 1000:7.0f} kB  {example / name}")
