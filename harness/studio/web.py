"""The workbench as a web app: who is let in, the page's files, and the questions that workers answer."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from harness.errors import SlotwiseError
from harness.servers.access import OWN_MACHINE
from harness.studio import api
from harness.studio.file import DesignFile, Opened
from harness.studio.keep_forms import FileAsked, PredictedAsked
from harness.studio.task_forms import TaskAsked
from harness.studio.tasks import LongTasks
from harness.studio.timeline_forms import TimelineAsked
from harness.studio.workers import NotAnswered, TabsInTurn

__all__ = ["BODY_BYTES", "LIMITS_S", "TOKEN_HEADER", "Studio"]

TOKEN_HEADER = "x-slotwise-token"  # noqa: S105 - its name
BODY_BYTES = 8 * 1024 * 1024  # of a request: a workload of a megabyte, escaped

# What a worker does, and how long it may take: a process for each, so that none waits for another.
LIMITS_S = {"look": 10.0, "first simulation": 20.0, "simulation": 120.0, "timeline": 30.0}

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Studio:
    """An ASGI app. `start` and `stop` go around its use: they begin and end its workers.

    Args:
        started: the workload, and what was named on the command line.
        token: what a request to the API has to carry.
        limits_s: by lane, as `LIMITS_S`.
    """

    def __init__(self, started: Opened, token: str, limits_s: Mapping[str, float] = LIMITS_S) -> None:
        self._token = token
        self._file = DesignFile(started, Path())
        self._lanes = {
            name: TabsInTurn(name, limit_s, early=name != "timeline")  # nothing of a page waits for that one
            for name, limit_s in limits_s.items()
        }
        self._tasks = LongTasks()
        self._page = _page()

    def start(self) -> None:
        """Start the workers."""
        for lane in self._lanes.values():
            lane.start()

    async def stop(self) -> None:
        """End the workers and all tasks."""
        await self._tasks.stop()
        for lane in self._lanes.values():
            await lane.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except _Refused as refused:
            response = JSONResponse({"error": str(refused)}, refused.status)
        except ClientDisconnect:
            return
        response.headers.update(_HEADERS)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        self._let_in(request)
        path = request.url.path
        if path.startswith("/api/"):
            self._check_token(request)
            return await self._api(request, path.removeprefix("/api/"))
        name = "index.html" if path == "/" else path.removeprefix("/page/")
        if name not in self._page:
            raise _Refused(404, f"there is nothing at {path}")
        if request.method not in ("GET", "HEAD"):
            raise _Refused(405, f"{path}: expected GET, found {request.method}")
        kind, content = self._page[name]
        return Response(content, media_type=kind)

    def _let_in(self, request: Request) -> None:
        """Refuse other hosts, and pages that are not our own: an `Origin` is the address that was asked, or none."""
        headers = dict(request.scope["headers"])
        host = headers.get(b"host", b"")
        if refusal := OWN_MACHINE.refusal({b"host": host}):
            raise _Refused(403, refusal.partition(";")[0])
        origin = headers.get(b"origin")
        if origin is not None and origin != b"http://" + host:
            raise _Refused(403, f'origin "{origin.decode("latin-1")}" is not allowed')

    def _check_token(self, request: Request) -> None:
        given = request.headers.get(TOKEN_HEADER, "")
        if not secrets.compare_digest(given.encode(), self._token.encode()):
            raise _Refused(403, "the token is missing or wrong; open the address that `slotwise studio` printed")

    async def _api(self, request: Request, name: str) -> Response:
        told = {"schema": api.api_schema, "start": self._file.start}
        if name in told:
            if request.method != "GET":
                raise _Refused(405, f"/api/{name}: expected GET, found {request.method}")
            try:
                return JSONResponse(await asyncio.to_thread(told[name]))
            except SlotwiseError as error:
                raise _Refused(409, str(error)) from None
        if name not in api.QUESTIONS:
            expected = ", ".join((*told, *api.QUESTIONS))
            raise _Refused(404, f"/api/{name}: expected one of {expected}")
        if request.method != "POST":
            raise _Refused(405, f"/api/{name}: expected POST, found {request.method}")
        form, answered = api.QUESTIONS[name]
        asked = _read(form, await _body(request))
        if isinstance(asked, FileAsked):  # saving is not for a worker: one may be ended at any time
            return JSONResponse((await asyncio.to_thread(self._file.answer, asked)).model_dump(mode="json"))
        place = self._file.place
        if isinstance(asked, TaskAsked):
            return JSONResponse((await self._tasks.answer(name, asked, place)).model_dump(mode="json"))
        lane = self._lanes[_lane(asked)]
        body = {"name": name, "asked": asked.model_dump(mode="json"), "file": str(place.file)}
        body["profiles"] = list(place.profiles)
        stage = asked.stage if isinstance(asked, api.FiguresAsked) else name
        try:
            answer = await lane.ask(asked.tab, stage, asked.version, json.dumps(body).encode())
        except NotAnswered as ended:
            short = answered(tab=asked.tab, version=asked.version, state=ended.why, message=str(ended))
            answer = short.model_dump_json().encode()
        return Response(answer, media_type="application/json")


def _lane(asked: api.StudioQuestion) -> str:
    if isinstance(asked, TimelineAsked):
        return "timeline"
    if isinstance(asked, PredictedAsked):
        return "simulation"
    if not isinstance(asked, api.FiguresAsked):
        return "look"
    return "first simulation" if asked.stage == "preliminary" else "simulation"


async def _body(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES:
            raise _Refused(413, f"expected a request of at most {BODY_BYTES} bytes, found more")
        parts.append(part)
    return b"".join(parts)


def _read(form: type[api.StudioQuestion], body: bytes) -> api.StudioQuestion:
    """Read a request; what is wrong in it is said place by place."""
    try:
        return form.model_validate_json(body)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, detail['loc'])) or 'the request'}: {detail['msg']}"
            for detail in error.errors(include_url=False, include_input=False)[:20]
        ]
        raise _Refused(400, "\n".join(lines)) from None


def _page() -> dict[str, tuple[str, bytes]]:
    """Return the page's files: their type and content, by name."""
    return {
        one.name: (_TYPES[f".{one.name.rpartition('.')[2]}"], one.read_bytes())
        for one in files("harness.studio").joinpath("page").iterdir()
        if f".{one.name.rpartition('.')[2]}" in _TYPES
    }
