"""The check of a model: a sound potential passes, and each mistake that adapters have made is caught.

A wrong potential differs from the sound one by one line. `calculator()` stays sound, so most are caught twice.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from ase import Atoms

from mira_cli.verdicts.judge import MEASURES, judge_model
from worker import families
from worker import sample_structures as structures
from worker.check import measures, recorded_statuses, session
from worker.errors import WorkerError
from worker.families.base import Result
from worker.job import Checkpoint, Job, Model
from worker.prepare import Prepared, prepare_structure

KNOWN = frozenset({28, 29, 79})
MODEL = Model(
    "lj",
    "ase_builtin",
    Checkpoint("lj", None),
    {"sigma": 2.3, "epsilon": 0.4, "rc": 5.0, "smooth": True},
    "float64",
    KNOWN,
    stress=True,
)
SOUND = families.find_family("ase_builtin").load(MODEL, "cpu", "float64")
ANSWERS: dict[bytes, Result] = {}


def sound(atoms: Atoms) -> Result:
    """Answer of the sound potential; remembered, since all wrong ones ask the same."""
    key = b"".join(a.tobytes() for a in (atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc))
    if key not in ANSWERS:
        (ANSWERS[key],) = SOUND.evaluate([atoms])
    return ANSWERS[key]


@dataclass
class Potential:
    """The sound potential, and what may be wrong with it."""

    answer: object = staticmethod(lambda result, atoms: result)
    batch: object = staticmethod(lambda results: results)
    conservative: bool = True
    takes_charge: bool = False
    gives_stress: bool = True
    dtype: str = "float64"
    elements: frozenset[int] | None = KNOWN
    cutoff_ang: float = 5.0
    checkpoint_sha256: str | None = None
    own: object = staticmethod(SOUND.calculator)

    def batch_atoms(self, device: str) -> int:
        return 64

    def calculator(self):
        return self.own()

    def evaluate(self, batch):
        return self.batch([self.answer(sound(atoms), atoms) for atoms in batch])


def measured(make, model: Model = MODEL) -> dict:
    """Findings about a potential; `make` loads one, and so does the check."""
    potential = make()
    return {"facts": session.checkpoint_facts(potential), **session.measure(model, potential, make)}


def verdicts(potential, family: str = "ase_builtin", model: Model = MODEL) -> dict:
    """Verdicts on a potential, or on what a function loads where it remembers something."""
    findings = measured(potential if callable(potential) else lambda: potential, model)
    found = {verdict.measure: verdict for verdict in judge_model(findings, family)}
    assert tuple(found) == MEASURES
    return found


def statuses(potential, **more) -> dict[str, str]:
    return {name: verdict.status for name, verdict in verdicts(potential, **more).items()}


def test_a_sound_potential_passes():
    found = verdicts(Potential())
    assert {name for name, verdict in found.items() if verdict.status != "ok"} == {"sticky"}
    assert (found["sticky"].status, found["sticky"].reason) == ("skipped", "the model takes no charge")
    assert set(statuses(Potential(takes_charge=True)).values()) == {"ok"}


def single(result: Result, atoms: Atoms) -> Result:
    return Result(
        float(np.float32(result.energy_ev)),
        result.forces_ev_per_ang.astype(np.float32),
        result.stress_ev_per_ang3.astype(np.float32),
    )


def test_single_precision_passes():
    assert set(statuses(Potential(single, dtype="float32", takes_charge=True)).values()) == {"ok"}


def stress_times(factor):
    return lambda r, atoms: replace(r, stress_ev_per_ang3=factor * r.stress_ev_per_ang3)


def swapped_shear(r: Result, atoms: Atoms) -> Result:
    return replace(r, stress_ev_per_ang3=r.stress_ev_per_ang3[[0, 1, 2, 5, 4, 3]])


def one_percent(r: Result, atoms: Atoms) -> Result:
    return replace(r, forces_ev_per_ang=1.01 * r.forces_ev_per_ang)


def energy_per_atom(r: Result, atoms: Atoms) -> Result:
    return replace(r, energy_ev=r.energy_ev / len(atoms))


def forces_by_element(r: Result, atoms: Atoms) -> Result:
    return replace(r, forces_ev_per_ang=r.forces_ev_per_ang[np.argsort(atoms.numbers, kind="stable")])


def forces_of_a_place(r: Result, atoms: Atoms) -> Result:
    return replace(r, forces_ev_per_ang=r.forces_ev_per_ang + 1e-3 * atoms.positions)


def forces_of_an_axis(r: Result, atoms: Atoms) -> Result:
    return replace(r, forces_ev_per_ang=r.forces_ev_per_ang * [1.0, 1.0, 1.001])


def remembering(first: bool = False):
    """Forces of the structure before, or of the first of all, with as many atoms: results that are never emptied."""
    before = {}

    def answer(r: Result, atoms: Atoms) -> Result:
        old = before.get(len(atoms), r.forces_ev_per_ang)
        before[len(atoms)] = old if first else r.forces_ev_per_ang
        return replace(r, forces_ev_per_ang=old)

    return answer


def remembering_batches():
    """Forces of the batch before, where it was as large."""
    before = {}

    def batch(results: list[Result]) -> list[Result]:
        shape = tuple(len(r.forces_ev_per_ang) for r in results)
        old, before[shape] = before.get(shape, results), results
        return [replace(r, forces_ev_per_ang=o.forces_ev_per_ang) for r, o in zip(results, old, strict=True)]

    return batch


class KeepingForces(type(SOUND.calculator())):
    """A calculator of its own kind, whose forces stay those of the structure before if the energy was asked first."""

    before = None

    def calculate(self, atoms, properties, changes):
        super().calculate(atoms, properties, changes)
        old, self.before = self.before, self.results["forces"]
        if properties == ["energy"] and old is not None and len(old) == len(atoms):
            self.results["forces"] = old


def keeping_forces() -> KeepingForces:
    return KeepingForces(**SOUND.calculator().parameters)


def keeping_a_charge(default: bool = False):
    """The largest charge that was ever asked for stays, or the last one where nothing is said."""
    charges = [0]

    def answer(r: Result, atoms: Atoms) -> Result:
        charges.append(atoms.info.get("charge", charges[-1] if default else 0))
        return replace(r, energy_ev=r.energy_ev - (charges[-1] if default else max(charges)))

    return answer


MISTAKES = {
    "results of the structure before": (lambda: Potential(remembering()), {"stale"}),
    "results of the first structure": (lambda: Potential(remembering(first=True)), {"stale"}),
    "results of the batch before": (lambda: Potential(batch=remembering_batches()), {"stale"}),
    "results of the structure before, from the calculator": (lambda: Potential(own=keeping_forces), {"stale"}),
    "the largest charge so far": (lambda: Potential(keeping_a_charge(), takes_charge=True), {"sticky"}),
    "the last charge, if none is said": (
        lambda: Potential(keeping_a_charge(default=True), takes_charge=True),
        {"sticky"},
    ),
    "stress with the sign of a pressure": (Potential(stress_times(-1.0)), {"stress", "calculator"}),
    "stress in GPa": (Potential(stress_times(160.2)), {"stress", "calculator"}),
    "xy for yz": (Potential(swapped_shear), {"stress", "rotation", "calculator"}),
    "forces 1 % off": (Potential(one_percent), {"forces", "calculator"}),
    "energy per atom": (Potential(energy_per_atom), {"forces", "stress", "supercell", "calculator"}),
    "a batch in the wrong order": (Potential(batch=lambda rs: rs[::-1]), {"batch"}),
    "energies of a batch summed": (
        Potential(batch=lambda rs: [replace(r, energy_ev=sum(s.energy_ev for s in rs)) for r in rs]),
        {"batch"},
    ),
    "forces sorted by element": (Potential(forces_by_element), {"forces", "permutation", "calculator"}),
    "forces of a place": (Potential(forces_of_a_place), {"translation", "supercell", "calculator"}),
    "a cutoff that is said too short": (lambda: Potential(cutoff_ang=2.5), {"box"}),
    "forces of an axis": (Potential(forces_of_an_axis), {"rotation", "calculator"}),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_caught(mistake):
    potential, where = MISTAKES[mistake]
    found = statuses(potential)
    assert {name for name, status in found.items() if status == "failed"} >= where


def test_single_precision_hides_no_mistake():
    for mistake in (one_percent, swapped_shear):
        found = statuses(Potential(lambda r, a, m=mistake: single(m(r, a), a), dtype="float32"))
        assert found["forces" if mistake is one_percent else "stress"] == "failed"


def test_stress_of_the_wrong_sign_in_left_handed_cells(monkeypatch):
    """Preparation keeps such cells from every model; the check would see it if it did not."""

    def flipped(r: Result, atoms: Atoms) -> Result:
        return stress_times(np.sign(np.linalg.det(atoms.cell.array)))(r, atoms)

    assert statuses(Potential(flipped))["cell"] == "ok"
    monkeypatch.setattr(measures, "prepare_structure", lambda atoms, cutoff: Prepared(atoms, bool(atoms.pbc.all())))
    crystal = structures.structures_to_check(KNOWN)["elemental"]
    monkeypatch.setattr(structures, "structures_to_check", lambda *_, **__: {"elemental": crystal})
    cell = verdicts(Potential(flipped))["cell"]
    assert (cell.status, cell.case) == ("failed", "elemental, left-handed")


@pytest.mark.parametrize("name", ["positions", "cell", "pbc", "info"])
def test_a_model_that_changes_its_input(name):
    def meddle(r: Result, atoms: Atoms) -> Result:
        if name == "info":
            atoms.info["charge"] = 0
        elif name == "pbc":
            atoms.pbc = False
        else:
            getattr(atoms, name)[:] += 1e-9
        return r

    contract = verdicts(Potential(meddle))["contract"]
    assert contract.status == "failed"
    assert contract.reason == f"the model changes its input: {name}"


def test_forces_that_are_no_gradient():
    def curl(r: Result, atoms: Atoms) -> Result:
        return replace(r, forces_ev_per_ang=r.forces_ev_per_ang * 1.2)

    assert statuses(Potential(curl))["forces"] == "failed"
    direct = verdicts(Potential(curl, conservative=False))
    assert direct["forces"].status == "direct"
    assert direct["forces"].deviation > direct["forces"].allowed


def test_networks_that_learn_rotations_are_not_blamed_for_them():
    assert statuses(Potential(forces_of_an_axis), family="orb")["rotation"] == "approximate"
    assert statuses(Potential(), family="orb")["rotation"] == "ok"


def test_a_wider_box_moves_no_atom():
    """Where atoms are is for other measures; the box alone is another."""
    asked = []

    def answer(r: Result, atoms: Atoms) -> Result:
        asked.append(atoms.copy())
        return r

    wire = structures.structures_to_check(KNOWN)["compound"]
    wire.pbc = (False, True, False)
    rows = session.symmetries.box(Potential(answer), "wire", wire)
    assert max(row.deviation for row in rows) < 1e-12
    near, far = asked
    assert np.array_equal(near.positions, far.positions)
    assert sorted((far.cell.lengths() - near.cell.lengths()).round(9)) == [0.0, 10.0, 10.0]
    assert session.symmetries.box(Potential(), "crystal", structures.structures_to_check(KNOWN)["compound"]) == []


def test_no_stress():
    quiet = Potential(lambda r, atoms: replace(r, stress_ev_per_ang3=None), gives_stress=False)
    found = verdicts(quiet, model=replace(MODEL, stress=None))
    assert found["stress"].status == "skipped"
    assert found["stress"].reason == "the model gives no stress"
    assert {v.status for name, v in found.items() if name not in {"stress", "sticky"}} == {"ok"}
    assert "unsupported_property instead of ok" in verdicts(quiet)["contract"].reason


def test_energies_too_large_for_single_precision():
    def absolute(r: Result, atoms: Atoms) -> Result:
        return single(replace(r, energy_ev=r.energy_ev - 1e5 * len(atoms)), atoms)

    found = verdicts(Potential(absolute, dtype="float32"))
    assert found["forces"].status == found["stress"].status == "skipped"
    assert "too small beside the last digits of" in found["forces"].reason


def test_what_raises_or_is_no_number_is_a_failure_and_not_the_end():
    def nan(r: Result, atoms: Atoms) -> Result:
        return replace(r, energy_ev=np.nan) if 79 not in atoms.numbers else r

    def error(r: Result, atoms: Atoms) -> Result:
        raise RuntimeError("index out of range in self")

    found = verdicts(Potential(nan))
    assert found["forces"].status == "failed"
    assert "energy that are not finite numbers" in found["forces"].reason
    assert {v.status for v in verdicts(Potential(error, takes_charge=True)).values()} == {"failed"}
    assert "index out of range" in verdicts(Potential(error))["batch"].reason


def test_a_refusal_that_does_not_come():
    """A catalogue and weights that claim to know everything: the worker refuses nothing, and nothing is claimed."""
    findings = measured(lambda: Potential(elements=None), replace(MODEL, elements=None))
    assert "unknown element" not in findings["records"]
    findings["records"]["unknown element"] = findings["records"]["elemental"]
    (contract,) = [v for v in judge_model(findings, "lj") if v.measure == "contract"]
    assert contract.reason == "unknown element: ok instead of unsupported_element"


SETS = {
    "organic": {1, 6, 7, 8},
    "one": {18},
    "emt": {1, 6, 7, 8, 13, 28, 29, 46, 47, 78, 79},
    "oxides": {3, 8, 12, 22, 26},
    "carbon and hydrogen": {1, 6},
    "all": None,
}


@pytest.mark.parametrize("name", SETS)
def test_structures_are_made_of_what_a_model_knows(name):
    known = SETS[name] and frozenset(SETS[name])
    given = structures.structures_to_check(known, charged=True)
    assert list(given) == ["elemental", "compound", "triclinic", "slab", "molecule"]
    for case, atoms in given.items():
        assert known is None or set(atoms.numbers) <= known
        assert (atoms.info["charge"], atoms.info["spin"]) == (0, 1)
        bare = prepare_structure(atoms, 5.0)
        assert bare.periodic_3d is (case not in {"slab", "molecule"})
        distances = bare.atoms.get_all_distances(mic=True)[~np.eye(len(atoms), dtype=bool)]
        assert distances.min() > 0.6
    if known:
        assert set(structures.extremes(known)["unknown element"].numbers).isdisjoint(known)


def test_the_triclinic_crystal_has_six_stresses():
    answer = measures.ask_one(Potential(), structures.structures_to_check(KNOWN)["triclinic"])
    assert len(set(np.abs(answer.stress_ev_per_ang3).round(4))) == 6


def test_what_is_recorded_goes_through_the_workers_own_loop():
    given = structures.structures_to_check(KNOWN) | structures.extremes(KNOWN)
    records = recorded_statuses.recorded(MODEL, Potential(), given)
    assert records["unknown element"]["status"] == "unsupported_element"
    assert records["isolated atom"] == {"status": "ok", "error": None, "energy": True, "forces": True, "stress": False}


def test_a_precision_that_the_family_lacks():
    job = Job("check", replace(MODEL, dtype="float32"))
    with pytest.raises(WorkerError, match="lj computes in float64, not in float32"):
        session.check(job, threads=1)
