"""A report goes to colleagues: it says what was computed with what, and not where."""

import platform

import pytest

from mira_cli.report.shareable import shareable, system, without_folders

KEPT = (
    "https://doi.org/10.1/abc",
    "elements/C.cif#0",
    "eV/Å and n/a, PBE/LDA",
    "Linux-6.1-x86_64-with-glibc2.36",
    "…/x.model",
    "a ~ b / c",
    "-o",
)
CUT = {
    "/home/jo doe/the structures": "…/the structures",
    "~/x/y": "…/y",
    "~jo/x y/z/": "…/z",
    "--output=/scratch/x/y": "--output=…/y",
    "mace:/home/jo doe/m.model?head=a": "mace:…/m.model?head=a",
    "mace:/a/b.model,sevennet-0": "mace:…/b.model,sevennet-0",
    "cannot read `/home/jo doe/x.xyz`: no": "cannot read `…/x.xyz`: no",
    "OSError: [Errno 2] No such file: '/scratch/u/x y/z.pt'": "OSError: [Errno 2] No such file: '…/z.pt'",
    "/home/x/y.model: permission denied in /data/a/b": "…/y.model: permission denied in …/b",
    "file:///home/x/y": "…/y",
    "by (/usr/bin/python3)": "by (…/python3)",
}


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_path_stays(text) -> None:
    assert without_folders(text) == text


@pytest.mark.parametrize("text", CUT)
def test_paths_are_cut_to_their_names(text) -> None:
    assert without_folders(text) == CUT[text]
    assert without_folders(CUT[text]) == CUT[text]


def test_private_entries_are_left_out_however_deep() -> None:
    attempt = {"host": "n1", "pid": 1, "device_name": "CPU", "image": {"sif": "/cache/x.sif"}, "gpu_uuid": "GPU-1"}
    assert shareable({"cwd": "/a", "models": [{"attempts": [attempt], "n": 3, "x": None}]}) == {
        "models": [{"attempts": [{"device_name": "CPU", "image": {"sif": "…/x.sif"}}], "n": 3, "x": None}]
    }


def test_the_system_is_told_without_its_kernels_name() -> None:
    told = system(platform.platform())
    assert platform.release() not in told
    assert told.startswith(platform.system())
