"""The operator's role against the API server's audit log: nothing is granted that is not used."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.kubectl import get

ACCOUNT = "system:serviceaccount:rayspan-system:rayspan"
NOT_A_REQUEST = {("rayspan.dev", "llmdeployments/finalizers", "update")}
"""Asked for by the admission plugin OwnerReferencesPermissionEnforcement, for ownerReferences that block deletion."""
Grant = tuple[str, str, str]
"""API group, resource, verb."""


def test_every_grant_was_used_since_the_cluster_came_up(operator: None) -> None:
    """By the tests before this one: alone, on a fresh cluster, it fails."""
    granted, used = set(grants()), set(requests())
    print(f"\n{len(granted)} grants, {len(granted & used)} of them used", end="")
    assert granted - used - NOT_A_REQUEST == set()


def test_none_of_the_dangerous_classes_is_granted(operator: None) -> None:
    granted = set(grants())
    assert not [one for one in granted if "*" in one]
    assert not [one for one in granted if one[1] == "secrets" and one[2] in ("get", "list", "watch")]
    assert not [one for one in granted if one[1] == "pods" and one[2] not in ("get", "list", "watch")]
    assert not [
        one for one in granted if one[1].partition("/")[2] in ("exec", "attach", "proxy", "portforward")
    ]
    assert not [one for one in granted if one[2] in ("escalate", "bind", "impersonate")]
    assert len(granted) <= 40


def grants() -> Iterator[Grant]:
    """Of every role that the chart binds to the operator's account in the whole cluster."""
    for role in get("clusterrole", "-l", "app.kubernetes.io/name=rayspan")["items"]:
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    yield from ((group, resource, verb) for verb in rule["verbs"])


def requests() -> Iterator[Grant]:
    """What the operator asked for and got."""
    log = Path(os.environ["KUBECONFIG"]).parent / "logs" / "audit.log"
    for file in sorted(log.parent.glob("audit*.log")):
        with file.open() as lines:
            for line in lines:
                if ACCOUNT in line:
                    event: dict[str, Any] = json.loads(line)
                    asked = event.get("objectRef", {})
                    if event["user"]["username"] == ACCOUNT and event["responseStatus"]["code"] < 400:
                        resource = "/".join(
                            filter(None, (asked.get("resource", ""), asked.get("subresource", "")))
                        )
                        yield asked.get("apiGroup", ""), resource, event["verb"]
                        if event["responseStatus"]["code"] == 201:  # an apply that makes something needs both
                            yield asked.get("apiGroup", ""), resource, "create"
