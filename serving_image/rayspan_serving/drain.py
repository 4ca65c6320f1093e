"""Ends this pod's part in serving, for a preStop hook: `python -m rayspan_serving.drain`.

1. The proxy here closes connections from now on (rayspan_serving.farewell), and the Ray node is marked as
   draining. The proxy then reports itself unhealthy, and every replica with a stage here reports itself unhealthy
   too (rayspan_serving.server), so that Serve sends it nothing new, lets what it has in flight finish, and takes
   it down.
2. Waits for the other nodes to know that this pod takes nothing new, and then until no stage runs here and no
   request is in flight here, at most RAYSPAN_DRAIN_SECONDS (default 25: keep it 5 s under the pod's
   terminationGracePeriodSeconds).
3. Kills the raylet. The pod ends with it, instead of going through Ray's own drain on SIGTERM (another 30 s), and
   Kubernetes can start the replacement.

Nothing here imports Ray but the one call of step 1: the processes tell what is needed.
"""

import contextlib
import os
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rayspan_serving.farewell import MARK

DEFAULT_SECONDS = 25.0
LOOK_SECONDS = 0.5
SETTLE_SECONDS = 4.0
"""For kube-proxies to send nothing new here (about a second), and then for the metrics to tell of what is in flight
(every 2 s): a request that just came in must not be cut."""
STAGE_TITLE = "ray::RayWorkerProc"
IN_FLIGHT = (
    "ray_rayspan_requests_in_flight",
    "ray_vllm_num_requests_running",
    "ray_vllm_num_requests_waiting",
)


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    command: tuple[str, ...]


@dataclass(frozen=True)
class Raylet:
    """What the command line of this pod's raylet says."""

    pid: int
    node_id: str
    gcs_address: str
    metrics_port: int


def main() -> None:
    began = time.monotonic()
    end = began + float(os.environ.get("RAYSPAN_DRAIN_SECONDS") or DEFAULT_SECONDS)
    MARK.touch()
    raylet = next(raylets(processes()), None)
    if raylet is None:
        print("drain: no raylet here")
        return
    announce(raylet, end - time.monotonic())
    time.sleep(max(0.0, min(began + SETTLE_SECONDS, end) - time.monotonic()))
    while time.monotonic() < end and not idle(raylet):
        time.sleep(LOOK_SECONDS)
    print("drain: ending the node")
    with contextlib.suppress(ProcessLookupError):
        os.kill(raylet.pid, signal.SIGKILL)


def processes(root: Path = Path("/proc")) -> Iterator[Process]:
    for folder in root.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                command = (folder / "cmdline").read_bytes().decode("utf-8", "replace")
                parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[1]
                yield Process(int(folder.name), int(parent), tuple(command.rstrip("\0").split("\0")))


def raylets(among: Iterator[Process]) -> Iterator[Raylet]:
    for process in among:
        if Path(process.command[0]).name != "raylet":
            continue
        flags = dict(re.findall(r"^--([\w-]+)=(.*)$", "\n".join(process.command), re.MULTILINE))
        with contextlib.suppress(KeyError, ValueError):
            yield Raylet(
                process.pid, flags["node_id"], flags["gcs-address"], int(flags["metrics_export_port"])
            )


def announce(raylet: Raylet, seconds: float) -> None:
    """Mark the node as draining in Ray's own state; if the head is away, there is nobody to tell."""
    child = os.fork()
    if child == 0:
        try:
            from ray._raylet import GcsClient  # type: ignore[attr-defined]  # a compiled module
            from ray.core.generated import autoscaler_pb2

            reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")  # type: ignore[attr-defined]
            deadline = int((time.time() + seconds) * 1000)
            accepted, why = GcsClient(address=raylet.gcs_address).drain_node(
                raylet.node_id, reason, "The pod is being deleted.", deadline
            )
            print("drain: announced" if accepted else f"drain: refused: {why}", flush=True)
        finally:
            os._exit(0)
    give_up = time.monotonic() + min(10.0, seconds)
    while time.monotonic() < give_up:
        if os.waitpid(child, os.WNOHANG)[0]:
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def idle(raylet: Raylet) -> bool:
    """No stage process of this node is left, and its metrics know of no request. Metrics lag by up to 2 s, so
    the processes are asked first: a stage is taken down by Serve only after its requests are done."""
    if any(p.parent == raylet.pid and p.command[0].startswith(STAGE_TITLE) for p in processes()):
        return False
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{raylet.metrics_port}/metrics", timeout=2) as page:
            return in_flight(page.read().decode()) == 0
    except OSError:
        return True


def in_flight(page: str) -> float:
    """Requests that a metrics page in Prometheus' text format knows of, the larger of what proxy and engine say."""
    found = dict.fromkeys(IN_FLIGHT, 0.0)
    for line in page.splitlines():
        name = re.split(r"[{ ]", line, maxsplit=1)[0]
        if name in found:
            with contextlib.suppress(ValueError):
                found[name] += float(line.rsplit(" ", 1)[1])
    ingress, running, waiting = (found[name] for name in IN_FLIGHT)
    return max(ingress, running + waiting)


if __name__ == "__main__":
    main()
