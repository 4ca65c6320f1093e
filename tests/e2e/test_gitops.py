"""What a GitOps controller sees: what it applied is never rewritten, so it has nothing to correct."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.e2e.llm import LLM, tiny
from tests.e2e.test_quiet import QUIET_SECONDS
from tests.e2e.traffic import Traffic
from tests.kubectl import apply

MANAGER = ("--server-side", "--field-manager=argocd-controller")


def test_a_second_field_manager_never_sees_a_difference(llm: LLM) -> None:
    """By server-side apply, as Argo CD does it, over time and with traffic that makes the status change."""
    apply(tiny(), *MANAGER)
    looks, until = 0, time.monotonic() + QUIET_SECONDS
    with Traffic(llm.address, "tiny", concurrency=1):
        while time.monotonic() < until:
            assert wanted(would_become()) == wanted(llm.object)
            looks += 1
            time.sleep(5)
    print(f"\n{looks} looks in {QUIET_SECONDS} s, no difference")
    assert llm.is_("Ready")


def would_become() -> dict[str, Any]:
    """The object as the API server would have it if it was applied again; a conflict of managers is refused."""
    found: dict[str, Any] = json.loads(apply(tiny(), *MANAGER, "--dry-run=server", "-o", "json"))
    return found


def wanted(document: dict[str, Any]) -> dict[str, Any]:
    """All but the status, which the operator may write between two looks, and what tells of such writes."""
    metadata = {
        k: v for k, v in document["metadata"].items() if k not in ("resourceVersion", "managedFields")
    }
    return {**document, "metadata": metadata, "status": None}
