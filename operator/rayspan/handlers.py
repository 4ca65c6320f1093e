"""The only kopf decorators. Handlers wake loops; they decide nothing and write nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import kopf

from rayspan.api.v1alpha1 import GROUP, PLURAL, VERSION
from rayspan.cluster.client import PAGE
from rayspan.render.names import DEPLOYMENT_LABEL, RESTARTED_AT
from rayspan.settings import Settings
from rayspan.wakeups import Wakeups

_OWNED: Final = (("ray.io", "v1", "rayservices"), ("ray.io", "v1", "rayclusters"), ("", "v1", "pods"))


def register(registry: kopf.OperatorRegistry, wakeups: Wakeups, settings: Settings) -> None:
    """Hang the handlers into a registry."""
    restricted = bool(settings.watch_namespaces)

    @kopf.on.startup(registry=registry)
    async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        # One process works at a time; not kopf's peering sees to that, but the Lease (leading.py).
        settings.peering.standalone = True
        settings.networking.request_timeout = 60
        settings.watching.chunk_size = PAGE
        # A worker, which kopf makes for each object that an event tells of, holds 30 KB; 5 s of idling, kopf's default, make
        # two thousand of them where a thousand deployments become Ready.
        settings.queueing.idle_timeout = 0.1
        # Events of the operator are written by the flow, on transitions; kopf's own would be one per log line.
        settings.posting.enabled = False
        # It would list namespaces and CustomResourceDefinitions, which takes grants in the whole cluster:
        # watching.py notices those that matter by itself.
        settings.scanning.disabled = restricted
        for resource in _OWNED:
            settings.watching.label_selectors[resource] = DEPLOYMENT_LABEL

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def deployment_changed(namespace: str | None, name: str | None, event: Any, **_: Any) -> None:
        wakeups.wake(namespace, name, news(event))

    async def owned_changed(namespace: str | None, labels: kopf.Labels, **_: Any) -> None:
        wakeups.wake(namespace, labels.get(DEPLOYMENT_LABEL))

    for resource in _OWNED:
        kopf.on.event(*resource, registry=registry, labels={DEPLOYMENT_LABEL: kopf.PRESENT})(owned_changed)


def news(event: Mapping[str, Any]) -> tuple[object, ...]:
    """What of an LLMDeployment asks for a pass when it is another than before. Its own status is no news to it, save
    that there is none."""
    metadata = event["object"]["metadata"]
    return (
        event["type"],
        metadata["uid"],
        metadata["generation"],
        metadata.get("deletionTimestamp"),
        (metadata.get("annotations") or {}).get(RESTARTED_AT),
        bool(event["object"].get("status")),
    )
