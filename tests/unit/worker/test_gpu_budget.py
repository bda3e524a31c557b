"""A whole attempt on a pretended GPU: how many atoms a batch gets, what is made ahead, what is given back."""

import gc
import sys
from threading import current_thread, main_thread
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from ase import Atoms

from tests.unit.worker.jobs import read_lines, write_job
from worker import device, families, session
from worker.families.base import Result, atoms_that_fit
from worker.job import read_job
from worker.stopping import Stop

FREE_MB, MODEL_MB, MB_PER_ATOM = 4000.0, 100.0, 1.0
FIRST_GUESS, N_PAIRS = 100, 2500


class Gpu(ModuleType):
    """As much of torch as tells about a GPU; its allocator keeps what a failed request had, until it is told not to."""

    def __init__(self):
        super().__init__("torch")
        self.held, self.kept, self.peak = MODEL_MB, 0.0, MODEL_MB
        self.cuda = SimpleNamespace(
            empty_cache=self.empty_cache,
            is_initialized=lambda: True,
            max_memory_allocated=lambda: 1e6 * self.peak,
            mem_get_info=lambda: (1e6 * (FREE_MB - self.held - self.kept), 1e6 * FREE_MB),
            memory_allocated=lambda: 1e6 * self.held,
            memory_reserved=lambda: 1e6 * (self.held + self.kept),
            reset_peak_memory_stats=self.reset_peak_memory_stats,
        )

    def take(self, mb):
        free = FREE_MB - self.held - self.kept
        if mb > free:  # it has got as far as this
            self.kept += free
            self.peak = max(self.peak, self.held + free)
            raise RuntimeError("CUDA out of memory. Tried to allocate 1 GiB")
        self.peak = max(self.peak, self.held + mb)

    def empty_cache(self):
        self.kept = 0.0

    def reset_peak_memory_stats(self):
        self.peak = self.held


class Fake:
    """A family and its potential: answers with the number of atoms, and remembers batches and who made their input."""

    DISTRIBUTIONS, IMPORTS, FRAMEWORK, DTYPES, HOSTS = (), (), device.PRETENDED, ("float64",), ()
    cutoff_ang, elements, takes_charge, gives_stress, conservative = 1.0, None, False, True, True
    checkpoint_sha256, dtype = None, "float64"

    def __init__(self, gpu, *, mb_of=lambda atoms: MB_PER_ATOM * atoms, first_guess=FIRST_GUESS):
        self.gpu, self.mb_of, self.first_guess, self.batches, self.makers = gpu, mb_of, first_guess, [], []

    def load(self, model, device_id, dtype):
        return self

    def batch_atoms(self, device_id):
        return self.first_guess

    def graphs(self, batch):
        self.makers.append(current_thread())
        return sum(map(len, batch))

    def answer(self, batch, n_atoms):
        self.batches.append(n_atoms)
        self.gpu.take(self.mb_of(n_atoms))
        return [Result(float(len(atoms)), np.zeros((len(atoms), 3)), np.zeros(6)) for atoms in batch]


@pytest.fixture
def gpu(monkeypatch):
    """A GPU in place of torch's."""
    monkeypatch.setitem(sys.modules, "torch", found := Gpu())
    return found


