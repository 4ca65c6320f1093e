"""An event is told when a condition turns, once, and never for what the next condition says already."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from rayspan.api.v1alpha1 import Condition, LLMDeployment
from rayspan.cluster.events import event, turned, turns


def condition(kind: str, status: str, reason: str) -> Condition:
    return Condition(
        type=kind, status=status, reason=reason, message="Words.", last_transition_time="2026-01-01T00:00:00Z"
    )


CASES: dict[str, tuple[tuple[str, str] | None, tuple[str, str], bool]] = {
    "Serving: it turned": (("False", "NoCompletion"), ("True", "CompletionAnswered"), True),
    "Serving: it fell": (("True", "CompletionAnswered"), ("False", "StageLost"), True),
    "Serving: another reason for the same trouble": (("False", "StageLost"), ("False", "NoCompletion"), True),
    "Serving: nothing new": (("False", "StageLost"), ("False", "StageLost"), False),
    "Serving: good from the beginning": (None, ("True", "CompletionAnswered"), False),
    "Serving: a source was silent": (("True", "CompletionAnswered"), ("Unknown", "Unobserved"), False),
    "Serving: something else must come first": (
        ("True", "CompletionAnswered"),
        ("False", "NotReached"),
        False,
    ),
    "PlanAccepted: refused from the beginning": (None, ("False", "Unplaceable"), True),
    "PlanAccepted: good with another reason": (("True", "Planned"), ("True", "LastGood"), False),
    "Ready: another reason, which another condition told": (
        ("False", "PodLost"),
        ("False", "StageLost"),
        False,
    ),
    "Ready: it turned": (("False", "PodLost"), ("True", "ReplicasReady"), True),
    "Degraded: turned to the worse": (("False", "Healthy"), ("True", "ReplicasMissing"), True),
    "ObjectivesMet: metrics are for that": (("True", "WithinObjectives"), ("False", "Exceeded"), False),
}


@pytest.mark.parametrize("case", CASES)
def test_told(case: str) -> None:
    kind = case.partition(":")[0]
    before, after, told = CASES[case]
    old = [condition(kind, *before)] if before else []
    assert bool(list(turned(turns(old), [condition(kind, *after)]))) is told


def test_an_event_is_a_warning_only_when_something_is_wrong() -> None:
    deployment = LLMDeployment.model_validate(
        {"metadata": {"name": "a", "namespace": "ns", "uid": "u"}, "spec": {"model": {"id": "m"}}}
    )
    at = datetime(2026, 1, 1, tzinfo=UTC)
    wrong = event(deployment, condition("Serving", "False", "StageLost"), at)
    assert (wrong["type"], wrong["reason"], wrong["message"]) == (
        "Warning",
        "StageLost",
        "Serving=False: Words.",
    )
    assert wrong["involvedObject"]["uid"] == "u"
    assert event(deployment, condition("Provisioned", "False", "PodsPending"), at)["type"] == "Normal"
    assert event(deployment, condition("Degraded", "False", "Healthy"), at)["type"] == "Normal"
