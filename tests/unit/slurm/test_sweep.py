"""Whatever of a run is in the queue is cancelled, or nobody says that it is."""

import pytest

from mira_cli.errors import QueueError
from mira_cli.slurm.queue import JobQueue, QueuedJob, sweep


class Fake:
    """A queue with jobs; its commands refuse as often as they are told to."""

    def __init__(self, jobs: int = 1, lists_refused: int = 0, cancels_refused: int = 0) -> None:
        self.jobs = {
            str(n): QueuedJob(str(n), "mira-x", "PENDING", "", "", "evaluate_emt", "0a1b", "") for n in range(jobs)
        }
        self.left = {"list": lists_refused, "cancel": cancels_refused}

    def _refuse(self, what: str) -> None:
        if self.left[what] > 0:
            self.left[what] -= 1
            raise QueueError(f"it refuses to {what}")

    def live_jobs(self, prefix: str) -> list[QueuedJob]:
        self._refuse("list")
        return [job for job in self.jobs.values() if job.name.startswith(prefix)]

    def cancel(self, jobs: list[QueuedJob]) -> None:
        if jobs:
            self._refuse("cancel")
        for job in jobs:
            del self.jobs[job.id]

    def swept(self, **how) -> int:
        return sweep("mira-x", queue=JobQueue("Fake", "look", self.live_jobs, self.cancel), **how)


@pytest.mark.parametrize("calm_s", [0.0, 0.3])
@pytest.mark.parametrize("refused", [{}, {"lists_refused": 2}, {"cancels_refused": 2}])
def test_it_is_asked_until_it_has_answered(calm_s, refused) -> None:
    queue = Fake(jobs=3, **refused)
    assert queue.swept(calm_s=calm_s) == 3
    assert queue.jobs == {}
    assert queue.swept(calm_s=calm_s) == 0


@pytest.mark.parametrize("calm_s", [0.0, 0.3])
@pytest.mark.parametrize("refused", ["list", "cancel"])
def test_a_refusal_that_lasts_is_an_error(calm_s, refused) -> None:
    queue = Fake(**{f"{refused}s_refused": 1000})
    with pytest.raises(QueueError, match=f"refuses to {refused}"):
        queue.swept(calm_s=calm_s, patience_s=1.5)


def test_jobs_to_be_kept_are() -> None:
    queue = Fake(jobs=3)
    assert queue.swept(calm_s=0.0, keep=lambda job: job.id == "1") == 2
    assert list(queue.jobs) == ["1"]