@pytest.fixture
def attempt(tmp_path, monkeypatch):
    """Run a job of pairs of atoms; statuses of its records."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)

    def run(fake, *, visible="0", n=N_PAIRS, **changes):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        monkeypatch.setattr(families, "find_family", lambda name: fake)
        pairs = [Atoms("H2", [[0, 0, 0], [0, 0, 1 + i / n]]) for i in range(n)]
        write_job(tmp_path, pairs, device="auto", **changes)
        job = read_job(tmp_path / "job.json")
        code = session.run_session(
            job, tmp_path / "records", tmp_path / "done.json", threads=1, network="open", stop=Stop()
        )
        assert code == 0
        (line,) = read_lines(tmp_path, "attempt")
        assert line["device"] == ("cuda:0" if visible else "cpu")
        return [record["status"] for record in read_lines(tmp_path)]

    return run


def test_batches_on_a_gpu_begin_as_guessed_and_grow_to_what_fits(attempt, gpu):
    fake = Fake(gpu)
    assert set(attempt(fake)) == {"ok"}
    assert fake.batches[0] == FIRST_GUESS
    assert 10 * FIRST_GUESS <= max(fake.batches) <= FREE_MB / MB_PER_ATOM


def test_batches_on_a_gpu_stay_within_its_memory(attempt, gpu):
    """390 atoms fit: nothing is tried that fails."""
    fake = Fake(gpu, mb_of=lambda atoms: 10.0 * atoms)
    assert set(attempt(fake)) == {"ok"}
    assert sum(fake.batches) == 2 * N_PAIRS
    assert 2 * FIRST_GUESS <= max(fake.batches) <= 390


def test_batches_on_a_cpu_hold_what_the_family_guesses_and_more(attempt, gpu):
    fake = Fake(gpu, mb_of=lambda atoms: 0.0, first_guess=50)
    assert set(attempt(fake, visible="")) == {"ok"}
    assert fake.batches[0] == 50
    assert max(fake.batches) > 50


def test_a_job_can_say_how_many_atoms(attempt, gpu):
    fake = Fake(gpu)
    attempt(fake, n=100, batch_atoms=20)
    assert fake.batches == [20] * 10


@pytest.mark.parametrize(("visible", "ahead"), [("0", True), ("", False)])
def test_input_is_made_ahead_where_another_device_evaluates(attempt, gpu, visible, ahead):
    fake = Fake(gpu)
    attempt(fake, visible=visible, n=100, batch_atoms=20)
    assert [maker is not main_thread() for maker in fake.makers] == [False, *[ahead] * 9]


def test_what_did_not_fit_is_given_back_before_the_next_try(attempt, gpu):
    """A guess of 5 GB in 4: what the allocator still holds of it would be in the way of every smaller batch."""
    fake = Fake(gpu, first_guess=20_000)
    assert set(attempt(fake)) == {"ok"}
    assert fake.batches[0] == 2 * N_PAIRS > FREE_MB / MB_PER_ATOM


def test_what_did_not_fit_is_collected_even_where_it_holds_itself(attempt, gpu):
    """As graphs of operations do, which hold the tensors of a batch."""

    class Batch:
        def __init__(self):
            self.itself = self
            gpu.held += FREE_MB / 2

        def __del__(self):
            gpu.held -= FREE_MB / 2

    class Cyclic(Fake):
        def answer(self, batch, n_atoms):
            if n_atoms > FREE_MB / MB_PER_ATOM:
                Batch()
            return super().answer(batch, n_atoms)

    gc.disable()
    try:
        assert set(attempt(Cyclic(gpu, first_guess=20_000))) == {"ok"}
        assert gpu.held == MODEL_MB
    finally:
        gc.enable()


@pytest.mark.parametrize("free_mb", [1_000.0, 80_000.0])
def test_a_first_guess_uses_a_fair_part_of_a_gpu(monkeypatch, free_mb):
    monkeypatch.setattr(device, "free_gpu_mb", lambda: free_mb)
    for mb_per_atom in (0.5, 4.0):
        atoms = atoms_that_fit("cuda:0", on_cpu=8, gpu_mb_per_atom=mb_per_atom)
        assert 0.25 * free_mb <= atoms * mb_per_atom <= free_mb


def test_a_first_guess_on_a_cpu_does_not_ask_a_gpu(monkeypatch):
    monkeypatch.setattr(device, "free_gpu_mb", lambda: pytest.fail("there is none"))
    assert atoms_that_fit("cpu", on_cpu=8, gpu_mb_per_atom=1.0) == 8
