"""Serve's default way to choose a replica, writing down what it knows.

What a router learns is told to subclasses through Serve's hooks (`ray.serve.request_router`). Serve ships this
module to the ingress by value, so that globals in here would be nobody else's: what is written down lies in
`rayspan_serving.replicas`.
"""

from typing import Any

from ray.serve._private.request_router.pow_2_router import PowerOfTwoChoicesRequestRouter
from ray.serve.request_router import PendingRequest, ReplicaID, RunningReplica

from rayspan_serving import replicas


class Router(PowerOfTwoChoicesRequestRouter):
    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        super().update_replicas(replicas)
        self._note()

    def on_replica_actor_died(self, replica_id: ReplicaID) -> None:
        super().on_replica_actor_died(replica_id)
        self._note()

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """The one that the request is meant for, if it is up: so the operator asks each replica for itself."""
        wanted = pending_request and replicas.wanted(pending_request.metadata.request_id)
        meant = [one for one in candidate_replicas if one.replica_id.unique_id == wanted]
        return [meant] if meant else await super().choose_replicas(candidate_replicas, pending_request)

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: Any) -> None:
        super().on_request_routed(pending_request, replica_id, result)
        replicas.note_taken(pending_request.metadata.request_id, replica_id.unique_id)

    def _note(self) -> None:
        replicas.note_up(self._deployment_id.name, len(self.curr_replicas))
