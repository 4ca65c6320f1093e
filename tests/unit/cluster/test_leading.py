"""The process around the election: it stands by, works, lets go when told to stop, and ends when it lost the Lease."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

import pytest
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from prometheus_client import generate_latest
from rayspan import errors, leading
from rayspan.cluster import kinds
from rayspan.cluster.client import Client
from rayspan.leading import Question, identity, leadership
from rayspan.settings import Settings
from rayspan.telemetry import Telemetry

from tests.unit.cluster.leases import Line, Server, candidate
from tests.unit.no_time import in_no_time

ELECTED = Settings(leader_elect=True, lease_namespace="rayspan-system")


class Session(Line):
    """A line to the server that is closed in the end."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self.closed = False

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    one = Session(Server())

    async def connect(kubeconfig: str | None, timeout_seconds: float) -> Session:
        assert timeout_seconds == 2, "a request that hangs leaves time for another"
        return one

    monkeypatch.setattr(leading, "connect", connect)
    return one


def led(
    telemetry: Telemetry, ended: list[int], stop: asyncio.Event | None = None
) -> AbstractAsyncContextManager[Question | None]:
    """In the loop's time; exit codes are noted, and the process goes on."""
    clock = asyncio.get_running_loop().time
    return leadership(ELECTED, telemetry, stop or asyncio.Event(), clock, ended.append)


def gauge(telemetry: Telemetry) -> str:
    (line,) = (
        each
        for each in generate_latest(telemetry.registry).decode().splitlines()
        if each.startswith("rayspan_leader ")
    )
    return line


async def test_without_election_it_works_at_once_and_asks_nobody(session: Session) -> None:
    telemetry = Telemetry()
    assert gauge(telemetry) == "rayspan_leader 0.0"
    async with leadership(Settings(), telemetry, asyncio.Event()) as may_write:
        assert may_write is not None and may_write()
        assert gauge(telemetry) == "rayspan_leader 1.0"
    assert session.sent == []


@in_no_time
async def works_and_lets_go(session: Session, telemetry: Telemetry, ended: list[int]) -> None:
    async with led(telemetry, ended) as may_write:
        assert may_write is not None and may_write()
        assert gauge(telemetry) == "rayspan_leader 1.0"
        await asyncio.sleep(30)
        assert may_write()
        assert session.server.holder.startswith(identity().split("_")[0])
    assert not may_write()
    assert (session.server.holder, gauge(telemetry), session.closed) == ("", "rayspan_leader 0.0", True)


def test_it_works_while_it_leads_and_lets_go_when_the_work_is_done(session: Session) -> None:
    ended: list[int] = []
    works_and_lets_go(session, Telemetry(), ended)
    assert ended == []


def test_it_lets_go_when_the_work_fails(session: Session) -> None:
    @in_no_time
    async def test() -> None:
        with pytest.raises(ZeroDivisionError):
            async with led(Telemetry(), []):
                raise ZeroDivisionError

    test()
    assert session.server.holder == ""


def test_a_standby_that_is_told_to_stop_never_works(session: Session) -> None:
    @in_no_time
    async def test() -> None:
        other, stop, telemetry = candidate(Line(session.server), "other"), asyncio.Event(), Telemetry()
        await other.acquire()
        holding = asyncio.create_task(other.hold())
        asyncio.get_running_loop().call_later(60, stop.set)
        async with led(telemetry, [], stop) as may_write:
            assert may_write is None
        assert asyncio.get_running_loop().time() == pytest.approx(60, abs=0.1)
        assert (session.server.holder, gauge(telemetry)) == ("other", "rayspan_leader 0.0")
        holding.cancel()

    test()


def test_a_process_that_lost_the_lease_ends_at_once(
    session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[int] = []

    @in_no_time
    async def test() -> None:
        async with led(Telemetry(), ended) as may_write:
            assert may_write is not None
            session.cut = True
            await asyncio.sleep(3.9)
            assert may_write() and ended == []
            await asyncio.sleep(0.2)
            assert not may_write() and ended == [1]

    with caplog.at_level(logging.CRITICAL):
        test()
    assert caplog.messages == [
        "the Lease rayspan-system/rayspan could not be renewed for 4 s: this process ends, for another one may lead by now"
    ]


def test_a_process_that_cannot_hold_the_lease_for_a_reason_that_nobody_thought_of_ends_too(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []

    async def update(wanted: object) -> None:
        raise ValueError("the answer is a page of a proxy")

    @in_no_time
    async def test() -> None:
        async with led(Telemetry(), ended) as may_write:
            assert may_write is not None
            monkeypatch.setattr(session, "update", update)
            await asyncio.sleep(1)
            assert ended == [1] and not may_write()

    test()


WRONG: dict[str, tuple[Settings, str]] = {
    "no namespace": (
        Settings(leader_elect=True),
        r"set RAYSPAN_LEASE_NAMESPACE \(--lease-namespace\) to the operator's own namespace",
    ),
    "no time": (
        Settings(leader_elect=True, lease_namespace="a", lease_seconds=2),
        "RAYSPAN_LEASE_SECONDS is 2; it should be 3 or more",
    ),
}


@pytest.mark.parametrize(("wrong", "message"), WRONG.values(), ids=list(WRONG))
async def test_settings_that_cannot_work_are_named(wrong: Settings, message: str) -> None:
    with pytest.raises(errors.SettingsError, match=message):
        async with leadership(wrong, Telemetry(), asyncio.Event()):
            pass


def test_two_processes_of_one_pod_are_two_candidates() -> None:
    assert identity() != identity()
    assert identity().split("_")[0] == identity().split("_")[0] != ""


class Answers:
    """Stands in for the connection: an object for whatever is asked."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.status = 200

    async def request(self, method: str, url: str, **_: Any) -> Answers:
        self.sent.append(method)
        return self

    async def read(self) -> bytes:
        return b"{}"


async def test_a_client_reads_but_writes_no_more_when_the_lease_is_lost() -> None:
    api, answers, leads = ApiClient(Configuration()), Answers(), True
    first: Any = api.rest_client
    api.rest_client = cast(Any, answers)
    client = Client(api, 1, lambda: leads)
    new = {"apiVersion": "v1", "kind": "Event", "metadata": {"namespace": "a", "name": "b"}}
    writes: dict[str, Callable[[], Any]] = {
        "POST": lambda: client.create(new),
        "PUT": lambda: client.update(new),
        "PATCH": lambda: client.patch(kinds.RAY_CLUSTER, "a", "b", []),
        "DELETE": lambda: client.delete(kinds.RAY_SERVICE, "a", "b"),
    }
    try:
        for write in writes.values():
            await write()
        assert answers.sent == list(writes)
        leads = False
        await client.get(kinds.POD, "a", "b")
        for method, write in writes.items():
            with pytest.raises(errors.LeaseLost, match=f"^{method} /api.* was not sent: another process may"):
                await write()
        assert answers.sent == [*writes, "GET"]
    finally:
        api.rest_client = first
        await client.close()
