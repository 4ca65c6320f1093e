"""What a restricted operator watches, and that it begins afresh when that changes; kopf itself is stood in for."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import Any, cast

import kopf
import pytest
from rayspan import errors, watching
from rayspan.cluster import kinds
from rayspan.cluster.client import Client
from rayspan.handlers import register
from rayspan.settings import Settings
from rayspan.telemetry import Telemetry
from rayspan.wakeups import Wakeups

Run = tuple[bool, list[str]]


class Cluster:
    """Stands in for the API server: kinds that are served, namespaces with a role."""

    def __init__(self, served: set[str], namespaces: set[str]) -> None:
        self.served, self.namespaces, self.away = served, namespaces, False

    async def serves(self, kind: kinds.Kind) -> bool:
        if self.away:
            raise errors.ApiUnavailable("GET /apis: connection refused")
        return kind.name in self.served

    async def find(self, kind: kinds.Kind, namespace: str, *, fields: str) -> list[dict[str, Any]]:
        if namespace not in self.namespaces:
            raise errors.Forbidden(403, "Forbidden", "pods is forbidden")
        return []


class Kopf:
    """Stands in for kopf's runs: says how each was called, takes the signals as kopf does, and runs until told.

    The first one fails, where there is something that it forgets: watchers that go on."""

    def __init__(self) -> None:
        self.runs: asyncio.Queue[Run] = asyncio.Queue()
        self.forgotten: list[asyncio.Task[None]] = []

    async def spawn_tasks(self, **given: Any) -> asyncio.Event:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
        await self.runs.put((given["clusterwide"], list(given["namespaces"])))
        flag: asyncio.Event = given["stop_flag"]
        return flag

    async def run_tasks(self, flag: asyncio.Event, *, ignored: set[asyncio.Task[Any]]) -> None:
        assert asyncio.current_task() in ignored, "kopf ends no task of ours"
        if any(not task.done() for task in self.forgotten):
            raise ConnectionError("404: the kind is gone")
        await flag.wait()

    async def next(self) -> Run:
        async with asyncio.timeout(5):
            return await self.runs.get()


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Kopf:
    one = Kopf()
    monkeypatch.setattr(kopf, "spawn_tasks", one.spawn_tasks)
    monkeypatch.setattr(kopf, "run_tasks", one.run_tasks)
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(watching, "WATCH_AGAIN_SECONDS", 0.001)
    return one


async def watched(cluster: Cluster, *namespaces: str) -> tuple[asyncio.Task[None], asyncio.Event]:
    stop = asyncio.Event()
    settings = Settings(watch_namespaces=namespaces)
    going = watching.watch(kopf.OperatorRegistry(), settings, cast(Client, cluster), stop)
    return asyncio.create_task(going), stop


async def ends(task: asyncio.Task[None], stop: asyncio.Event) -> None:
    stop.set()
    async with asyncio.timeout(5):
        await task


async def test_without_a_list_kopf_watches_the_whole_cluster(stand_in: Kopf) -> None:
    task, stop = await watched(Cluster(set(), set()))
    assert await stand_in.next() == (True, [])
    await ends(task, stop)


async def test_what_kopf_forgets_in_a_run_that_fails_is_ended_and_nothing_else(stand_in: Kopf) -> None:
    async def goes_on() -> None:
        await asyncio.Event().wait()

    loop = asyncio.create_task(goes_on(), name="a/tiny")
    watcher = asyncio.create_task(goes_on(), name="watcher for rayservices.v1.ray.io@None")
    stand_in.forgotten = [watcher]
    task, stop = await watched(Cluster(set(), set()))
    assert [await stand_in.next(), await stand_in.next()] == [(True, [])] * 2, "the second one goes on"
    await ends(task, stop)
    assert watcher.cancelled()
    assert not loop.done()
    loop.cancel()


async def test_kuberay_that_comes_later_is_noticed(stand_in: Kopf) -> None:
    cluster = Cluster({"LLMDeployment"}, {"a", "b"})
    task, stop = await watched(cluster, "b", "a")
    assert await stand_in.next() == (False, ["a", "b"])
    cluster.served |= {"RayService", "RayCluster"}
    assert await stand_in.next() == (False, ["a", "b"])
    await ends(task, stop)
    assert stand_in.runs.empty()


async def test_an_api_server_that_is_away_changes_nothing(stand_in: Kopf) -> None:
    cluster = Cluster({"LLMDeployment"}, {"a"})
    task, stop = await watched(cluster, "a")
    await stand_in.next()
    cluster.away = True
    await asyncio.sleep(0.05)
    assert stand_in.runs.empty() and not task.done()
    await ends(task, stop)


async def test_a_namespace_without_a_role_is_left_out_until_it_has_one(
    stand_in: Kopf, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = Cluster({"LLMDeployment"}, {"a"})
    with caplog.at_level(logging.WARNING):
        task, stop = await watched(cluster, "a", "b")
        assert await stand_in.next() == (False, ["a"])
    assert caplog.messages == [
        "may not list pods in the namespaces b, which are left out until that is allowed: the Role and the "
        "RoleBinding of the operator are missing there; `helm upgrade` makes them anew"
    ]
    cluster.namespaces.add("b")
    assert await stand_in.next() == (False, ["a", "b"])
    await ends(task, stop)


async def test_with_no_role_at_all_it_waits_for_one(stand_in: Kopf) -> None:
    cluster = Cluster({"LLMDeployment"}, set())
    task, stop = await watched(cluster, "a")
    await asyncio.sleep(0.05)
    assert stand_in.runs.empty(), "never clusterwide instead"
    cluster.namespaces.add("a")
    assert await stand_in.next() == (False, ["a"])
    await ends(task, stop)


@pytest.mark.parametrize("namespaces", [(), ("a",)])
async def test_a_signal_ends_it_though_kopf_takes_signals_too(stand_in: Kopf, namespaces: Any) -> None:
    task, _ = await watched(Cluster({"LLMDeployment"}, {"a"}), *namespaces)
    await stand_in.next()
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(5):
        await task
    assert stand_in.runs.empty()


@pytest.mark.parametrize(("namespaces", "disabled"), [((), False), (("a",), True)])
async def test_kopf_lists_namespaces_and_crds_only_where_it_may(namespaces: Any, disabled: bool) -> None:
    registry, telemetry = kopf.OperatorRegistry(), Telemetry()

    async def no_pass(key: tuple[str, str], news: bool, edited: asyncio.Event) -> None:
        return None

    register(registry, Wakeups(no_pass, telemetry), Settings(watch_namespaces=namespaces))
    settings = kopf.OperatorSettings()
    for handler in registry._activities.get_all_handlers():
        if "configure" in handler.id:
            await cast(Any, handler.fn)(settings=settings)
    assert settings.scanning.disabled is disabled
    assert settings.peering.standalone, "the handler was found and ran"
