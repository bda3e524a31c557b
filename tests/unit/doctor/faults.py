"""Small programs and records in place of real ones."""

from pathlib import Path

from mira_cli.doctor.finding import Finding
from mira_cli.images import apptainer, recipe, record


def program(folder: Path, name: str, script: str) -> None:
    """A small program in place of a real one."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def look(check) -> dict[str, Finding]:
    """What a check says, by name."""
    return {finding.name: finding for finding in check()}


def build_record(image: str, digest: str, n_bytes: int, kind: str, cuda: str) -> record.BuildRecord:
    return record.BuildRecord(
        image=image, recipe=digest, runtime=kind, built=record.now(), seconds=1, bytes=n_bytes, versions={"cuda": cuda}
    )


def pretend_sif(image, *, cuda: str = "13.0", n_bytes: int = 4) -> Path:
    sif = apptainer.sif_path(image)
    sif.parent.mkdir(exist_ok=True)
    sif.write_bytes(b"sif!")
    record.write_build_record(
        apptainer.sidecar(sif), build_record(image.name, recipe.recipe_hash(image), n_bytes, "apptainer", cuda)
    )
    return sif
