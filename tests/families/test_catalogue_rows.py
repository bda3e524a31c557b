"""Every row of the catalogue that is fetched: its package knows the name, and loads it up to the missing file."""

import json
import subprocess
from functools import cache

import pytest

from mira_cli.catalogue.lookup import built_in
from tests.families.conftest import HERE, python_of

ROWS = {name: row for name, row in built_in().models.items() if row.checkpoint.fetch}
FETCHED = tuple(dict.fromkeys(row.family for row in ROWS.values()))
# functions of their own in mace.calculators, beside the tables of the others
ALONE = {"mace_omol:extra_large", "mace_anicc"}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Findings of one family's rows, in its image."""

    @cache
    def find(family: str) -> dict:
        folder = tmp_path_factory.mktemp(family)
        rows = [
            {
                "name": name,
                "family": family,
                "options": row.options,
                "dtype": row.dtype or built_in().families[family].dtypes[0],
                "elements": sorted(row.elements or ()) or None,
                "stress": row.stress,
            }
            for name, row in ROWS.items()
            if row.family == family
        ]
        (folder / "rows.json").write_text(json.dumps(rows))
        command = [
            python_of(built_in().families[family].image),
            HERE / "catalogue_rows.py",
            "rows.json",
            "findings.json",
        ]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1500)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads((folder / "findings.json").read_text())

    return find


@pytest.mark.parametrize("family", FETCHED)
def test_rows_load_up_to_the_missing_file(found, family) -> None:
    refusals = found(family)["refusals"]
    assert set(refusals) == {name for name, row in ROWS.items() if row.family == family}
    for name, said in refusals.items():
        assert said == f"{name}: there is no checkpoint /no/such/place/{name}"


@pytest.mark.parametrize("family", FETCHED)
def test_packages_know_what_is_fetched(found, family) -> None:
    published = found(family)["published"].get(family)
    if published is None:
        assert family in {"sevennet", "mattersim", "matgl", "matris", "nequip"}
        return
    wanted = {row.checkpoint.fetch for row in ROWS.values() if row.family == family}
    if family == "upet":  # which versions there are, only a server knows
        wanted = {name.rpartition("-v")[0] for name in wanted}
    assert wanted - ALONE <= set(published)
