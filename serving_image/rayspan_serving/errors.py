"""Errors as OpenAI clients expect them: a JSON body with one `error` object.

`503` always carries `Retry-After`: clients of the OpenAI libraries then try again by themselves.
"""

import json
from typing import Any

from starlette.responses import JSONResponse

RETRY_AFTER_SECONDS = 5


def body(status: int, message: str, kind: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": status}}


def response(status: int, message: str, kind: str) -> JSONResponse:
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 503 else None
    return JSONResponse(body(status, message, kind), status_code=status, headers=headers)


LOST = (503, "The replica that served this request was lost. Try again.", "service_unavailable")


def event(status: int, message: str, kind: str) -> str:
    """The same inside a stream whose status was already sent."""
    return f"data: {json.dumps(body(status, message, kind))}\n\n"


def last_event(status: int, message: str, kind: str) -> str:
    """An error that ends its stream."""
    return event(status, message, kind) + "data: [DONE]\n\n"


def no_replica(model: str) -> JSONResponse:
    return response(
        503, f"No replica of {model} is up at the moment. Try again shortly.", "service_unavailable"
    )


def no_application() -> JSONResponse:
    text = "The model is starting or being replaced. Try again shortly."
    return response(503, text, "service_unavailable")


def describe(error: BaseException, model: str) -> tuple[int, str, str]:
    """(status, message, type) for what went wrong behind the ingress. Internals stay in the log."""
    names = {base.__name__ for link in chain(error) for base in type(link).__mro__}
    if names & LOST_REPLICA:
        return LOST
    if names & BUSY:
        return 503, f"All replicas of {model} are busy. Try again shortly.", "service_unavailable"
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        text = getattr(error, "message", None) or getattr(error, "detail", None) or str(error)
        return status, str(text), str(getattr(error, "type", None) or "invalid_request_error")
    return 500, "The request failed inside the server; its log has the reason.", "internal_server_error"


LOST_REPLICA = {
    "ActorDiedError",
    "ActorUnavailableError",
    "EngineDeadError",
    "EngineGenerateError",
    "NodeDiedError",
    "ObjectLostError",
    "OwnerDiedError",
    "RayActorError",
    "ReplicaUnavailableError",
    "WorkerCrashedError",
}
"""By name: vLLM's and Ray's errors arrive wrapped in classes that Ray makes on the fly."""

BUSY = {"BackPressureError"}


def chain(error: BaseException) -> list[BaseException]:
    """The error and what it was raised from, also through Ray's `cause`."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        link = getattr(link, "cause", None) or link.__cause__
    return links


def lost_replica(error: BaseException) -> bool:
    return bool({base.__name__ for link in chain(error) for base in type(link).__mro__} & LOST_REPLICA)
