"""`mira serve`: models that answer over HTTP, and the servers that are running."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mira_cli import console
from mira_cli.commands.complete import complete_models
from mira_cli.commands.help import Group
from mira_cli.commands.typed_models import joined
from mira_cli.errors import EnvironmentNotReadyError, UsageError
from mira_cli.options import Quiet, TrustCheckpoint, TrustFile  # noqa: TC001  (typer reads them at run time)

if TYPE_CHECKING:
    from mira_cli.serving.cluster_servers import ClusterServer
    from mira_cli.serving.wishes import Wishes

app = typer.Typer(cls=Group, help="Keep models loaded, and answer over HTTP.", invoke_without_command=True)
Port = Annotated[int | None, typer.Option(help="Which server, if several run.", metavar="PORT")]
Job = Annotated[str | None, typer.Option(help="Which server on a cluster: the number of its job.", metavar="ID")]
NEEDED = ("fastapi", "fastapi_offline", "uvicorn")
HERE_ALONE = ("host", "port", "token_file", "gpus", "detach")  # options that a job has no use for


@app.callback()
def serve(
    context: typer.Context,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--models",
            "-m",
            help="Answer for these alone [default: all that are ready here].",
            autocompletion=complete_models,
        ),
    ] = None,
    gpus: Annotated[
        str | None, typer.Option(help="GPUs, of all or by model: `0,1`, `mace-mpa-0=0,chgnet-0.3.0=1`.")
    ] = None,
    replicas: Annotated[
        str | None, typer.Option(help="Workers of each model, or by model: `2`, `mace-mpa-0=2`. [default: 1]")
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(help="Models loaded at once; the least used makes room. [default: as GPUs and memory say]", min=1),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; other than this machine's own takes a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0: one that is free.", min=0, max=65535)] = 8000,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that every request must carry.", metavar="FILE")
    ] = None,
    max_atoms: Annotated[int, typer.Option(help="Most atoms in one request.", min=1)] = 10_000,
    max_body_mb: Annotated[float, typer.Option(help="Largest body of a request, MB.", min=0.001)] = 16.0,
    timeout: Annotated[float, typer.Option(help="Seconds for one request, with loading.", min=0.01)] = 600.0,
    device: Annotated[str | None, typer.Option(help="`auto`, `cuda` or `cpu`.")] = None,
    dtype: Annotated[str | None, typer.Option(help="Precision.")] = None,
    runtime: Annotated[Literal["auto", "apptainer", "venv"], typer.Option(help="How images run.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="Cores of a worker [default: all, shared by replicas].", min=1)
    ] = None,
    models_file: Annotated[
        list[Path] | None, typer.Option(help="More models, as in `mira run`.", metavar="FILE")
    ] = None,
    trust_checkpoint: TrustCheckpoint = False,
    trust_file: TrustFile = False,
    profile: Annotated[
        str | None, typer.Option(help="Run as a SLURM job: a name from profiles/, or a folder.", metavar="NAME")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="What that job asks for: `resources.gpu.partition=a100`.", metavar="KEY=VALUE"),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Go on in the background.")] = False,
    into: Annotated[Path | None, typer.Option(hidden=True)] = None,
    of_job: Annotated[Path | None, typer.Option(hidden=True)] = None,
    quiet: Quiet = False,  # noqa: ARG001  (acts when it is parsed)
) -> None:
    """Keep models loaded, and answer over HTTP on this machine.

    It is for one user and those they trust: docs/reference/serve.md says what it is not.
    """
    if context.invoked_subcommand is not None:
        return
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise EnvironmentNotReadyError(
            f"`mira serve` takes MIRA's extra `serve`: there is no {' and no '.join(missing)}",
            hint="`pip install '.[serve]'` in its folder, or `pip install fastapi fastapi-offline uvicorn`",
        )
    if of_job is not None:
        _answer_on_node(of_job)
        return
    from mira_cli.serving.pool import absolute
    from mira_cli.serving.wishes import Wishes

    said = {"device": device, "dtype": dtype, "threads": threads}
    settings: dict[str, Any] = {
        **{key: value for key, value in said.items() if value is not None},
        "runtime": runtime, "models_files": absolute(models_file), "trust_checkpoints": trust_checkpoint,
        "trust_files": trust_file,
    }  # fmt: skip
    named = [word.strip() for word in (joined(models) or "").split(",") if word.strip()]
    wishes = Wishes(named, settings, gpus, replicas, keep, max_atoms, max_body_mb, timeout)
    if profile is not None:
        _submit(context, wishes, profile, assignments or [])
    elif assignments:
        raise UsageError("`--set` says what the job of a server asks for", hint="`--profile NAME` sends it as a job")
    elif detach:
        _detach()
    else:
        _answer_here(wishes, host, port, token_file, into)


def _answer_here(wishes: Wishes, host: str, port: int, token_file: Path | None, into: Path | None) -> None:
    from mira_cli.scratch import held_folder
    from mira_cli.serving.app import RequestLimits
    from mira_cli.serving.server import ServerSettings, answer_requests, read_token
    from mira_cli.serving.wishes import make_pool
    from mira_cli.warm.place import private_home, worker_folder

    token = read_token(token_file)
    pool = make_pool(wishes)
    pool.plan_named()
    folder, _lock = (into, held_folder(into)) if into else worker_folder(private_home())
    limits = RequestLimits(wishes.max_atoms, wishes.timeout_s)
    answer_requests(pool, ServerSettings(host, port, token, limits, int(wishes.max_body_mb * 1e6)), folder)


def _answer_on_node(job: Path) -> None:
    """Be the server that a SLURM job is for."""
    from functools import partial

    from mira_cli.serving.app import RequestLimits
    from mira_cli.serving.cluster_servers import TOKEN
    from mira_cli.serving.server import ServerSettings, answer_requests, read_token
    from mira_cli.serving.submit import address_left, node_address, wishes_of_job
    from mira_cli.serving.wishes import make_pool
    from mira_cli.warm.place import private_home, worker_folder

    wishes = wishes_of_job(job)
    token = read_token(job / TOKEN)
    pool = make_pool(wishes)
    pool.plan_named(build=False)
    folder, _lock = worker_folder(private_home())
    limits = RequestLimits(wishes.max_atoms, wishes.timeout_s)
    settings = ServerSettings(node_address(), 0, token, limits, int(wishes.max_body_mb * 1e6))
    answer_requests(pool, settings, folder, partial(address_left, job))


def _submit(context: typer.Context, wishes: Wishes, profile: str, assignments: list[str]) -> None:
    """Send the server as a SLURM job, and say where it will say where it is."""
    from mira_cli.serving.submit import submit_server
    from mira_cli.wording import minutes_in_words

    for name in HERE_ALONE:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"`{option}` is for a server on this machine, not for the job of `--profile {profile}`",
                hint=f"leave out `{option}`: a job has a port and a token of its own, and SLURM hands out GPUs",
            )
    if not wishes.models:
        raise UsageError(
            "a server on a cluster takes `--models`: their images and weights are made ready before it is sent",
            hint=f"`mira serve --models sevennet-0 --profile {profile}`",
        )
    server = submit_server(wishes, profile, assignments)
    console.say(f"SLURM job {server.job} is the server of {', '.join(server.note['models'])}")
    if limit := server.note["runtime_min"]:
        console.say(f"it ends {minutes_in_words(limit)} after its start; `--set resources.all.runtime_min=…` sets that")
    console.say(f"once it answers, its address is in {server.address_file}: `calculator(…, address=…)` takes that file")
    console.say(f"`mira serve status` looks at it, `mira serve stop --job {server.job}` ends it")
    typer.echo(server.address_file)


def _detach() -> None:
    """Start the same command in the background, and wait until it answers or has failed."""
    import os

    from mira_cli.errors import Interrupted, MiraError
    from mira_cli.files import read_json
    from mira_cli.python_path import SAFE
    from mira_cli.serving.found import LOG, STATE
    from mira_cli.warm.place import private_home, worker_folder

    folder, lock = worker_folder(private_home())
    os.close(lock)
    words = [word for word in sys.argv[1:] if word != "--detach"]
    log = folder / LOG
    with log.open("w", encoding="utf-8") as stream:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "mira_cli", *words, "--into", str(folder)], stdin=subprocess.DEVNULL,
            stdout=stream, stderr=stream, start_new_session=True, env={**os.environ, **SAFE},
        )  # fmt: skip
    console.say(f"process {child.pid} makes its models ready; its output: {log}")
    try:
        while (state := read_json(folder / STATE)) is None:
            if child.poll() is not None:
                text = log.read_text(encoding="utf-8")
                sys.stderr.write(text)
                raise MiraError("the server did not start", hint="what it said stands above", log=log)
            time.sleep(0.05)
    except Interrupted:  # before it answers, nobody knows of it
        child.terminate()
        raise
    console.say("`mira serve status` looks at it, `mira serve stop` ends it")
    typer.echo(state["address"])


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the servers of this user, on this machine and as SLURM jobs, and how their models are."""
    from mira_cli.serving.cluster_servers import cluster_servers, servers_here
    from mira_cli.slurm.commands import SlurmError

    jobs: list[ClusterServer] = []
    try:
        jobs = cluster_servers()
    except SlurmError as error:
        console.warn(f"servers on the cluster are not shown: {error.message}", hint=error.hint)
    servers = servers_here(jobs)
    if as_json:
        console.print_json([*(one.state for one in servers), *(one.state for one in jobs)])
        return
    if not servers and not jobs:
        console.say("no server of yours runs on this machine; `mira serve --detach` starts one")
    for one in servers:
        console.say(f"{one.state['address']}, process {one.state['pid']}, since {one.state['started']}")
        _print_models(one.state["models"])
    for job in jobs:
        _print_job(job)


