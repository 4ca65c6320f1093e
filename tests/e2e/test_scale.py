"""Whole pipelines come, die and go, under load: what is there already goes on serving."""

from __future__ import annotations

from tests.e2e.conftest import Lifecycle, gpus
from tests.e2e.llm import LLM, NAMESPACE
from tests.e2e.traffic import FAIL_FAST
from tests.kubectl import kubectl

CONNECTIONS = 2
"""Of the client. None should be cut, and none was since the drain counts the requests of an ingress; before, it was
one in each run. Until more runs have shown it, one per connection is let pass."""
PAUSE = 0.5
"""Seconds between a client's requests: what it asks for is computed by the cores that start the other replica."""
TWO = {"desired": 2, "ready": 2}
ONE = {"desired": 1, "ready": 1}


def scale(llm: LLM, replicas: int) -> str:
    """kubectl scale."""
    return kubectl("-n", NAMESPACE, "scale", "llm", llm.name, f"--replicas={replicas}")


def replicas(llm: LLM) -> set[str]:
    """Serve's ids of the replicas in the status."""
    return {stage["replica"] for stage in llm.status["stages"]}


def test_a_second_replica_joins_and_the_first_goes_on_serving(llm: LLM, lifecycle: Lifecycle) -> None:
    gpus(2)
    before, first = llm.uids(), replicas(llm)
    verdicts: set[str] = set()

    def joined() -> bool:
        verdicts.add(llm.status["diagnosis"]["verdict"])
        return llm.is_("Ready") and llm.status["replicas"] == TWO

    outcome = lifecycle.measure("replicas 1 to 2", llm.address, lambda: scale(llm, 2), joined, pause=PAUSE)
    assert "ColdStart" in verdicts, verdicts
    assert outcome.failed == 0, outcome.details
    assert before < llm.uids() and first < replicas(llm)


def test_of_two_replicas_one_dies_and_the_other_goes_on_serving(llm: LLM, lifecycle: Lifecycle) -> None:
    outcome = lifecycle.measure(
        "stage pod killed, two replicas",
        llm.address,
        lambda: llm.delete_pod(llm.stage_pod(1), "--grace-period=0", "--force"),
        lambda: llm.is_("Ready") and llm.status["replicas"] == TWO,
        noticed=lambda: llm.is_("Degraded"),
        pause=PAUSE,
    )
    assert outcome.outage < FAIL_FAST, "the other replica went on serving"
    assert outcome.longest < FAIL_FAST, outcome.details


def test_of_two_replicas_one_leaves_and_the_other_was_never_touched(llm: LLM, lifecycle: Lifecycle) -> None:
    before, both = llm.uids(), replicas(llm)
    outcome = lifecycle.measure(
        "replicas 2 to 1",
        llm.address,
        lambda: scale(llm, 1),
        lambda: llm.is_("Ready") and llm.status["replicas"] == ONE and len(llm.pods()) == 3,
    )
    gpus(1)
    assert outcome.failed <= CONNECTIONS, outcome.details
    assert llm.uids() < before and replicas(llm) < both
