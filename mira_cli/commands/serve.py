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
from mira_cli.commands.help import Group
from mira_cli.errors import EnvironmentNotReadyError, UsageError
from mira_cli.options import Quiet, TrustCheckpoint  # noqa: TC001  (typer reads them at run time)

if TYPE_CHECKING:
    from mira_cli.serving.pool import Pool

app = typer.Typer(cls=Group, help="Keep models loaded, and answer over HTTP.", invoke_without_command=True)
Port = Annotated[int | None, typer.Option(help="Which server, if several run.", metavar="PORT")]
NEEDED = ("fastapi", "uvicorn")


@app.callback()
def serve(
    context: typer.Context,
    models: Annotated[
        str | None, typer.Option("--models", "-m", help="Answer for these alone [default: all that are ready here].")
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
    detach: Annotated[bool, typer.Option("--detach", help="Go on in the background.")] = False,
    into: Annotated[Path | None, typer.Option(hidden=True)] = None,
    quiet: Quiet = False,  # noqa: ARG001  (acts when it is parsed)
) -> None:
    """Keep models loaded, and answer over HTTP on this machine.

    It is for one user and those they trust: docs/serve.md says what it is not.
    """
    if context.invoked_subcommand is not None:
        return
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise EnvironmentNotReadyError(
            f"`mira serve` takes MIRA's extra `serve`, and {' and '.join(missing)} are missing",
            hint="`pip install '.[serve]'` in its folder, or `pip install fastapi uvicorn`",
        )
    if detach:
        _detach()
        return
    from mira_cli.serving.app import RequestLimits
    from mira_cli.serving.pool import absolute
    from mira_cli.serving.server import ServerSettings, answer_requests, read_token
    from mira_cli.warm.place import held_folder, private_home, worker_folder

    token = read_token(token_file)
    said = {"device": device, "dtype": dtype, "threads": threads}
    settings: dict[str, Any] = {
        **{key: value for key, value in said.items() if value is not None},
        "runtime": runtime, "models_files": absolute(models_file), "trust_checkpoints": trust_checkpoint,
    }  # fmt: skip
    pool = _pool(models, settings, gpus=gpus, replicas=replicas, keep=keep, timeout_s=timeout)
    pool.plan_named()
    folder, _lock = (into, held_folder(into)) if into else worker_folder(private_home())
    limits = RequestLimits(max_atoms, timeout)
    answer_requests(pool, ServerSettings(host, port, token, limits, int(max_body_mb * 1e6)), folder)


def _pool(
    models: str | None, settings: dict[str, Any], *, gpus: str | None, replicas: str | None, keep: int | None,
    timeout_s: float,
) -> Pool:  # fmt: skip
    from mira_cli.planning.machine import this_machine
    from mira_cli.serving.names import served_names
    from mira_cli.serving.pool import Pool, by_model

    named = [word.strip() for word in (models or "").split(",") if word.strip()]
    names = served_names(named, [Path(file) for file in settings["models_files"]])
    copies = by_model(replicas, "replicas", "mace-mpa-0=2")
    if wrong := [value for value in copies.values() if not value.isdecimal() or not 1 <= int(value) <= 64]:
        raise UsageError(f"`--replicas`: {wrong[0]} is no count of workers", hint="for example `--replicas 2`")
    numbers = {_full(names, name): int(value) for name, value in copies.items()}
    own_gpus = {_full(names, name): value.split(",") for name, value in by_model(gpus, "gpus", "mace-mpa-0=0").items()}
    machine = this_machine(device=settings.get("device", "auto"), cluster=False)
    most = max([1, *numbers.values()])
    if keep is None and machine.gpus:  # a GPU is one worker's at a time
        keep = max(1, len(machine.gpus) // most)
    if "threads" not in settings and most > 1:
        settings["threads"] = max(1, machine.cores // most)
    return Pool(
        names, settings, replicas=numbers, gpus=own_gpus, keep=keep, timeout_s=timeout_s,
        say=console.say,
    )  # fmt: skip


def _full(names: Any, name: str) -> str:
    return names.find(name)[0] if name else ""


def _detach() -> None:
    """Start the same command in the background, and wait until it answers or has failed."""
    import os

    from mira_cli.errors import MiraError
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
    while (state := read_json(folder / STATE)) is None:
        if child.poll() is not None:
            text = log.read_text(encoding="utf-8")
            sys.stderr.write(text)
            raise MiraError("the server did not start", hint="what it said stands above", log=log)
        time.sleep(0.05)
    console.say("`mira serve status` looks at it, `mira serve stop` ends it")
    typer.echo(state["address"])


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the servers of this user on this machine, and how their models are."""
    from mira_cli.serving.found import running_servers

    servers = running_servers()
    if as_json:
        console.print_json([one.state for one in servers])
        return
    if not servers:
        console.say("no server of yours runs on this machine; `mira serve --detach` starts one")
    for one in servers:
        console.say(f"{one.state['address']}, process {one.state['pid']}, since {one.state['started']}")
        rows = [
            [m["name"], m["state"], f"{m['asked']:,}", f"{m['waiting']:,}", str(m["workers_lost"]), m["error"] or ""]
            for m in one.state["models"]
        ]
        if rows:
            console.print_table(["model", "state", "asked", "waiting", "workers lost", "problem"], rows)


@app.command()
def logs(port: Port = None) -> None:
    """Print what a server in the background has said."""
    from mira_cli.serving.found import newest_log

    typer.echo(newest_log(port).read_text(encoding="utf-8", errors="replace"), nl=False)


@app.command()
def stop(port: Port = None) -> None:
    """End a server, and its workers with it."""
    from mira_cli.serving.found import end_server, one_server

    server = one_server(port)
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
