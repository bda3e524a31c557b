"""Reading input as `mira run` does, against another checkout; memory as a file of frames grows.

    .venv/bin/python benchmarks/reading.py --against ../other      # 20,000 CIFs, frames of extxyz, rows of a database
    .venv/bin/python benchmarks/reading.py --frames 100000,300000,1000000    # what `mira run --dry-run` takes

Both checkouts find, read, check and index the same files, portion by portion in turns, each in one process that stays,
with its children; seconds are those of the processor, which other programs disturb least. Half of the CIFs list all
atoms, as programs write them; half have a symbol or operations and the sites of an asymmetric unit, as databases do.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import ase
import gemmi
from ase.db import connect
from ase.io import write
from cif_reading import symmetric
from crystals import crystals
from planning import frames, timed
from results import write_section

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parents[1]
PORTION = 500  # files, or frames of a file
SMALL = 12  # atoms; with larger crystals alone there are 20 in one of them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--structures", type=int, default=20_000)
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--frames", help="sizes of files of extxyz, joined by commas")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mira-bench-"))
    try:
        if args.against:
            tell("reading", f"Reading {args.structures:,} structures", compared(args, folder))
        if args.frames:
            sizes = [int(size) for size in args.frames.split(",")]
            tell("reading-frames", "Memory of planning frames", remembered(sizes, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def tell(key: str, title: str, text: str) -> None:
    print(text)
    write_section(key, title, text)


def compared(args: argparse.Namespace, folder: Path) -> str:
    """The table of this checkout and another."""
    checkouts = {"before": args.against.resolve(), "now": HERE}
    readers = {name: start(checkout) for name, checkout in checkouts.items()}
    lines = [
        "| input | structures | atoms each | before, CPU s | now, CPU s | now/before | a CPU s, now | same identity |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    kinds = {
        "CIF, all atoms listed": listed,
        "CIF, symbol or operations": by_symmetry,
        "extxyz": as_frames,
        "ASE db": as_rows,
    }
    for kind, written in kinds.items():
        seconds: dict[str, float] = defaultdict(float)
        atoms = same = count = 0
        each = args.structures // 2 if kind.startswith("CIF") else args.structures
        for number in range(each // PORTION):
            portion = folder / "portion"
            portion.mkdir()
            written(portion, number)
            order = list(readers) if number % 2 else list(readers)[::-1]
            said = {name: ask(readers[name], portion) for name in order}
            for name, one in said.items():
                seconds[name] += one["cpu_s"]
            atoms += said["now"]["atoms"]
            count += len(said["now"]["hashes"])
            same += sum(a == b != "" for a, b in zip(*(one["hashes"] for one in said.values()), strict=True))
            shutil.rmtree(portion)
        before, now = seconds["before"], seconds["now"]
        lines.append(
            f"| {kind} | {count:,} | {atoms / count:.1f} | {before:.1f} | {now:.1f} | {now / before:.2f} "
            f"| {count / now:,.0f} | {same:,} |"
        )
    for reader in readers.values():
        reader.communicate()
    return (
        f"ASE {ase.__version__}, gemmi {gemmi.__version__}; before: {revision(checkouts['before'])}.\n\n"
        + "\n".join(lines)
    )


def revision(checkout: Path) -> str:
    command = ["git", "-C", checkout, "log", "-1", "--format=%h of %cs"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or checkout.name


def start(checkout: Path) -> subprocess.Popen[str]:
    """A process that reads with the code of a checkout what it is asked to."""
    step = Path(__file__).with_name("reading_step.py")
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    return subprocess.Popen(
        [sys.executable, step], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, cwd=checkout
    )


def ask(reader: subprocess.Popen[str], folder: Path) -> dict:
    assert reader.stdin is not None
    assert reader.stdout is not None
    print(folder, file=reader.stdin, flush=True)
    return json.loads(reader.stdout.readline())


def some(number: int) -> Iterator[ase.Atoms]:
    """Crystals of a portion."""
    found = (atoms for atoms in crystals(3 * PORTION, seed=number) if len(atoms) >= SMALL)
    return islice(found, PORTION)


def listed(folder: Path, number: int) -> None:
    for i, atoms in enumerate(some(number)):
        write(folder / f"{i:04d}.cif", atoms)


def by_symmetry(folder: Path, number: int) -> None:
    for i, text in enumerate(symmetric(PORTION, seed=number, atoms=20)):
        (folder / f"{i:04d}.cif").write_bytes(text)


def as_frames(folder: Path, number: int) -> None:
    write(folder / "x.extxyz", list(some(number)))


def as_rows(folder: Path, number: int) -> None:
    with connect(folder / "x.db") as database:
        for atoms in some(number):
            database.write(atoms)


def remembered(sizes: list[int], folder: Path) -> str:
    """The table of memory by count of frames."""
    lines = ["`mira run FILE -m emt --dry-run`, crystals of 2 to 16 atoms in one file of extxyz.", ""]
    lines += ["| frames | file, MB | CPU s | frames per CPU s | peak MB |", "|---:|---:|---:|---:|---:|"]
    file, before = folder / "frames.extxyz", 0
    run = ["run", str(file), "-m", "emt", "--dry-run", "-o", str(folder / "run")]
    for size in sorted(sizes):
        with file.open("a") as stream:
            stream.writelines(distinct(range(before, size)))
        _, cpu_s, peak_mb = timed([sys.executable, "-m", "mira_cli", *run], HERE)
        megabytes = file.stat().st_size / 1e6
        lines.append(f"| {size:,} | {megabytes:,.0f} | {cpu_s:.0f} | {size / cpu_s:,.0f} | {peak_mb:,.0f} |")
        before = size
    return "\n".join(lines)


def distinct(numbers: range) -> Iterator[str]:
    """Text of so many crystals, of which no two are the same: some, with digits of its own in each one's cell."""
    base = list(frames(10_000, seed=0))
    for number in numbers:
        count, head, rest = base[number % len(base)].split("\n", 2)
        yield f"{count}\n{head.replace(' ', f'{number // len(base):04d} ', 1)}\n{rest}"


if __name__ == "__main__":
    main()
