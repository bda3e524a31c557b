"""The HTTP interface: four addresses, and errors as JSON with a sentence and a hint."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from mira_cli import __version__
from mira_cli.catalogue.elements import format_elements
from mira_cli.catalogue.lookup import find_models
from mira_cli.errors import EnvironmentNotReadyError, InputError, MiraError, UsageError
from mira_cli.serving.bodies import (
    AtomsBody,
    ErrorBody,
    ModelAnswer,
    MultiAnswer,
    MultiModelBody,
    SinglePointBody,
    asked_structure,
)
from mira_cli.serving.guards import problem
from mira_cli.serving.tasks_served import served_task, told_outcome
from mira_cli.statuses import ANSWERED, INVALID, OK
from mira_cli.warm.lost import RefusedStructureError, WorkerLostError
from mira_cli.warm.worker import SINGLE_POINT
from mira_cli.wording import rough_duration

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Mapping

    from fastapi import FastAPI

    from mira_cli.catalogue.rows import Model
    from mira_cli.serving.bodies import AskedStructure
    from mira_cli.serving.pool import Pool
    from mira_cli.serving.replicas import ServedModel
    from mira_cli.serving.waiting import Awaited
    from mira_cli.warm.worker import Outcome

TICK_S = 0.05  # between two looks at a model that is loaded
FEW_ATOMS = 100  # are checked in no time; more, beside what else is asked
GONE = 499
MUST_BE = {  # by pydantic's kinds of mistakes
    "float": "a number", "finite_number": "a finite number", "int": "a whole number", "string": "a text",
    "bool": "true or false", "list": "a list", "tuple": "a list", "dict": "an object", "model_attributes": "an object",
}  # fmt: skip
CODES = {**dict.fromkeys(ANSWERED, 200), INVALID: 422, "unsupported_element": 422, "unsupported_property": 422}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorBody} for code in (401, 404, 413, 421, 422, 500, 503, 504)
}


@dataclass(frozen=True)
class RequestLimits:
    """What one request may ask for, and how long it may take."""

    most_atoms: int
    timeout_s: float


def make_app(pool: Pool, limits: RequestLimits) -> FastAPI:
    """Return the application; the guard is to be put around it."""
    app = FastAPIOffline(  # `/docs` with its script from here: this machine may have no network
        title="MIRA", version=__version__, summary="Many machine-learning interatomic potentials, asked by HTTP.",
        redoc_url=None,
    )  # fmt: skip

    @app.get("/health", summary="Whether the server answers, and what is loaded.")
    async def health() -> dict[str, Any]:
        models = pool.known()
        loaded = [model.name for model in models if model.state == "ready"]
        return {"status": "ok", "version": __version__, "loaded": loaded, "waiting": sum(m.n_waiting for m in models)}

    @app.get("/api/v1/models", summary="The models that are served.")
    async def models() -> dict[str, Any]:
        return {"models": described_models(pool, await run_in_threadpool(pool.what_lacks))}

    @app.get("/api/v1/models/{name}", summary="One model, by name or alias.", responses=PROBLEMS)
    async def model(name: str) -> JSONResponse:
        full, note = await _named(pool, name)
        return JSONResponse(_of_one(pool, full, note))

    @app.post(
        "/api/v1/models/{name}/load", summary="Load a model, and answer when it can be asked.", responses=PROBLEMS
    )
    async def load(name: str) -> JSONResponse:
        full, note = await _named(pool, name)
        if not await _loaded(pool.find(full), limits.timeout_s):
            late = f"`{full}` is not loaded after {rough_duration(limits.timeout_s)}"
            return JSONResponse({"error": late, "hint": "`mira serve --timeout` sets the limit"}, 504)
        return JSONResponse(_of_one(pool, full, note))

    @app.post(
        "/api/v1/single_point", summary="One structure, one model.", response_model=ModelAnswer, responses=PROBLEMS
    )
    async def single_point(body: SinglePointBody, request: Request) -> JSONResponse:
        task = served_task(body.task, body.settings or {})
        structure = await _structure(body.atoms, limits)
        answers = await _while_wanted(request, _answers(pool, [body.model_name], task, structure, limits))
        if answers is None:
            return JSONResponse({}, GONE)
        ((code, answer),) = answers
        return JSONResponse({**_told_task(task), "structure": structure.facts, **answer}, code)

    @app.post(
        "/api/v1/multi_model", summary="One structure, several models.", response_model=MultiAnswer, responses=PROBLEMS
    )
    async def multi_model(body: MultiModelBody, request: Request) -> JSONResponse:
        task = served_task(body.task, body.settings or {})
        structure, names = await _structure(body.atoms, limits), list(dict.fromkeys(body.model_names))
        answers = await _while_wanted(request, _answers(pool, names, task, structure, limits))
        said = {
            **_told_task(task),
            "structure": structure.facts,
            "answers": [answer for _, answer in answers or ()],
        }
        return JSONResponse(said, GONE if answers is None else 200)

    _tell_errors(app)
    return app


class UnknownModelError(UsageError):
    """There is no such model, or it is not served."""


async def _found(pool: Pool, name: str) -> tuple[str, str | None]:
    if name in pool.names.rows:  # another thread would cost more than the look
        return name, None
    return await run_in_threadpool(pool.names.find, name)


async def _named(pool: Pool, name: str) -> tuple[str, str | None]:
    try:
        return await _found(pool, name)
    except UsageError as error:
        raise UnknownModelError(error.message, hint=error.hint) from error


async def _loaded(model: ServedModel, timeout_s: float) -> bool:
    """Wait until a model has a worker, or for so long; false then."""
    ends = time.monotonic() + timeout_s
    model.load()
    while (state := model.state) != "ready":
        if state == "failed" and model.error is not None:
            raise EnvironmentNotReadyError(model.error.message, hint=model.error.hint)
        if time.monotonic() > ends:
            return False
        if state == "not loaded":  # it had to make room for another one
            model.load()
        await asyncio.sleep(TICK_S)
    return True


def _of_one(pool: Pool, full: str, note: str | None) -> dict[str, Any]:
    """A model as the list has it, with what its numbers go with, as far as that is known before it is loaded."""
    known = {model.name: model for model in pool.known()}.get(full)
    row = pool.names.rows.get(full) or find_models([full], pool.names.catalogue)[full]
    more = {"key": None, **(_of_model(pool, full) if known else {})}
    return {**_described(full, row, known), **more, "ready": known.ready if known else None, "note": note}


async def _structure(said: AtomsBody, limits: RequestLimits) -> AskedStructure:
    if len(said.symbols) <= FEW_ATOMS:
        return asked_structure(said, most_atoms=limits.most_atoms)
    return await run_in_threadpool(asked_structure, said, most_atoms=limits.most_atoms)


def _told_task(task: Mapping[str, Any]) -> dict[str, Any]:
    """What is computed, with all settings."""
    return {"task": "single_point"} if task is SINGLE_POINT else {"task": task["name"], "settings": task["settings"]}


async def _answers(
    pool: Pool, names: Iterable[str], task: Mapping[str, Any], structure: AskedStructure, limits: RequestLimits
) -> list[tuple[int, dict[str, Any]]]:
    """Ask all at once; returns an HTTP status and an answer for each."""
    return await asyncio.gather(*(_answer(pool, name, task, structure, limits) for name in names))


async def _awaited(future: Awaited, timeout_s: float) -> Outcome:
    """The outcome; whoever asked for it waits no longer, if it is late or the request has gone."""
    try:
        return await asyncio.wait_for(asyncio.wrap_future(future), timeout_s)
    finally:
        if not future.done():
            future.give_up()


async def _answer(
    pool: Pool, asked: str, task: Mapping[str, Any], structure: AskedStructure, limits: RequestLimits
) -> tuple[int, dict[str, Any]]:
    said = _blank(asked, structure)
    try:
        said["model"], note = await _found(pool, asked)
        said["notes"] += [note] if note else []
        future = pool.ask(said["model"], structure.geometry, task, most_atoms=limits.most_atoms)
        outcome = await _awaited(future, limits.timeout_s)
    except UsageError as error:
        unknown = said["model"] is None
        return 404 if unknown else 503, said | problem(error) | {
            "status": "unknown_model" if unknown else "not_available"
        }
    except WorkerLostError as error:
        return 503, said | problem(error) | {"status": "lost"}
    except MiraError as error:
        return 503, said | problem(error) | {"status": "not_available"}
    except TimeoutError:
        late = f"`{said['model']}` has not answered within {rough_duration(limits.timeout_s)}"
        return 504, said | {"status": "late", "error": late, "hint": "`mira serve --timeout` sets the limit"}
    said |= _of_model(pool, said["model"], task)
    said |= {
        "status": outcome.status,
        "error": outcome.error,
        "batch_size": outcome.batch_size,
        "wall_s": outcome.wall_s,
    }
    if task is not SINGLE_POINT:
        said |= await run_in_threadpool(told_outcome, task, outcome, structure.geometry)
    elif outcome.status == OK:
        said["energy_ev"] = outcome.values["energy_ev"]
        said["forces_ev_per_ang"] = outcome.arrays["forces"].reshape(-1, 3).tolist()
        said["stress_ev_per_ang3"] = outcome.values["stress_ev_per_ang3"]
    return CODES.get(outcome.status, 500), said


def _blank(asked: str, structure: AskedStructure) -> dict[str, Any]:
    said = dict.fromkeys(ModelAnswer.model_fields)
    return {**said, "asked_model": asked, "notes": list(structure.notes)}


def _of_model(pool: Pool, name: str, task: Mapping[str, Any] = SINGLE_POINT) -> dict[str, Any]:
    """What numbers of a model go with."""
    model = pool.find(name)
    plan, ready = model.plan, model.ready or {}
    if plan is None:
        return {}
    return {
        **_level(plan.model.row),
        "weights_sha256": ready.get("checkpoint_sha256") or plan.model.weights_sha256,
        "package": plan.model.package,
        "dtype": ready.get("dtype"),
        "device": ready.get("device"),
        "key": plan.model.key if task is SINGLE_POINT else plan.model.key_for(task),
    }


def _level(row: Model) -> dict[str, Any]:
    return {
        "level_of_theory": row.level_of_theory,
        "energy_correction": row.energy_correction,
        "dispersion": row.dispersion,
    }


def described_models(pool: Pool, lacking: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """What is served, and in which state, JSON-ready; `lacking` says why models cannot be loaded, by name."""
    known = {model.name: model for model in pool.known()}
    rows = {**(pool.names.catalogue.models if pool.names.is_open else {}), **pool.names.rows}
    rows |= {name: model.plan.model.row for name, model in known.items() if model.plan and name not in rows}
    return [_described(name, row, known.get(name), (lacking or {}).get(name)) for name, row in rows.items()]


def _described(name: str, row: Model, model: ServedModel | None, lacks: str | None = None) -> dict[str, Any]:
    return {
        "name": name,
        "aliases": row.aliases,
        "title": row.title,
        "state": model.state if model else "not available" if lacks else "not loaded",
        "error": model.error.message if model and model.error else None if model else lacks,
        "replicas": model.replicas if model else 1,
        "asked": model.asked if model else 0,
        "waiting": model.n_waiting if model else 0,
        "workers_lost": model.lost if model else 0,
        "elements": format_elements(row.elements) if row.elements else None,
        "stress": row.stress,
        "forces": row.forces,
        "code_licence": row.code_licence,
        "weights_licence": row.weights_licence,
        **_level(row),
    }


async def _while_wanted(
    request: Request, work: Awaitable[list[tuple[int, dict[str, Any]]]]
) -> list[tuple[int, dict[str, Any]]] | None:
    """Wait for answers, and give them up if whoever asked has gone away; then None."""
    answering, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return answering.result() if answering.done() else None
    finally:
        answering.cancel()
        leaving.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _tell_errors(app: FastAPI) -> None:
    @app.exception_handler(MiraError)
    async def refused(_request: Request, error: MiraError) -> JSONResponse:
        kinds = {InputError: 413, UnknownModelError: 404, EnvironmentNotReadyError: 503}
        code = kinds.get(type(error), 422)
        status = {"status": error.status} if isinstance(error, RefusedStructureError) else {}
        return JSONResponse(problem(error) | status, code)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        if "json" not in request.headers.get("content-type", ""):
            return JSONResponse(
                {"error": "the body is not said to be JSON", "hint": "send `Content-Type: application/json`"}, 422
            )
        return JSONResponse({"error": _sentence(error), "hint": "`/docs` shows what a body looks like"}, 422)

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        what = {404: f"there is nothing at `{request.url.path[:100]}`", 405: f"`{request.method}` is not answered here"}
        if error.status_code == 400:  # all that the parser of JSON gives up at
            return JSONResponse({"error": "the body is no JSON", "hint": "`/openapi.json` describes bodies"}, 422)
        said = what.get(error.status_code, str(error.detail))
        return JSONResponse({"error": said, "hint": "`/docs` lists what there is"}, error.status_code)

    @app.exception_handler(Exception)
    async def bug(_request: Request, error: Exception) -> JSONResponse:
        said = f"this is a bug in MIRA: {type(error).__name__}: {error}"
        return JSONResponse({"error": said, "hint": "`mira serve logs` says more"}, 500)


def _sentence(error: RequestValidationError) -> str:
    """The first mistake of a body; its content is not repeated."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return "the body is no JSON"
    # without what pydantic calls the kinds that a value may be of
    parts = [part for part in map(str, first["loc"][1:]) if "[" not in part]
    parts = parts[:2] if parts[:1] == ["settings"] else parts
    place = ".".join(parts) or "the body"
    if first["type"] == "extra_forbidden":
        return f"there is no `{place[:100]}`"
    if first["type"] == "missing":
        return f"`{place}` is missing"
    if len(parts) > 1 and parts[0] == "settings":
        return f"`{place[:100]}` must be a number, a text of up to 100 letters, true or false"
    kind = first["type"].removesuffix("_parsing").removesuffix("_type").removesuffix("_from_float")
    if (must := MUST_BE.get(kind)) is not None:
        return f"`{place[:100]}` must be {must}"
    return f"`{place[:100]}`: {first['msg'][0].lower()}{first['msg'][1:]}"
