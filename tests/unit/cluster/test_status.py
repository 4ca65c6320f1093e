"""An event is told for what turned since this process wrote, whatever status was read."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from rayspan.api.v1alpha1 import Condition, LLMDeployment, Status
from rayspan.cluster.memory import Memory
from rayspan.cluster.metrics import Window
from rayspan.cluster.status import write_status
from rayspan.report.input import Settings


class Client:
    """Takes all, and keeps the events."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def apply_status(self, *_: object) -> None:
        pass

    async def create(self, event: dict[str, Any]) -> None:
        self.told.append(event["reason"])


def seen(reason: str) -> Status:
    """A status that does not serve for this reason."""
    one = Condition(
        type="Serving", status="False", reason=reason, message="", last_transition_time="2026-01-01T00:00:00Z"
    )
    return Status(conditions=[one])


def deployment(status: Status) -> LLMDeployment:
    metadata = {"name": "a", "namespace": "ns", "uid": "u"}
    read = LLMDeployment.model_validate({"metadata": metadata, "spec": {"model": {"id": "m"}}})
    return read.model_copy(update={"status": status})


def test_a_status_that_was_read_late_tells_nothing_twice() -> None:
    client, memory = Client(), Memory("u", Window(60.0))
    read = (seen("HeadLost"), seen("HeadLost"), Status(), seen("StageLost"))
    wanted = (seen("StageLost"), seen("StageLost"), seen("StageLost"), seen("HeadLost"))
    for before, after in zip(read, wanted, strict=True):
        asyncio.run(write_status(cast(Any, client), deployment(before), after, memory, Settings(), 1.0))
    assert client.told == ["StageLost", "HeadLost"]
