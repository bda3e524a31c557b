"""A result file that is empty or damaged is told in one sentence, with what makes it anew."""

import pytest
from ase.build import bulk

from mira_cli.answers.load import load_run
from mira_cli.driver.collect import collect
from mira_cli.driver.realign import realign
from mira_cli.errors import UsageError
from mira_cli.report.gathered import gather
from mira_cli.results.print_end_of_run import print_results
from mira_cli.results.read_tables import load_collected, read_table
from tests.report.runs import answers
from tests.unit.results.comparison_runs import made_run


@pytest.fixture
def run(tmp_path):
    frames = [bulk("Cu", a=3.5 + 0.1 * i) for i in range(3)]
    made = made_run(tmp_path, frames, {name: answers(3, seed) for seed, name in enumerate("ab")})
    collect(made)
    return made


@pytest.mark.parametrize("keep", [0, 0.5])
@pytest.mark.parametrize("name", ["comparison.parquet", "pairs.csv", "disagreement.csv"])
def test_damaged_table_is_told(run, name, keep) -> None:
    file = run.root / name
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * keep)])
    readers = [lambda: read_table(run, name.partition(".")[0])]
    if name == "comparison.parquet":
        readers += [lambda: print_results(run), lambda: gather(load_collected(run)), lambda: realign(run, "none")]
    for reader in readers:
        with pytest.raises(UsageError, match="is empty or damaged") as caught:
            reader()
        assert f"mira collect {run.root}" in caught.value.hint


def test_damaged_index_is_told(run) -> None:
    (run.structures / "index.parquet").write_bytes(b"")
    with pytest.raises(UsageError, match="is empty or damaged") as caught:
        load_run(run)
    assert "mira run" in caught.value.hint
