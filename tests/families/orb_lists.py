"""Runs in Orb's image: graphs made in lists, beside those that the package makes of each structure alone.

`orb_lists.py FINDINGS.json`. It only reports; the tests judge.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc111, molecule

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "workflow"), str(HERE)]
N_BATCHES = 8
QUANTITIES = ("energy_ev", "forces_ev_per_ang", "stress_ev_per_ang3")
# limits of 120, 20 and 120 neighbours
ASKED = {
    "conservative-float32": "float32",
    "direct": "float32",
    "molecular-direct": "float32",
    "conservative": "float64",
}


def salt() -> Atoms:
    """Eight atoms."""
    return bulk("NaCl", "rocksalt", a=5.64, cubic=True)


def structures() -> list[Atoms]:
    """Crystals, perfect and not, slabs, molecules, one atom, skewed cells, some denser than 120 neighbours an atom."""
    random = np.random.default_rng(5)
    skew = np.array([[1, 0, 0], [2, 1, 0], [-1, 3, 1]])
    salts = salt()
    made = [bulk("NaCl", "rocksalt", a=5.64), salts, bulk("Po", "sc", a=3.0), bulk("Cs", "bcc", a=6.14), bulk("Cu")]
    made += [bulk("C"), bulk("Fe") * 3, bulk("Be") * (2, 2, 2), bulk("Al", "fcc", a=3.1, cubic=True)]
    made += [salts * (2, 2, 1), salts * (3, 3, 3)]
    made += [fcc111("Al", (2, 2, 3), vacuum=7.0), fcc111("Pt", (1, 1, 4), vacuum=7.0)]
    for slab in (fcc111("Al", (2, 2, 3), vacuum=40.0), fcc111("Pt", (1, 1, 4), vacuum=60.0)):
        slab.pbc = True  # nearly empty cells, whose atoms have 20 neighbours all the same
        made.append(slab)
    made += [molecule(name) for name in ("H2O", "CH3CH2OH", "C60", "C6H6")] + [Atoms("Xe")]
    made += [Atoms("H30", positions=random.uniform(0, 4, (30, 3)), cell=[4, 4, 4], pbc=True) for _ in range(2)]
    for atoms in (salts, bulk("Si", cubic=True)):
        made.append(atoms.copy())
        made[-1].set_cell(skew @ atoms.cell.array)
    # a few atoms above the limit, in a cell that is nearly empty
    ball = bulk("Al", "fcc", a=3.0, cubic=True) * (5, 5, 5)
    ball = ball[np.argsort(ball.get_distances(250, range(len(ball))))[:126]]
    ball.cell = [40, 40, 40]
    made += [ball[:60], ball]
    for atoms in made[:10]:
        rattled = atoms.copy()
        rattled.rattle(0.05, seed=len(made))
        made.append(rattled)
    return made


def lengths(graph) -> np.ndarray:
    """Sender, receiver and length of each edge, sorted."""
    rows = np.column_stack([graph.senders, graph.receivers, np.linalg.norm(graph.edge_features["vectors"], axis=1)])
    return rows[np.lexsort(rows.T[::-1])]


def compared(alone, given) -> dict:
    """Compare a structure's graph with one made alone."""
    a, b = lengths(alone), lengths(given)
    same = a.shape == b.shape and np.array_equal(a[:, :2], b[:, :2])
    return {
        "same edges": same,
        "off_ang": float(np.abs(a - b).max(initial=0.0)) if same else None,
        "identical": all(
            np.array_equal(*pair)
            for pair in (
                (alone.senders, given.senders),
                (alone.receivers, given.receivers),
                (alone.edge_features["vectors"], given.edge_features["vectors"]),
                (alone.edge_features["unit_shifts"], given.edge_features["unit_shifts"]),
                (alone.positions.detach(), given.positions.detach()),
            )
        ),
    }


def examine(potential) -> list[dict]:
    """Ask about random batches; one row for each structure in each."""
    from worker.families import orb_graphs
    from worker.prepare import prepare_structure

    prepared = [prepare_structure(atoms, potential.cutoff_ang).atoms for atoms in structures()]
    random, limit, rows = np.random.default_rng(11), potential.adapter.max_num_neighbors, []
    for _ in range(N_BATCHES):
        batch = [prepared[i] for i in random.permutation(len(prepared))[: random.integers(2, len(prepared) + 1)]]
        alone = [potential.graphs([atoms]) for atoms in batch]
        expected, given = potential.adapter.batch(alone), potential.graphs(batch)
        described = [potential._described(atoms) for atoms in batch]
        lists = orb_graphs._lists(potential.adapter, described) if potential.dtype == "float32" else []
        listed = {place for places in lists for place in places}
        answers = zip(potential.answer(batch, expected), potential.answer(batch, given), strict=True)
        for place, (graph, found, pair) in enumerate(zip(alone, given.split(), answers, strict=True)):
            crowded = orb_graphs._most_neighbours(graph) >= limit
            how = "alone" if place not in listed else "crowded" if crowded else "listed"
            rows.append({"formula": batch[place].get_chemical_formula(), "how": how, **compared(graph, found)})
            rows[-1] |= {key: [np.asarray(getattr(r, key)).tolist() for r in pair] for key in QUANTITIES}
    return rows


def at_once(potential) -> bool:
    """Whether threads that make graphs at the same time make the same ones."""
    from worker.prepare import prepare_structure

    batch = [prepare_structure(atoms, potential.cutoff_ang).atoms for atoms in structures()]
    expected, made = potential.graphs(batch), []
    threads = [Thread(target=lambda: made.append(potential.graphs(batch))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(made) == len(threads) and all(compared(expected, graph)["identical"] for graph in made)


def main(findings_file: str) -> None:
    """Examine tiny models."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from tiny import orb as tiny

    from worker import families
    from worker.job import read_model
    from worker.session import import_family

    family = families.find_family("orb")
    import_family(family)
    (folder := Path("made")).mkdir()
    models = {model["name"]: model for model in tiny.make(folder)}
    findings = {}
    for name, dtype in ASKED.items():
        described = read_model(models[name] | {"dtype": dtype})
        potential = family.load(described, "cpu", dtype)
        findings[f"{name} {dtype}"] = {"rows": examine(potential), "at once": at_once(potential)}
        elsewhere = replace(potential, device="cpu:0")
        large = [salt() * (7, 7, 6)]
        few = [len(elsewhere.graphs([salt()]).n_node), elsewhere.graphs(large)]
        results = [made.evaluate(large)[0].energy_ev for made in (potential, elsewhere)]
        findings[f"{name} {dtype}"]["elsewhere"] = {"few": few, "energies_ev": results}
    Path(findings_file).write_text(json.dumps(findings))


if __name__ == "__main__":
    main(*sys.argv[1:])
