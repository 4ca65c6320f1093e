"""Two operators with the chart's own grants: one works, the other follows, and what was done is not done twice."""

from __future__ import annotations

import os
import secrets
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.conftest import Operator, apply_inspected, condition, deployment, exists, until
from tests.api.server import free_port
from tests.api.test_roles import DEFINES, rendered
from tests.kubectl import apply, get, kubectl

HOME = "rayspan-system"
LEASE = ("-n", HOME, "lease", "rayspan")
TAKEOVERS = int(os.environ.get("RAYSPAN_TAKEOVERS", "3"))
"""Of killed leaders, in one run."""


class Replica(Operator):
    """One of them. Its ports can be asked."""

    def __init__(self, namespace: str, folder: Path, key: Path) -> None:
        folder.mkdir()
        self._health, self._metrics = free_port(), free_port()
        super().__init__(
            namespace,
            folder,
            as_its_account=True,
            RAYSPAN_KEY_FILE=str(key),
            RAYSPAN_LISTEN_PORT=str(self._health),
            RAYSPAN_METRICS_PORT=str(self._metrics),
            RAYSPAN_LEADER_ELECT="true",
            RAYSPAN_LEASE_NAMESPACE=HOME,
            RAYSPAN_LEASE_NAME="rayspan",
        )

    def well(self) -> bool:
        """Whether its probes succeed."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._health}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def number(self, metric: str) -> float:
        """A metric of its own, over all labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split(" ")[0] == metric)

    def leads(self) -> bool:
        """Whether it says that it works."""
        return self.number("rayspan_leader") == 1


@pytest.fixture
def replicas(namespace: str, tmp_path: Path) -> Iterator[list[Replica]]:
    """Two, of which the first leads; the second is well and stands by."""
    if not exists("namespace", HOME):
        kubectl("create", "namespace", HOME)
    for each in rendered(DEFINES, "--set", f"watchNamespaces={{{namespace}}}", "--set", "replicas=2"):
        apply(each)
    key = tmp_path / "master-key"
    key.write_text(secrets.token_hex(32))
    two: list[Replica] = []
    try:
        two.append(Replica(namespace, tmp_path / "a", key))
        until("the first one leads", lambda: two[0].well() and two[0].leads())
        two.append(Replica(namespace, tmp_path / "b", key))
        until("the second one stands by", two[1].well)
        yield two
    finally:
        for one in two:
            one.signal(signal.SIGCONT)
            one.stop()
            print(one.log.read_text())
        kubectl("-n", HOME, "delete", "lease", "rayspan", "--ignore-not-found")


def made(namespace: str, name: str) -> str:
    """Wait for a RayService; its version and generation."""
    until(f"the RayService {name}", lambda: exists("-n", namespace, "rayservice", name), seconds=20)
    metadata = get("-n", namespace, "rayservice", name)["metadata"]
    return f"{metadata['resourceVersion']} {metadata['generation']}"


def inspections(namespace: str) -> list[str]:
    """Uids of the Jobs that inspected the model of the first deployment."""
    jobs = get("-n", namespace, "job", "-l", "rayspan.dev/deployment=first")["items"]
    return [each["metadata"]["uid"] for each in jobs]


def settled(namespace: str, name: str = "first") -> bool:
    """Whether the status of a deployment says all that it will say here."""
    return condition(namespace, name, "PlanAccepted").get("status") == "True"


def test_a_killed_leader_is_followed_within_10_seconds_and_nothing_is_done_twice(
    namespace: str, replicas: list[Replica]
) -> None:
    leader, standby = replicas
    apply_inspected(deployment(namespace, "first"))
    before = made(namespace, "first")
    until("a status", lambda: settled(namespace))
    inspected, followed, took = inspections(namespace), [], []
    assert len(inspected) == 1
    for number in range(TAKEOVERS):
        assert (leader.leads(), standby.leads()) == (True, False)
        assert standby.number("rayspan_passes_total") == 0, "who stands by looks at nothing"
        leader.signal(signal.SIGKILL)
        killed = time.monotonic()
        apply(deployment(namespace, f"m{number}"))
        until("the other one leads", standby.leads)
        followed.append(round(time.monotonic() - killed, 2))
        made(namespace, f"m{number}")
        took.append(round(time.monotonic() - killed, 2))
        assert leader.ended(5) == -signal.SIGKILL
        leader.start()
        until("the killed one stands by", leader.well)
        leader, standby = standby, leader
    print(f"seconds from kill -9 to the other's lead: {followed}; to its first act: {took}")
    assert sorted(took)[len(took) // 2] < 10
    spec = get(*LEASE)["spec"]
    assert (spec["leaseTransitions"], spec["leaseDurationSeconds"]) == (TAKEOVERS, 6)
    assert made(namespace, "first") == before, "what was there already is not touched"
    assert inspections(namespace) == inspected, "the model is not inspected again"
    for number in range(TAKEOVERS):
        assert made(namespace, f"m{number}").endswith(" 1"), "written once"


def test_a_leader_that_is_stopped_hands_over_at_once(namespace: str, replicas: list[Replica]) -> None:
    leader, standby = replicas
    apply_inspected(deployment(namespace, "first"))
    made(namespace, "first")
    told = time.monotonic()
    leader.signal(signal.SIGTERM)
    until("the other one leads", standby.leads)
    took = time.monotonic() - told
    assert leader.ended(10) == 0
    print(f"seconds from SIGTERM to the other's lead: {took:.2f}")
    assert took < 6, "less than what it takes to find that a leader is gone"
    apply(deployment(namespace, "second"))
    made(namespace, "second")
    leader.start()
    until("it is back", leader.well)


def test_a_leader_that_stood_still_does_not_write_when_it_wakes_up(
    namespace: str, replicas: list[Replica]
) -> None:
    leader, standby = replicas
    apply_inspected(deployment(namespace, "first"))
    made(namespace, "first")
    leader.signal(signal.SIGSTOP)
    until("the other one leads", standby.leads, seconds=20)
    # What the one that stands still would undo if it knew no better: it saw the RayService last.
    kubectl("-n", namespace, "delete", "llm", "first", "--wait=true")
    leader.signal(signal.SIGCONT)
    assert leader.ended(10) == 1
    assert "this process ends, for another one may lead by now" in leader.log.read_text()
    time.sleep(2)
    assert not exists("-n", namespace, "llm", "first")
    until("nothing is left", lambda: not get("-n", namespace, "rayservice,secret")["items"], seconds=60)
    assert standby.leads()
    leader.start()
    until("it is back", leader.well)


def test_the_lease_says_who_works(namespace: str, replicas: list[Replica]) -> None:
    spec = get(*LEASE)["spec"]
    assert spec["holderIdentity"].count("_") >= 1
    assert spec["renewTime"] > spec["acquireTime"]
    until("it is renewed", lambda: get(*LEASE)["spec"]["renewTime"] > spec["renewTime"], seconds=5)
    again = get(*LEASE)["spec"]
    assert {**again, "renewTime": ""} == {**spec, "renewTime": ""}
