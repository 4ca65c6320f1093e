"""A router that can be set to send everything to one replica."""

from typing import Any

from rayspan_serving.router import Router
from settable_engine import Settings


class SkewedRouter(Router):
    async def choose_replicas(
        self, candidate_replicas: list[Any], pending_request: Any = None
    ) -> list[list[Any]]:
        if Settings.read().skew and candidate_replicas:
            return [[min(candidate_replicas, key=lambda one: one.replica_id.unique_id)]]
        return await super().choose_replicas(candidate_replicas, pending_request)
