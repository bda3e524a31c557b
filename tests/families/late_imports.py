"""Runs in a family's image: what the import of its package has left for later.

`late_imports.py FAMILY FINDINGS.json`. It only reports; the tests judge.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "workflow"))


def main(family_name: str, findings_file: str) -> None:
    """Import a family; report the importers that it names and does not have, and all modules that are there."""
    from worker import families
    from worker.session import import_family

    family = families.find_family(family_name)
    import_family(family)
    absent = [importer for importer in family.LATE if importer not in sys.modules]
    Path(findings_file).write_text(json.dumps({"absent": absent, "imported": list(sys.modules)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
