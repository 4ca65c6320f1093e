"""Writing the status: once per pass, and only what a reader would care for."""

from __future__ import annotations

from contextlib import suppress

from rayspan import errors
from rayspan.api.v1alpha1 import LLMDeployment, Status
from rayspan.cluster import events
from rayspan.cluster.client import Client
from rayspan.cluster.memory import Memory
from rayspan.report.input import Settings
from rayspan.report.status import worth_writing


async def write_status(
    client: Client, deployment: LLMDeployment, new: Status, memory: Memory, settings: Settings, now: float
) -> bool:
    """Write the status and the events of conditions that turned; whether there was anything to write."""
    old = deployment.status
    if not worth_writing(old, new, now - memory.written_at, settings):
        return False
    metadata, document = deployment.metadata, new.model_dump(by_alias=True, exclude_none=True, mode="json")
    with suppress(errors.NotFound, errors.Conflict):  # gone, or another one by now
        await client.apply_status(metadata.namespace, metadata.name, metadata.uid, document)
        conditions = new.conditions or ()
        before = events.turns(old.conditions or ()) if memory.written is None else memory.written
        memory.written_at, memory.written = now, events.turns(conditions)
        await events.tell(client, deployment, events.turned(before, conditions))
    return True
