"""Runs in a family's image: `make_tiny.py FAMILY FOLDER` makes its tiny checkpoints there, and FOLDER/models.json."""

import importlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

if __name__ == "__main__":
    made = importlib.import_module(f"tiny.{sys.argv[1]}").make(Path(sys.argv[2]).resolve())
    (Path(sys.argv[2]) / "models.json").write_text(json.dumps(made))
