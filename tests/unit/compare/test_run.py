"""From a run's records and packs to the same statistics as from the numbers that are in them."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from mira_cli.answers.arrays import answers_of_run, sums_of_run
from mira_cli.answers.blocks import answer_blocks
from mira_cli.answers.load import load_run
from mira_cli.catalogue.lookup import built_in
from mira_cli.compare.statistics import conclude
from mira_cli.driver.collect import collect
from mira_cli.errors import UsageError
from mira_cli.files import write_json
from mira_cli.run.directory import open_run
from mira_cli.structures.find import find_sources
from mira_cli.structures.packs import load_structures

OFFSET = {"emt": 0.0, "sevennet_0": 100.0}  # eV an atom
SLOPE = {"emt": 1.0, "sevennet_0": 0.5}


def frames():
    """Three frames of copper with references, of which the last has no forces, one without, and a molecule."""
    found = []
    for seed, energy, forces in ((1, True, True), (2, True, False), (3, False, False), (1, True, True)):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.1, seed=seed)
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy()} if energy else {}
        results |= {"forces": atoms.get_forces()} if forces else {}
        atoms.calc = SinglePointCalculator(atoms, **results) if results else None
        found.append(atoms)
    return [*found, molecule("H2O")]


@pytest.fixture
def run(tmp_path):
    """A collected run of two models over two packs; one model failed on the molecule; one file is empty."""
    folder = tmp_path / "in"
    folder.mkdir()
    run = open_run(tmp_path / "run")
    write(folder / "c.extxyz", frames()[3:])
    load_structures(run.structures, find_sources([str(folder)]).sources)
    (folder / "a empty.cif").touch()
    write(folder / "b ü.extxyz", frames()[:3])
    index = load_structures(run.structures, find_sources([str(folder)]).sources)
    hashes = index.column("hash")
    for slug, offset in OFFSET.items():
        job = run.records(slug, "key") / "job"
        job.mkdir(parents=True)
        forces, lines, start = [], ['{"kind": "attempt"}'], 0
        for digest, atoms in dict(zip(hashes[1:], frames(), strict=True)).items():
            atoms.calc = EMT()
            ok = slug == "emt" or len(atoms) == 4
            n = len(atoms)
            record = {"kind": "record", "structure": digest, "status": "ok" if ok else "oom", "error": None}
            record |= {"stress_ev_per_ang3": None, "n_atoms": n, "wall_s": 0.1, "batch_size": 1}
            record |= {"energy_ev": atoms.get_potential_energy() + n * offset if ok else None}
            record |= {"forces_row": start if ok else None}
            lines.append(json.dumps(record))
            if ok:
                forces.append(SLOPE[slug] * atoms.get_forces())
                start += n
        (job / "records.jsonl").write_text("".join(f"{line}\n" for line in lines))
        np.concatenate(forces).tofile(job / "forces.f64")
    rows = {name: row.model_dump(mode="json", exclude_defaults=True) for name, row in built_in().models.items()}
    models = [
        {
            "name": name,
            "slug": name.replace("-", "_"),
            "key": "key",
            "image": "i",
            "package": "p==1",
            "dtype": "float32",
        }
        | {"row": rows[name]}
        for name in ("emt", "sevennet-0")
    ]
    write_json(run.wanted, {"structures": index.sources, "models": models})
    collect(run)
    return run


def test_statistics_of_a_run(run) -> None:
    loaded = load_run(run)
    index, models = loaded.index, loaded.models
    found = answers_of_run(pq.ParquetFile(run.root / "comparison.parquet").read(), index, models)
    assert found.structures.to_pylist() == index.column("id")
    (forces,) = (batch.forces for batch in answer_blocks(index, models))
    assert forces.places.tolist() == [1, 2, 3, 4, 5]
    assert forces.valid[-1].tolist() == [True, False, False, True, False]
    assert len({row["pack"] for row in index.table.to_pylist()}) > 1
    result = conclude(found, sums_of_run(index, models))

    (pair,) = result.pairs.to_pylist()
    assert (pair["model_a"], pair["model_b"], pair["theory"]) == ("emt", "sevennet-0", "different")
    assert (pair["n_input"], pair["n_ok_a"], pair["n_ok_b"], pair["n_both"], pair["n_force_atoms"]) == (6, 5, 4, 4, 16)
    assert pair["softening_b_on_a"] == pytest.approx(0.5)
    assert (pair["energy_alignment_rows"], pair["energy_alignment_dof"]) == (3, 2)  # one frame is there twice
    assert pair["energy_aligned_rmse_ev_per_atom"] == pytest.approx(0, abs=1e-12)
    assert (pair["dispersion_b"], pair["conservative_b"]) == ("none", True)

    everything = {row["model"]: row for row in result.reference.to_pylist() if row["subset"] == "all"}
    assert everything["emt"]["force_mae_ev_per_ang"] == pytest.approx(0, abs=1e-7)
    assert everything["sevennet-0"]["softening"] == pytest.approx(0.5, abs=1e-6)
    assert everything["sevennet-0"]["energy_raw_bias_ev_per_atom"] == pytest.approx(100)
    assert (everything["emt"]["n_energies"], everything["emt"]["n_force_structures"]) == (3, 2)

    rows = {row["structure_id"]: row for row in result.disagreement.to_pylist() if row["committee"] == "all"}
    assert set(rows) == set(index.column("id"))
    assert rows["c.extxyz#1"]["n_members"] == 1
    assert rows["a empty.cif"]["rank"] is None


def test_a_table_of_other_structures_is_refused(run) -> None:
    loaded = load_run(run)
    index, models = loaded.index, loaded.models
    table = pq.ParquetFile(run.root / "comparison.parquet").read()
    with pytest.raises(UsageError, match="older than the run's plan"):
        answers_of_run(table.slice(2), index, models)
    with pytest.raises(UsageError, match="older than the run's plan"):
        answers_of_run(table, index, models[::-1])
