"""The three nodes and the addresses: one table that network, nodes and certificates all read."""

from dataclasses import dataclass
from pathlib import Path

from dev import paths

BRIDGE = "rayspan0"
HOST_IP = "10.201.0.1"
CLUSTER_RANGE = "10.201.0.0/16"
SERVICE_RANGE = "10.96.0.0/16"
KUBERNETES_SERVICE_IP = "10.96.0.1"
DNS_IP = "10.96.0.10"
API_PORT = 6443
API_URL = f"https://{HOST_IP}:{API_PORT}"

GPU_LABELS = {
    "nvidia.com/gpu.present": "true",
    "nvidia.com/gpu.product": "Rayspan-Fake",
    "nvidia.com/gpu.memory": "8192",
}
"""What NVIDIA's GPU feature discovery writes on a node (memory in MiB); the count is added per node."""

GPU_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


@dataclass(frozen=True)
class Node:
    """One node: a network namespace of its own behind a veth pair on the bridge."""

    name: str
    index: int
    role: str

    @property
    def ip(self) -> str:
        return f"10.201.0.{10 + self.index}"

    @property
    def pod_range(self) -> str:
        return f"10.201.{10 + self.index}.0/24"

    @property
    def netns(self) -> str:
        return f"rayspan-{self.index}"

    @property
    def veth(self) -> str:
        return f"rayspan-v{self.index}"

    @property
    def folder(self) -> Path:
        return paths.NODES / self.name

    @property
    def socket(self) -> Path:
        return self.folder / "containerd.sock"

    @property
    def cgroup(self) -> str:
        return f"/rayspan/{self.name}"


NODES = (
    Node("rayspan-head", 1, "head"),
    Node("gpu-a", 2, "gpu"),
    Node("gpu-b", 3, "gpu"),
)


def node(name: str) -> Node:
    """The node of that name; ValueError names those there are."""
    for each in NODES:
        if each.name == name:
            return each
    raise ValueError(f"no node {name!r}: there are {', '.join(each.name for each in NODES)}")
