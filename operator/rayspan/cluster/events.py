"""Kubernetes events, told when a condition turns, never otherwise."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from rayspan import errors
from rayspan.api.conditions import ConditionType, Reason
from rayspan.api.v1alpha1 import API_VERSION, KIND, Condition, LLMDeployment
from rayspan.cluster.client import Client

log = logging.getLogger("rayspan.events")

_TOLD: Final = frozenset(
    {
        ConditionType.PLAN_ACCEPTED,
        ConditionType.PROVISIONED,
        ConditionType.PLACEMENT_VERIFIED,
        ConditionType.SERVING,
        ConditionType.READY,
        ConditionType.DEGRADED,
    }
)
_ON_THE_WAY: Final = frozenset(
    {
        Reason.INSPECTING,
        Reason.WAITING_FOR_KUBERAY,
        Reason.PODS_PENDING,
        Reason.UPDATING,
        Reason.APPLICATION_DEPLOYING,
        Reason.STOPPED,
        Reason.HEALTHY,
    }
)
_UNTOLD: Final = frozenset({Reason.NOT_REACHED, Reason.UNOBSERVED})


class Turn(NamedTuple):
    """What of a condition tells whether it turned."""

    status: str
    reason: str


def turns(conditions: Iterable[Condition]) -> dict[str, Turn]:
    """By their types."""
    return {one.type: Turn(one.status, one.reason) for one in conditions}


def turned(before: Mapping[str, Turn], now: Iterable[Condition]) -> Iterator[Condition]:
    """Conditions whose status turned, or whose reason did while they are not as one wants them."""
    for one in now:
        was = before.get(one.type)
        if one.type not in _TOLD or one.status == "Unknown" or one.reason in _UNTOLD:
            continue
        if was is None:
            news = not _good(one)
        else:
            # Ready gives the reason of another condition, which has told it already.
            reason_turned = was.reason != one.reason and one.type != ConditionType.READY
            news = was.status != one.status or (reason_turned and not _good(one))
        if news:
            yield one


def _good(condition: Condition) -> bool:
    return condition.status == ("False" if condition.type == ConditionType.DEGRADED else "True")


async def tell(client: Client, deployment: LLMDeployment, conditions: Iterable[Condition]) -> None:
    """Write an event for each condition; that this fails stops nothing."""
    for condition in conditions:
        try:
            await client.create(event(deployment, condition, datetime.now(UTC)))
        except errors.RayspanError as error:
            log.warning("an event could not be written: %s", error)


def event(deployment: LLMDeployment, condition: Condition, at: datetime) -> dict[str, Any]:
    """The event of a condition that turned."""
    metadata, stamp = deployment.metadata, at.strftime("%Y-%m-%dT%H:%M:%SZ")
    calm = _good(condition) or condition.reason in _ON_THE_WAY
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            # As client-go names its events: nanoseconds in hexadecimal keep them apart.
            "name": f"{metadata.name}.{int(at.timestamp() * 1e9):x}.{condition.type.lower()}",
            "namespace": metadata.namespace,
        },
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": metadata.name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
        },
        "type": "Normal" if calm else "Warning",
        "reason": condition.reason,
        "message": f"{condition.type}={condition.status}: {condition.message}"[:1024],
        "source": {"component": "rayspan"},
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
