"""Whether the stages of one replica live, seen from that replica.

Each stage is a RayWorkerProc actor whose `run` returns only at its end. One more call to it waits behind `run` for
as long as the stage lives, and fails the moment Ray knows that the actor, its process or its node is gone: no
polling, and the same sign that vLLM's own monitor goes by (vllm/v1/executor/ray_executor_v2.py).
"""

import contextlib
import logging
import threading
import time
from typing import Any

import ray
from ray._private.state import (
    state as cluster_state,
)  # node drains have no public reader; Serve reads them here
from ray.util import list_named_actors

logger = logging.getLogger("ray.serve")

LOOK_SECONDS = 1.0


class Stages:
    def __init__(self, prefix: str, nodes: set[str]) -> None:
        """prefix: what the stage actors' names begin with; nodes: hex ids of the nodes they are on."""
        self._prefix = prefix
        self._nodes = nodes
        self._names: dict[Any, str] = {}
        self.draining: str | None = None

    def find(self) -> None:
        """Leave a call waiting at each stage, and look for drains from now on. Engines without stage actors (one
        node, "mp") have none."""
        threading.Thread(target=self._look_for_drains, name="drain-watch", daemon=True).start()
        if not self._prefix:
            return
        for actor in list_named_actors(all_namespaces=True):
            if actor["name"].startswith(self._prefix):
                handle = ray.get_actor(actor["name"], namespace=actor["namespace"])
                self._names[handle.__ray_ready__.remote()] = actor["name"]
        logger.info("watching stages: %s", ", ".join(sorted(self._names.values())) or "none")

    def lost(self) -> str | None:
        """Waits up to LOOK_SECONDS; a sentence if a stage is gone."""
        if not self._names:
            time.sleep(LOOK_SECONDS)
            return None
        done, _ = ray.wait(list(self._names), num_returns=1, timeout=LOOK_SECONDS)
        return f"stage {self._names[done[0]]} is gone" if done else None

    def _look_for_drains(self) -> None:
        """A thread of its own: while the head is away one look takes up to a minute, and that is when stages are lost."""
        while ray.is_initialized():
            with contextlib.suppress(Exception):  # without a head nothing is known, and nothing follows
                draining = cluster_state.get_draining_nodes()
                self.draining = next((node for node in draining if node in self._nodes), None)
            time.sleep(LOOK_SECONDS)
