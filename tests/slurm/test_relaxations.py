"""Relaxations as jobs of a cluster: a job that is lost in the middle costs the structures in flight, and no digit."""

from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.io import read

from tests.runs import METALS, rows, statuses
from tests.unit.worker.tasks.relaxations import geometry, relaxed

from .sound import LJ, Fault, assert_nothing_twice, records_of, slow_call


def test_relaxations_come_to_the_same_minima_on_a_cluster_that_loses_a_job(
    cluster, mira, started, structures, tmp_path, profile
) -> None:
    run, call = tmp_path / "run", (*slow_call(tmp_path, structures, profile, seconds=0.2), "--task", "relax")
    fault = Fault(started, run, call, [])
    one = fault.begin()

    def lose() -> None:
        jobs = [job for job in cluster.jobs_of(run) if "faulty" in job["comment"] and job["state"] == "RUNNING"]
        cluster.ask("scancel", jobs[0]["id"])

    fault.strike(lose)
    code, err = one.end()
    assert code == 0, err
    assert statuses(run) == {name: ["ok"] * len(METALS) for name in ("faulty", "emt")}
    assert_nothing_twice(run)
    assert len(records_of(run, "faulty")) == len(METALS)
    for model, calculator in (("emt", EMT()), ("faulty", LennardJones(**LJ))):
        frames = {atoms.info["structure_id"]: atoms for atoms in read(run / "relaxed" / f"{model}.extxyz", ":")}
        for row in (row for row in rows(run) if row["model"] == model):
            start = bulk(row["structure_id"].partition(".")[0], cubic=True)
            alone = relaxed(start, calculator)
            assert abs(float(row["energy_ev"]) - alone.values["energy_ev"]) < 1e-9, row
            assert int(row["n_evaluations"]) == alone.values["n_evaluations"], row
            assert abs(frames[row["structure_id"]].cell - geometry(start, alone).cell).max() < 1e-9
    assert "nothing to compute, 7 kept" in mira(*call).stderr
