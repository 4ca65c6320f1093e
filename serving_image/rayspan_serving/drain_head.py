"""The head goes last: what `python -m rayspan_serving.drain --head`, its preStop hook, waits for.

When a cluster is deleted, all its pods are told to end at once. A request that waits for another pod fails when Ray
tells that the pod's node is dead, and only the head tells. So the head stays while another node is draining
(rayspan_serving.drain announced it) and that node's raylet takes connections: Ray itself counts a killed node as
alive and draining for some 10 s more, until enough health checks have failed. Where no node drains, the head alone is
being deleted, and nothing holds it up.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rayspan_serving.raylet import Raylet, answers

ANNOUNCE_SECONDS = 5.0
"""For the nodes that were told to end at the same time to announce it: they do so 3 s later
(rayspan_serving.drain.SETTLE_SECONDS). Counted from the first reading: what comes before it, importing Ray, takes
them as long. A head that goes alone serves on meanwhile."""
LOOK_SECONDS = 0.5
GONE_LOOKS = 2
READ_SECONDS = 2.0


def wait(
    others_leave: Callable[[], bool],
    until: float,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Looks until no other node is leaving any more, or `until`; says why it ended."""
    first = now()
    gone = 0
    while now() < until:
        gone = 0 if others_leave() else gone + 1
        if gone >= GONE_LOOKS and now() - first >= ANNOUNCE_SECONDS:
            return "no other node is leaving"
        sleep(LOOK_SECONDS)
    return "its time is over"


def reader(raylet: Raylet) -> Callable[[], bool]:
    """Whether another node is leaving and not gone, read from Ray's state store. Without the store there is nobody
    left who could tell, and so nothing to wait for."""
    if not answers(raylet.gcs_address):
        return lambda: False
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # a compiled module

    client = GcsClient(address=raylet.gcs_address)

    def others_leave() -> bool:
        try:
            draining = client.get_draining_nodes(timeout=READ_SECONDS)
            nodes = client.get_all_node_info(timeout=READ_SECONDS) if draining else {}
        except Exception as error:
            print(f"drain: the state store does not answer: {error!r}")
            return False
        places = list(addresses(raylet.node_id, draining, nodes))
        with ThreadPoolExecutor(max(1, len(places))) as looks:  # one that is gone takes a second to find out
            return any(list(looks.map(answers, places)))

    return others_leave


def addresses(own: str, draining: Mapping[str, int], nodes: Mapping[Any, Any]) -> Iterator[str]:
    """Where the raylets of the draining nodes other than `own` listen.

    draining: deadlines by hex id; nodes: GcsNodeInfo by NodeID (GcsClient.get_draining_nodes, get_all_node_info).
    """
    for node, info in nodes.items():
        if node.hex() in draining and node.hex() != own:
            yield f"{info.node_manager_address}:{info.node_manager_port}"
