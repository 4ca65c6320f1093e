"""Which replicas the ingress could send a request to, and which one took it, known without asking anyone.

Serve's router holds a request back for as long as there is no replica; a client then hangs instead of hearing 503.
What the router knows it writes down here (`rayspan_serving.router`), and the ingress, in the same process, reads it.
"""

_up: dict[str, int] = {}
"""Replicas that are up, by Serve deployment name; no entry before the controller has told."""

_wanted: dict[str, str] = {}
"""The replica that a request is meant for, by Serve's request id, until `done`."""

_taken: dict[str, str] = {}
"""The replica that took a request, by Serve's request id, until `forget`."""


def note_up(deployment: str, count: int) -> None:
    _up[deployment] = count


def want(request_id: str, replica: str) -> None:
    _wanted[request_id] = replica


def wanted(request_id: str) -> str | None:
    """The replica that this request is meant for, None: any."""
    return _wanted.get(request_id)


def note_taken(request_id: str, replica: str) -> None:
    _taken[request_id] = replica


def up(deployment: str) -> int | None:
    """How many replicas could take a request now; None when nothing is known yet."""
    return _up.get(deployment)


def taken(request_id: str) -> str | None:
    """The replica that took this request, None while it waits for one."""
    return _taken.get(request_id)


def forget(request_id: str) -> None:
    _taken.pop(request_id, None)


def done(request_id: str) -> None:
    """The request has its answer."""
    forget(request_id)
    _wanted.pop(request_id, None)
