"""Bad input: one sentence, a hint, the documented exit code, and nothing lost."""

import os
import shutil
import subprocess
import sys

import pytest
from ase.build import bulk, molecule
from ase.io import write

from tests.runs import REPOSITORY, faulty, records, rows, statuses


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--models", "sevenet-0"], 2, "unknown model `sevenet-0`"),
        (["--models", "sevennet-mf-0"], 2, "no default"),
        (["--models", ","], 2, "no model was named"),
        ([], 2, "no model was named"),
        (["--models", "emt", "--runtime", "docker"], 2, "runtime"),
        (["--models", "emt", "--task", "knead"], 2, "task"),
        (["--models", "emt", "--profile", "slrm"], 2, "no profile `slrm`"),
        (["--models", "emt", "--set", "colour=red"], 2, "unknown setting `colour`"),
        (["--models", "emt", "--set", "options.emt.colour=red"], 2, "no option `colour`"),
        (["--models", "emt", "--set", "dtype=float32"], 2, "does not run in float32"),
        (["--models", "emt", "--colour"], 2, "No such option"),
        (["--models", "emt", "--models-file", "gone.yaml"], 3, "gone.yaml"),
        (["--models", "emt", "-o", "/proc/run"], 4, "/proc/run"),
    ],
)
def test_bad_request_is_refused_at_once(mira, structures, tmp_path, arguments, code, sentence) -> None:
    done = mira("run", structures, *arguments, code=code, cwd=tmp_path)
    assert sentence in done.stderr
    assert not (tmp_path / "runs").exists()
    assert "hint:" in done.stderr or "Try" in done.stderr


def test_folder_without_structures_is_refused(mira, tmp_path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "notes.md").write_text("x")
    assert "no structure to compute" in mira("run", tmp_path / "none", "-m", "emt", "-o", tmp_path / "r", code=3).stderr


def test_bad_structures_stay_as_rows_and_the_others_go_on(mira, structures, tmp_path) -> None:
    (structures / "empty.cif").touch()
    (structures / "noise.dat").write_bytes(os.urandom(3000))
    write(structures / "flat.traj", bulk("Cu").copy())
    flat = bulk("Cu")
    flat.set_cell([[1, 0, 0], [1, 0, 0], [0, 0, 1]])
    write(structures / "flat.traj", flat)
    write(structures / "NaCl.cif", bulk("NaCl", "rocksalt", a=5.64))
    run = tmp_path / "run"
    mira("run", structures, "-m", "emt", "-o", run, code=1)
    found = {row["structure_id"]: row["status"] for row in rows(run)}
    assert [found.pop(name) for name in ("empty.cif", "noise.dat", "flat.traj#0")] == ["invalid_input"] * 3
    assert found.pop("NaCl.cif#0") == "unsupported_element"
    assert set(found.values()) == {"ok"}
    refused = mira("run", structures, "-m", "emt", "-o", tmp_path / "strict", "--strict", code=3)
    assert "3 of 11 structures cannot be used" in refused.stderr


def test_odd_names_work(mira, tmp_path) -> None:
    folder = tmp_path / "a b; $(touch x) 'ü'"
    folder.mkdir()
    write(folder / "-Cu, 1.cif", bulk("Cu"))
    shutil.copy(folder / "-Cu, 1.cif", folder / "x@0.cif")
    run = folder / "-ru n"
    mira("run", "-m", "emt", "-o", run, "--", "-Cu, 1.cif", "x@0.cif", cwd=folder)
    assert [row["structure_id"] for row in rows(run)] == ["-Cu, 1.cif#0", "x@0.cif#0"]
    assert statuses(run) == {"emt": ["ok", "ok"]}
    assert not (folder / "x").exists()


def test_directory_of_something_else_is_left_alone(mira, structures, tmp_path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "main.tex").write_text("x")
    assert "not a MIRA run" in mira("run", structures, "-m", "emt", "-o", tmp_path / "thesis", code=2).stderr
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["main.tex"]


@pytest.mark.parametrize("name", ["00000.npz", "index.parquet", "sources.json"])
def test_damaged_intermediate_file_is_made_anew(mira, structures, tmp_path, name) -> None:
    run = tmp_path / "run"
    mira("run", structures, "-m", "emt", "-o", run)
    file = run / "work" / "structures" / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    write(structures / "water.xyz", molecule("H2O"))
    mira("run", structures, "-m", "emt", "-o", run)
    assert statuses(run) == {"emt": ["ok"] * 8}
    assert len(records(run)) == 8


def test_full_disk_is_one_sentence_and_loses_nothing(structures, tmp_path) -> None:
    """On a real, small file system that fills up while the run goes on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    models_file = faulty(tmp_path / "m.yaml", mode="sleep", seconds=0.5)
    call = f"'{sys.executable}' -m mira_cli -q run '{structures}' -m faulty --models-file '{models_file}'"
    call += f" --set batch_atoms=4 --set chunk_atoms=1000 -o '{disk}/run'"
    script = f"""
        mount -t tmpfs -o size=60m none '{disk}' || exit 99
        ( while [ $(cat {disk}/run/work/records/*/*/*/records.jsonl 2>/dev/null | wc -l) -lt 3 ]; do sleep 0.1; done
          head -c 80m /dev/zero > '{disk}/ballast' ) 2>/dev/null &
        {call} > '{tmp_path}/first.out' 2> '{tmp_path}/first'; echo "first $?"
        wait
        rm '{disk}/ballast'
        {call} > '{tmp_path}/second.out' 2> '{tmp_path}/second'; echo "second $?"
        cat '{disk}'/run/work/records/*/*/*/records.jsonl | grep -c '"kind": "record"'
        cat '{disk}'/run/work/records/*/*/*/records.jsonl | grep -o '"structure": "[0-9a-f]*"' | sort -u | wc -l
    """
    command = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [*command, "bash", "-c", script], capture_output=True, text=True, check=False, env=environment
    )
    first = (tmp_path / "first").read_text()
    if done.returncode == 99:
        pytest.fail("cannot mount a small file system here")
    words = done.stdout.split()
    assert words[0] == "first"
    assert words[1] in {"1", "4", "5"}, first  # whoever meets the full disk first: worker, `mira` or Snakemake
    assert words[2:] == ["second", "0", "7", "7"], (tmp_path / "second").read_text()
    assert "Traceback" not in first
    assert "space" in first.lower(), first
