"""How kstatus reads an object of a kind that it does not know: pkg/kstatus/status of cli-utils, which Flux and kpt use."""

from __future__ import annotations

from typing import Any


def kstatus(thing: dict[str, Any]) -> str:
    """Terminating, InProgress, Failed or Current."""
    metadata, status = thing["metadata"], thing.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    if "observedGeneration" in status and status["observedGeneration"] != metadata["generation"]:
        return "InProgress"
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    if "Ready" in conditions:
        return "Current" if conditions["Ready"] == "True" else "InProgress"
    return "Current"
