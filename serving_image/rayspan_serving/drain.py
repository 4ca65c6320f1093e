"""Ends this pod's part in serving, for a preStop hook: `python -m rayspan_serving.drain`, on the head with `--head`
(rayspan_serving.drain_head).

1. The proxy here closes connections from now on (rayspan_serving.farewell), each with its answer. All that serves
   here goes on for some seconds, so that clients with a connection are sent elsewhere and not away.
2. The Ray node is marked as draining. The proxy then reports itself unhealthy, and every replica with a stage here
   reports itself unhealthy too (rayspan_serving.server), so that Serve sends it nothing new, lets what it has in
   flight finish, and takes it down.
3. Waits until no stage runs here and no proxy and no replica here has a request, at most RAYSPAN_DRAIN_SECONDS
   (default 25: keep it 5 s under the pod's terminationGracePeriodSeconds). Once the head is gone nothing more can
   be learned: a request that waits for another pod would not be told of that pod's end.
4. Kills the raylet. The pod ends with it, instead of going through Ray's own drain on SIGTERM (another 30 s), and
   Kubernetes can start the replacement. Open connections close.

What Serve 2.60 does meanwhile (deployment_state.py, proxy.py): proxies of other nodes go on sending to an ingress
here until Serve stops it, so its requests count as much as those of the proxy here. Serve stops a replica on a
draining node at once if there is one too many, else its graceful_shutdown_timeout_s before the announced deadline.
The ingress is not waited for: without a request it only answers late comers with 503, and Serve was seen to take
its whole time over stopping it, with the engine's health checks waiting behind. Serve never ends the proxy under a
request (PROXY_MIN_DRAINING_PERIOD_S and no request left), and the raylet ends itself only after proxy and replicas.

Nothing here imports Ray but the one call of step 2: processes and metrics tell what is needed.
"""

import contextlib
import os
import re
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path

from rayspan_serving import drain_head
from rayspan_serving.farewell import INSIDE, MARK
from rayspan_serving.raylet import Process, Raylet, answers, connected, processes, raylets

DEFAULT_SECONDS = 25.0
LOOK_SECONDS = 0.5
ANNOUNCE_SECONDS = 10.0
"""Importing Ray for it takes a second or two; the rest is for a busy machine."""
SETTLE_SECONDS = 3.0
"""For kube-proxies to send nothing new here (about a second, more on a busy machine), and for clients with a
connection to get an answer that closes it."""
METRICS_LAG_SECONDS = 2.5
"""What is in flight is told up to 2 s late (RAY_metrics_report_interval_ms, set by the operator) and some tenths for
the way. Nothing over that time is a reading of now, and not of a moment between two requests."""
SILENT_LOOKS = 2
STAGE_TITLE = "ray::RayWorkerProc"
"""How the title of a stage's process begins."""
IN_FLIGHT = (
    "ray_serve_num_ongoing_http_requests",
    "ray_rayspan_requests_in_flight",
    "ray_serve_replica_processing_queries",
)
"""Gauges of the proxy, Serve's own of every request and ours of those that are measured, and of the replicas here:
an ingress has requests of other pods' proxies too."""


@dataclass(frozen=True)
class Look:
    """What one look found."""

    at: float
    working: bool
    """A stage runs here."""
    requests: bool
    """The proxy or a replica here has a request, or may have one."""
    head: bool
    """The head answers."""


class Watch:
    """Puts looks together: whether the node may end now."""

    def __init__(self) -> None:
        self._quiet_since: float | None = None
        self._silent = 0

    def verdict(self, look: Look) -> str | None:
        """Why it may end; None while it may not."""
        self._silent = 0 if look.head else self._silent + 1
        if self._silent >= SILENT_LOOKS:
            return "the head is gone"
        if look.requests:
            self._quiet_since = None
            return None
        self._quiet_since = look.at if self._quiet_since is None else self._quiet_since
        quiet = look.at - self._quiet_since >= METRICS_LAG_SECONDS
        return "nothing is in flight" if quiet and not look.working else None


def main(arguments: Sequence[str]) -> None:
    began = time.monotonic()
    end = began + float(os.environ.get("RAYSPAN_DRAIN_SECONDS") or DEFAULT_SECONDS)
    leaving_head = "--head" in arguments
    if not leaving_head:
        MARK.touch()
    raylet = next(raylets(processes()), None)
    if raylet is None:
        print("drain: no raylet here")
        return
    if leaving_head:
        print(f"drain: ending the head: {drain_head.wait(drain_head.reader(raylet), end)}")
        return
    raylet = replace(raylet, gcs_address=connected(raylet.gcs_address))
    time.sleep(max(0.0, min(began + SETTLE_SECONDS, end) - time.monotonic()))
    if answers(raylet.gcs_address):
        announce(raylet, time.time() + end - time.monotonic(), end)
    print(f"drain: ending the node: {wait(lambda: look(raylet), end)}")
    with contextlib.suppress(ProcessLookupError):
        os.kill(raylet.pid, signal.SIGKILL)


def announce(raylet: Raylet, deadline: float, until: float) -> None:
    """Mark the node as draining in Ray's own state; `deadline` is by the clock on the wall, `until` is not."""
    child = os.fork()
    if child == 0:
        try:
            from ray._raylet import GcsClient  # type: ignore[attr-defined]  # a compiled module
            from ray.core.generated import autoscaler_pb2

            reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")  # type: ignore[attr-defined]
            accepted, why = GcsClient(address=raylet.gcs_address).drain_node(
                raylet.node_id, reason, "The pod is being deleted.", int(deadline * 1000)
            )
            print("drain: announced" if accepted else f"drain: refused: {why}", flush=True)
        finally:
            os._exit(0)
    give_up = min(time.monotonic() + ANNOUNCE_SECONDS, until)
    while time.monotonic() < give_up:
        if os.waitpid(child, os.WNOHANG)[0]:
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def wait(
    look: Callable[[], Look],
    until: float,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Looks until the node may end, or it has to; says why."""
    watch = Watch()
    while now() < until:
        if why := watch.verdict(look()):
            return why
        sleep(LOOK_SECONDS)
    return "its time is over"


def look(raylet: Raylet) -> Look:
    return Look(
        at=time.monotonic(),
        working=at_work(raylet, processes()),
        requests=told(INSIDE) or metered(raylet.metrics_port),
        head=answers(raylet.gcs_address),
    )


def at_work(raylet: Raylet, among: Iterable[Process]) -> bool:
    return any(p.parent == raylet.pid and p.command[0].startswith(STAGE_TITLE) for p in among)


def told(inside: Path) -> bool:
    """Whether the proxy said that it has a request. No file: nothing came or went since this pod is leaving."""
    try:
        return inside.read_text() != "0"
    except FileNotFoundError:
        return False


def metered(port: int) -> bool:
    """Whether the node's metrics know of a request here. No answer in time tells nothing, and on a busy node
    is no sign of rest; nobody there at all is one."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as page:
            return in_flight(page.read().decode("utf-8", "replace")) > 0
    except urllib.error.URLError as error:
        return not isinstance(error.reason, ConnectionRefusedError)
    except (OSError, HTTPException):
        return True


def in_flight(page: str) -> float:
    """Requests here that a page in Prometheus' text format knows of, the largest of what the gauges say."""
    found = dict.fromkeys(IN_FLIGHT, 0.0)
    for line in page.splitlines():
        name = re.split(r"[{ ]", line, maxsplit=1)[0]
        if name in found:
            with contextlib.suppress(ValueError):
                found[name] += float(line.rsplit(" ", 1)[1])
    return max(found.values())


if __name__ == "__main__":
    main(sys.argv[1:])
