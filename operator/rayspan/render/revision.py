"""Hashes of what was rendered, without what changes in place: when do pods or the application restart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

_COUNTS: Final = frozenset({"replicas", "minReplicas", "maxReplicas"})
LENGTH: Final = 12


def digest(document: Any, length: int = LENGTH) -> str:
    """The first hex digits of the SHA-256 of a document; the order of keys does not count."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:length]


def cluster_revision(cluster: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Hash of the part that needs new pods: the Ray cluster without the groups' counts, and Serve's HTTP
    options, which it only reads when it first starts."""
    groups = [
        {key: value for key, value in group.items() if key not in _COUNTS}
        for group in cluster["workerGroupSpecs"]
    ]
    http = {key: config[key] for key in ("proxy_location", "http_options")}
    return digest([{**cluster, "workerGroupSpecs": groups}, http])


def serve_revision(arguments: Mapping[str, Any]) -> str:
    """Hash of the Serve application's arguments, any change of which restarts all replicas. Numbers count by
    their value: on its way through KubeRay 1.0 becomes 1."""
    return digest(_by_value(arguments))


def _by_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _by_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_by_value(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
