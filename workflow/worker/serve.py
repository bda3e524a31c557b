"""`python -m worker.serve JOB.json --socket FILE [--threads N] [--shared]`: one model that stays loaded and answers.

JOB.json is a job without structures: the model is loaded as that job would load it. Structures come through the socket,
and are evaluated by the loop that jobs have: the same batches, the same statuses, the same sentences. Requests that
wait at the same time are merged. The process ends when its socket does: with whoever has started it.

What it is sent (`worker.frames`): `{"id", "task", "most_atoms", "texts"}` with the arrays of a pack, where `task` is as
in a job, and `texts` are arrays too; and `{"give_up": id}` if nobody waits any more. What is asked meanwhile joins
what is under way between two batches. What it sends: once `{"ready": attempt, "facts": …}`; before each batch, where
there are several structures or configurations, `{"id", "in_flight": rows}`; and after it `{"id", "rows", "outcomes",
"left"}`, where `left` counts the structures of the request that are still to come, with the arrays of the outcomes,
concatenated in the order of `rows`.
Exit codes are those of the worker.
"""

from __future__ import annotations

import argparse
import os
import queue
import socket
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from worker import isolation
from worker.errors import WorkerError, guarded, leave, sentence
from worker.job import read_job

if TYPE_CHECKING:
    from worker.job import Job
    from worker.warm import Question

    Waiting = queue.SimpleQueue[Question | int]  # a number is that of a question that is given up


def main(arguments: list[str] | None = None) -> int:
    """Serve one model and return the exit code."""
    parser = argparse.ArgumentParser(prog="worker.serve", description="Answer for one model as long as asked.")
    parser.add_argument("job", type=Path, metavar="JOB.json")
    parser.add_argument("--socket", type=Path, required=True, metavar="FILE")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), metavar="N")
    parser.add_argument("--shared", action="store_true", help="leave the cores to others while threads wait")
    asked = parser.parse_args(arguments)
    return guarded(lambda: _run(read_job(asked.job), asked.socket.absolute(), asked.threads, shared=asked.shared))


def _run(job: Job, place: Path, threads: int, *, shared: bool) -> int:
    connection = _connected(place)
    in_container = job.image.get("runtime") == "apptainer"
    isolation.set_job_environment(threads, in_container=in_container, shared=shared)
    network = isolation.leave_network()  # while there is one thread
    waiting: Waiting = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, waiting), daemon=True).start()
    from worker import warm  # numpy starts threads at import

    warm.answer_all(job, waiting, connection.sendall, folder=Path.cwd(), threads=threads, network=network)
    return 0


def _connected(place: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(place))
    except OSError as error:
        raise WorkerError(f"nobody listens at {place}: {error.strerror}") from error
    return connection


def _listen(connection: socket.socket, waiting: Waiting) -> None:
    """Queue what is asked; when nobody can ask any more, leave at once, in the middle of whatever is computed."""
    try:
        _queue_all(connection, waiting)
    except EOFError:
        leave(0)
    except Exception as error:  # noqa: BLE001 - whatever it is, nobody can be answered any more
        print(f"worker: error: the connection broke: {sentence(error)}", file=sys.stderr)
        leave(1)


def _queue_all(connection: socket.socket, waiting: Waiting) -> None:
    first = connection.recv(1, socket.MSG_PEEK)  # before numpy is imported here, beside the import of the model
    if not first:
        raise EOFError
    from worker.frames import read_frame, receive_exactly
    from worker.warm import question_of

    while True:
        header, arrays = read_frame(partial(receive_exactly, connection))
        waiting.put(header["give_up"] if "give_up" in header else question_of(header, arrays))


if __name__ == "__main__":
    leave(main())
