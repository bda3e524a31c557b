"""What must hold after any fault: nothing lost, nothing twice, nothing wrong. And how long MIRA took to go on."""

import csv
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from tests.runs import METALS, Started, faulty, records, rows, statuses

LJ = {"epsilon": 0.1, "sigma": 2.2, "rc": 6.0}  # what the model `faulty` computes when it does not fail


def energies_ev() -> dict[tuple[str, str], float]:
    """What each model must answer for each structure, by ASE itself."""
    found = {}
    for metal in METALS:
        for model, calculator in (("emt", EMT()), ("faulty", LennardJones(**LJ))):
            atoms = bulk(metal, cubic=True)
            atoms.calc = calculator
            found[model, metal] = atoms.get_potential_energy()
    return found


def assert_sound(run: Path, models: str = "faulty,emt") -> None:
    """Every structure has one record a model, and the right number in the table."""
    names = models.split(",")
    assert statuses(run) == {name: ["ok"] * len(METALS) for name in names}
    assert_nothing_twice(run)
    assert len(records(run)) == len(METALS) * len(names)
    wanted = energies_ev()
    for row in rows(run):
        metal = row["structure_id"].partition(".")[0]
        assert abs(float(row["energy_ev"]) - wanted[row["model"], metal]) < 1e-9, row


def assert_nothing_twice(run: Path) -> None:
    for model in (run / "work" / "records").iterdir():
        lines = Counter(r["structure"] for r in records_of(run, model.name))
        assert not [structure for structure, count in lines.items() if count > 1], model.name


def records_of(run: Path, slug: str) -> list[dict]:
    """Record lines of one model."""
    import json

    files = run.glob(f"work/records/{slug}/*/*/records.jsonl")
    lines = [line for file in files for line in file.read_text().splitlines() if line.endswith("}")]
    return [record for line in lines if (record := json.loads(line))["kind"] == "record"]


@dataclass
class Fault:
    """A run of a slow model and a fast one, and what is done to it."""

    started: Callable[..., Started]
    run: Path
    call: tuple[object, ...]
    notes: list[tuple[str, object]]  # of the test, for the table
    seconds: float = 0.0
    one: Started = field(init=False)

    def begin(self, *more: object, records: int = 1) -> Started:
        """Start the run and wait for its first records of the slow model."""
        self.one = self.started(*self.call, *more)
        self.one.wait_for(lambda: len(records_of(self.run, "faulty")) >= records, "records")
        return self.one

    def strike(self, fault: Callable[[], object], *, seconds: float = 300) -> None:
        """Let something happen, and wait until the slow model has made a new record since, or has made them all."""
        began = time.monotonic()
        fault()
        before = len(records_of(self.run, "faulty"))
        while before < len(METALS) and len(records_of(self.run, "faulty")) <= before:
            assert time.monotonic() - began < seconds, "the run does not recover"
            assert self.one.process.poll() is None, self.one.said()
            time.sleep(0.05)
        self.seconds = time.monotonic() - began

    def tell(self, fault: str, said: str, code: int) -> None:
        """Add a line to the table that the suite prints at its end."""
        doubles = len(records(self.run)) - len({(r["structure"], r["energy_ev"]) for r in records(self.run)})
        seconds = f"{self.seconds:.0f}" if self.seconds else "–"
        version = subprocess.run(["squeue", "--version"], capture_output=True, text=True).stdout.split()[-1]
        self.notes.append(("fault", [version, fault, said, seconds, str(code), str(doubles)]))


def slow_call(folder: Path, structures: Path, profile: Path, *, seconds: float = 2.0) -> tuple[object, ...]:
    """A call whose model `faulty` takes some time for each structure, one structure a batch, in two jobs."""
    models_file = faulty(folder / "models.yaml", mode="sleep", seconds=seconds)
    settings = ("--set", "batch_atoms=4", "--set", "chunk_atoms=16")
    where = ("-o", folder / "run", "--profile", profile)
    return ("run", structures, "--models", "faulty,emt", "--models-file", models_file, *where, *settings)


def said(run: Path) -> str:
    """What Snakemake's log says of SLURM."""
    return (run / "logs" / "snakemake.log").read_text()


def table_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
