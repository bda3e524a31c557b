"""A part of a data set: each n-th frame, some by chance, and what that does to a run that goes on."""

import pytest
from ase.build import bulk
from ase.io import write

from mira_cli.structures.choice import ALL, FrameChoice
from mira_cli.structures.find import find_sources
from mira_cli.structures.packs import load_structures, open_index


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder / "a.extxyz", [bulk("Cu", a=3.5 + 0.01 * i) for i in range(20)])
    write(folder / "b.extxyz", [bulk("Ag", a=4.0 + 0.01 * i) for i in range(5)])
    (folder / "broken.cif").write_text("data_x\n")
    return folder


def ids(index) -> list[str]:
    return index.column("id")


def test_a_stride_takes_frames_of_each_file_and_hides_no_failure(tmp_path, data) -> None:
    index = load_structures(tmp_path / "packs", find_sources([str(data)]).sources, choice=FrameChoice(stride=4))
    assert ids(index) == [f"a.extxyz#{i}" for i in (0, 4, 8, 12, 16)] + ["b.extxyz#0", "b.extxyz#4", "broken.cif"]
    assert index.read == 26
    assert ids(open_index(tmp_path / "packs")) == ids(index)


def test_a_sample_is_the_same_for_one_seed(tmp_path, data) -> None:
    sources = find_sources([str(data)]).sources

    def chosen(**choice):
        return ids(load_structures(tmp_path / "packs", sources, choice=FrameChoice(**choice)))

    first = chosen(sample=6, seed=1)
    assert len(first) == 7
    assert "broken.cif" in first
    assert first == chosen(sample=6, seed=1)
    assert first != chosen(sample=6, seed=2)
    assert len(chosen(sample=1000)) == 26
    within = chosen(sample=3, stride=5)
    assert len(within) == 4
    assert set(within) <= set(chosen(stride=5))


def test_another_choice_reads_nothing_again_and_is_another_input(tmp_path, data, monkeypatch) -> None:
    sources = find_sources([str(data)]).sources
    whole = load_structures(tmp_path / "packs", sources)
    monkeypatch.setattr("mira_cli.structures.packs.read_blocks", None)  # would fail
    part = load_structures(tmp_path / "packs", sources, choice=FrameChoice(stride=2))
    assert part.sources != whole.sources
    assert part.sources != load_structures(tmp_path / "packs", sources, choice=FrameChoice(stride=4)).sources
    assert load_structures(tmp_path / "packs", sources, choice=ALL).sources == whole.sources


def test_a_run_of_a_part_goes_on_with_the_whole(tmp_path, data, mira) -> None:
    (data / "broken.cif").unlink()
    first = mira("run", data, "-m", "emt", "-o", tmp_path / "run", "--stride", 5)
    assert "5 of 25 structures chosen" in first.stderr
    assert len((tmp_path / "run" / "comparison.csv").read_text().splitlines()) == 6
    whole = mira("run", data, "-m", "emt", "-o", tmp_path / "run")
    assert "20 structures to compute" in whole.stderr
    assert ", 5 kept" in whole.stderr
    assert len((tmp_path / "run" / "comparison.csv").read_text().splitlines()) == 26


def test_inspect_and_dry_runs_choose_too(tmp_path, data, mira) -> None:
    assert "8 structures, 1 of them unusable" in mira("inspect", data, "--stride", 4, code=1).stdout
    done = mira("run", data, "-m", "emt", "-o", tmp_path / "run", "--sample", 3, "-n")
    assert "3 structures to compute" in done.stderr
    assert not (tmp_path / "run").exists()
