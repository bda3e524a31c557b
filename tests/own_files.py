"""Families in files for tests: written, locked by hand, and with this Python in place of an environment of theirs."""

import sys
from pathlib import Path

from mira_cli.files import make_folder, share_cached
from mira_cli.images import recipe, record, venv
from mira_cli.own_files.kept import keep
from mira_cli.own_files.locked import WHEELS_ONLY, lock_head, lock_path
from mira_cli.own_files.read import OwnFile, read_own_file
from mira_cli.own_files.recipe_sources import recipe_sources

REPOSITORY_WORKFLOW = Path(__file__).resolve().parents[1] / "workflow"
MIRA = '"elements": "H-Rn", "pbc": "none|full", "cutoff_ang": 6.0, "stress": True'
# a potential that is right: Lennard-Jones of ASE, for all elements
LJ = """
    from ase.calculators.lj import LennardJones

    return LennardJones(sigma=2.2, epsilon=0.1, rc=6.0, smooth=True)
"""


def source(mira: str = MIRA, body: str = LJ, top: str = "", dependencies: str = '"ase>=3.26"') -> str:
    """Text of a file."""
    block = f"# /// script\n# dependencies = [{dependencies}]\n# ///\n"
    return f"{block}{top}\nMIRA = {{{mira}}}\n\n\ndef calculator(device, dtype, **options):{body}"


def write(folder: Path, text: str | None = None, name: str = "mine.py") -> Path:
    """A file with its lock, made by hand: the pins are right, their hashes are not."""
    path = folder / name
    path.write_text(source() if text is None else text)
    lock(read_own_file(path))
    return path


def lock(own: OwnFile) -> Path:
    ground = (recipe_sources() / "requirements.in").read_text().splitlines()
    names = {*(line.split("=")[0].split(">")[0] for line in ground if not line.startswith("#")), own.package}
    pins = "".join(f"{name}==1.0 \\\n    --hash=sha256:{'0' * 64}\n" for name in sorted(names))
    lock_path(own).write_text(f"{lock_head(own)}{WHEELS_ONLY}\n\n{pins}")
    return lock_path(own)


def stand_in(path: Path) -> recipe.Image:
    """Let this Python pass for the environment of a file."""
    (image,) = recipe.find_images([keep(read_own_file(path)).image])
    place = venv.venv_folder(image)
    make_folder(place.parent)
    (place / "bin").mkdir(parents=True, exist_ok=True)
    python = place / "bin" / "python"
    python.unlink(missing_ok=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    done = record.BuildRecord(
        image=image.name, recipe=recipe.recipe_hash(image), runtime="venv", built=record.now(), seconds=0, bytes=1,
        versions={"python": "3", "ase": "1.0"},
    )  # fmt: skip
    record.write_build_record(place / venv.MARKER, done)
    share_cached(place)
    return image
