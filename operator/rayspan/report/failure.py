"""What went wrong last, kept when all is well again and the pod that failed is gone.

One outage shows in many conditions, one after the other. The order of reasons is that in which things become true, so
the earliest among them is the cause and the others are its echoes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rayspan.api.conditions import ConditionType, Reason
from rayspan.api.v1alpha1 import FailureStatus, Status
from rayspan.report.moments import moment, timestamp
from rayspan.report.scene import Finding

FAILURES: Final = (
    Reason.MODEL_UNREADABLE,
    Reason.IMAGE_UNUSABLE,
    Reason.APPLY_FAILED,
    Reason.POD_REFUSED,
    Reason.IMAGE_PULL_FAILED,
    Reason.POD_CRASHING,
    Reason.POD_LOST,
    Reason.APPLICATION_FAILED,
    Reason.HEAD_LOST,
    Reason.STAGE_LOST,
    Reason.PROXY_FAILED,
    Reason.NO_COMPLETION,
)
"""Causes before their echoes."""


def last_failure(before: Status, found: Mapping[ConditionType, Finding], at: float) -> FailureStatus | None:
    """The failure to keep: a new one, the one of before, or of one outage the earlier cause."""
    old = before.diagnosis.last_failure if before.diagnosis else None
    failing = [f for f in found.values() if f.status == "False" and f.reason in FAILURES]
    if not failing:
        return old
    first = min(failing, key=lambda finding: FAILURES.index(finding.reason))
    new = FailureStatus(reason=first.reason.value, message=first.message, at=timestamp(at))
    if old is None or not _of_this_outage(before, old):
        return new
    return new if FAILURES.index(first.reason) < FAILURES.index(Reason(old.reason)) else old


def _of_this_outage(before: Status, old: FailureStatus) -> bool:
    """Whether it has not been Ready since."""
    ready = before.condition(ConditionType.READY)
    return (
        ready is not None
        and ready.status != "True"
        and old.reason in FAILURES
        and moment(old.at) >= moment(ready.last_transition_time)
    )
