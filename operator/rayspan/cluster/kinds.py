"""The kinds that Rayspan reads or writes, and their places in the API. No discovery: there are few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from rayspan.api.v1alpha1 import API_VERSION, KIND, PLURAL


@dataclass(frozen=True)
class Kind:
    """One kind of object."""

    api_version: str
    name: str
    plural: str
    namespaced: bool = True

    @property
    def group_path(self) -> str:
        """Path of its group and version, where the API server lists what it serves."""
        return ("/apis/" if "/" in self.api_version else "/api/") + self.api_version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
        """Path of a collection, an object or its subresource."""
        parts = [self.group_path]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


LLM_DEPLOYMENT: Final = Kind(API_VERSION, KIND, PLURAL)
RAY_SERVICE: Final = Kind("ray.io/v1", "RayService", "rayservices")
RAY_CLUSTER: Final = Kind("ray.io/v1", "RayCluster", "rayclusters")
POD: Final = Kind("v1", "Pod", "pods")
NODE: Final = Kind("v1", "Node", "nodes", namespaced=False)
SECRET: Final = Kind("v1", "Secret", "secrets")
SERVICE: Final = Kind("v1", "Service", "services")
EVENT: Final = Kind("v1", "Event", "events")
JOB: Final = Kind("batch/v1", "Job", "jobs")
NETWORK_POLICY: Final = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
LEASE: Final = Kind("coordination.k8s.io/v1", "Lease", "leases")

_KINDS: Final = (
    LLM_DEPLOYMENT,
    RAY_SERVICE,
    RAY_CLUSTER,
    POD,
    NODE,
    SECRET,
    SERVICE,
    EVENT,
    JOB,
    NETWORK_POLICY,
    LEASE,
)
_BY_NAME: Final = {kind.name: kind for kind in _KINDS}


def kind_of(thing: dict[str, Any]) -> Kind:
    """Kind of an object as a dict."""
    return _BY_NAME[thing["kind"]]
