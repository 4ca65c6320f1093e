"""What a pass remembers for the next one."""

from __future__ import annotations

from rayspan.api.conditions import Phase
from rayspan.api.v1alpha1 import Condition, Status
from rayspan.cluster.memory import Memories


def seen(phase: Phase, message: str = "", **truths: str) -> Status:
    return Status(
        phase=phase,
        conditions=[
            Condition(type=kind, status=truth, reason="R", message=message, last_transition_time="t")
            for kind, truth in truths.items()
        ],
    )


def test_the_time_since_a_condition_changed_begins_anew_with_each_of_them_and_not_with_their_words() -> None:
    memory = Memories(300).of(("ns", "x"), "uid")
    for at, status, changed_at, settled in (
        (1.0, seen(Phase.STARTING, Serving="False", Ready="False"), 1.0, False),
        (5.0, seen(Phase.STARTING, "other words", Serving="False", Ready="False"), 1.0, False),
        (9.0, seen(Phase.STARTING, Serving="True", Ready="False"), 9.0, False),
        (11.0, seen(Phase.READY, Serving="True", Ready="True"), 11.0, True),
        (99.0, seen(Phase.READY, Serving="True", Ready="True"), 11.0, True),
    ):
        memory.settle(status, at)
        assert (memory.changed_at, memory.settled) == (changed_at, settled)


def test_a_deployment_made_anew_under_the_same_name_is_remembered_nothing_of() -> None:
    memories = Memories(300)
    memories.of(("ns", "x"), "uid").settled = True
    assert not memories.of(("ns", "x"), "other").settled
