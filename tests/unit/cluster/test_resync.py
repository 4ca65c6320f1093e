"""What no event told of is found all the same; what has a loop is left alone."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from rayspan import errors
from rayspan.cluster import kinds
from rayspan.cluster.client import Client
from rayspan.resync import resync
from rayspan.telemetry import Telemetry
from rayspan.wakeups import Key, Wakeups

from tests.unit.no_time import in_no_time


class Cluster:
    """Stands in for the API server: LLMDeployments by namespace; one that is not there may not be listed."""

    def __init__(self, **names: list[str]) -> None:
        self.names = names

    async def find(self, kind: kinds.Kind, namespace: str | None) -> list[dict[str, Any]]:
        assert kind is kinds.LLM_DEPLOYMENT
        if namespace is not None and namespace not in self.names:
            raise errors.Forbidden(403, "Forbidden", "llmdeployments is forbidden")
        return [
            {"metadata": {"namespace": where, "name": name}}
            for where, names in self.names.items()
            for name in names
            if namespace in (None, where)
        ]


async def looked_at(cluster: Cluster, namespaces: tuple[str, ...], seconds: float, *woken: Key) -> list[Key]:
    passes: list[Key] = []

    async def one_pass(key: Key, news: bool, edited: asyncio.Event) -> float | None:
        passes.append(key)
        return 1000.0

    wakeups = Wakeups(one_pass, Telemetry())
    for key in woken:
        wakeups.wake(*key)
    task = asyncio.create_task(resync(cast(Client, cluster), namespaces, wakeups, 300))
    await asyncio.sleep(seconds)
    task.cancel()
    await wakeups.stop()
    return passes


@in_no_time
async def test_a_deployment_that_no_event_told_of_gets_its_loop() -> None:
    assert await looked_at(Cluster(a=["x"]), (), 299) == []
    assert await looked_at(Cluster(a=["x"]), (), 301) == [("a", "x")]


@in_no_time
async def test_one_that_has_a_loop_is_not_looked_at_more_often() -> None:
    assert await looked_at(Cluster(a=["x", "y"]), (), 700, ("a", "x")) == [("a", "x"), ("a", "y")]


@in_no_time
async def test_a_namespace_that_may_not_be_listed_hinders_no_other() -> None:
    assert await looked_at(Cluster(b=["x"], c=["y"]), ("a", "b"), 301) == [("b", "x")]