def _print_models(models: list[dict[str, Any]]) -> None:
    rows = [
        [m["name"], m["state"], f"{m['asked']:,}", f"{m['waiting']:,}", str(m["workers_lost"]), m["error"] or ""]
        for m in models
    ]
    if rows:
        console.print_table(["model", "state", "asked", "waiting", "workers lost", "problem"], rows)


def _print_job(server: ClusterServer) -> None:
    from mira_cli.errors import MiraError

    state, job = server.state, server.queued
    who = f"SLURM job {server.job} ({', '.join(state['models'])})"
    if job is None:
        console.say(f"{who} has ended; its output: {state['log']}")
    elif job.waits:
        why = f" ({job.reason})" if job.reason not in {"", "None"} else ""
        console.say(f"{who} is {job.state.lower()}{why}{f': {job.stuck}' if job.stuck else ''}")
    elif state["address"] is None:
        console.say(f"{who} is {job.state.lower()} on {job.node}, and does not answer yet; its output: {state['log']}")
    else:
        ends = f"; it ends at {state['ends']}" if state["ends"] else ""
        console.say(f"{who} answers at {state['address']}{ends}; address file: {state['address_file']}")
        try:
            _print_models(server.served())
        except MiraError as error:
            console.warn(error.message, hint=error.hint)


@app.command()
def logs(port: Port = None, job: Job = None) -> None:
    """Print what a server in the background has said."""
    from mira_cli.serving.cluster_servers import log_of

    typer.echo(log_of(port, job).read_text(encoding="utf-8", errors="replace"), nl=False)


@app.command()
def stop(port: Port = None, job: Job = None) -> None:
    """End a server, and its workers with it."""
    from mira_cli.serving.cluster_servers import ClusterServer, end_cluster_server, one_of_mine
    from mira_cli.serving.found import end_server

    server = one_of_mine(port, job)
    if isinstance(server, ClusterServer):
        end_cluster_server(server)
        console.say(f"the server of SLURM job {server.job} has ended")
        return
    end_server(server)
    console.say(f"the server at {server.state['address']} has ended")


@app.command()
def restart(
    model: Annotated[str, typer.Argument(help="Name of a model that is served.", show_default=False)], port: Port = None
) -> None:
    """Load a model of a server again; what it computes now is finished first."""
    from mira_cli.serving.found import one_server, wish_restart

    server = one_server(port)
    wish_restart(server, model)
    console.say(f"`{model}` is loaded again; `mira serve status` shows when it is ready")
