"""containerd, kubelet and kube-proxy of a node, in the node's network namespace.

containerd and kubelet share one private mount namespace, which containerd's process keeps open: with two,
projected volumes such as the service account token look empty in pods. Folders whose paths programs have
built in (/var/lib/kubelet, /run/containerd, ...) are bound to the node's own, so that three nodes do not
meet in them and nothing is left outside the state folder.
"""

import contextlib
import json
from pathlib import Path

from dev import container_mounts, kernel, paths, pki, processes, topology
from dev.topology import CLUSTER_RANGE, DNS_IP, GPU_TAINT, Node

PAUSE_IMAGE = "localhost/rayspan/pause:1"

_PRIVATE = ("/var/lib/kubelet", "/var/lib/cni", "/var/log/containers", "/run/containerd", "/run/netns")
_ENTER = """set -e
for path in {private}; do
  mkdir -p "$path" "{folder}/private$path"
  mount --bind "{folder}/private$path" "$path"
done
mount --make-rshared /var/lib/kubelet
exec "{containerd}" --config "{folder}/containerd.toml" --log-level warn
"""


def start_containerd(node: Node) -> None:
    """Write the node's configuration and start its containerd, which holds the mount namespace."""
    node.folder.mkdir(parents=True, exist_ok=True)
    (node.folder / "cni").mkdir(exist_ok=True)
    (node.folder / "cni" / "10-rayspan.conflist").write_text(json.dumps(_cni(node), indent=1))
    container_mounts.write_base_spec(node.folder / "base-spec.json")
    (node.folder / "containerd.toml").write_text(_containerd_toml(node))
    script = _ENTER.format(
        private=" ".join(_PRIVATE), folder=node.folder, containerd=paths.BIN / "containerd"
    )
    processes.start(f"containerd-{node.name}", [
        "nsenter", f"--net=/run/netns/{node.netns}", "unshare", "--mount", "--propagation", "private",
        "/bin/sh", "-c", script,
    ])  # fmt: skip


def start_kubelet(node: Node) -> None:
    """Start the kubelet beside its containerd."""
    (node.folder / "kubelet.json").write_text(json.dumps(_kubelet(node), indent=1))
    holder = processes.recorded()[f"containerd-{node.name}"].pid
    processes.start(f"kubelet-{node.name}", [
        "nsenter", "-t", str(holder), "-m", "-n",
        paths.BIN / "kubelet",
        f"--config={node.folder / 'kubelet.json'}",
        f"--kubeconfig={pki.kubelet(node).crt.with_suffix('.kubeconfig')}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.ip}",
        f"--node-labels=rayspan.dev/role={node.role}",
        "--v=1",
    ])  # fmt: skip


def remove_mount_points() -> None:
    """The empty folders on which the nodes' own were bound, unless something else is in them."""
    for path in _PRIVATE:
        with contextlib.suppress(OSError):
            Path(path).rmdir()


def start_proxies() -> None:
    """kube-proxy in every node, and on the host too, so that the host reaches ClusterIPs."""
    for name, netns, host in [
        *((node.name, node.netns, node.name) for node in topology.NODES),
        ("host", "", topology.NODES[0].name),
    ]:
        config = paths.CLUSTER / f"kube-proxy-{name}.json"
        config.write_text(json.dumps(_proxy(host), indent=1))
        enter = ["nsenter", f"--net=/run/netns/{netns}"] if netns else []
        processes.start(f"kube-proxy-{name}", [*enter, paths.BIN / "kube-proxy", f"--config={config}"])


def _cni(node: Node) -> dict[str, object]:
    ipam = {
        "type": "host-local",
        "dataDir": str(node.folder / "ipam"),
        "ranges": [[{"subnet": node.pod_range}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {
        "cniVersion": "1.0.0",
        "name": "rayspan",
        "plugins": [
            {"type": "ptp", "ipMasq": False, "ipam": ipam},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _containerd_toml(node: Node) -> str:
    restrict = "false" if kernel.may_lower_oom_score() else "true"
    return f"""version = 3
root = "{node.folder}/containerd"
state = "{node.folder}/containerd-state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.erofs", "io.containerd.differ.v1.erofs",
  "io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]
[grpc]
  address = "{node.socket}"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = {restrict}
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni", "/opt/cni/bin"]
  conf_dir = "{node.folder}/cni"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  base_runtime_spec = "{node.folder}/base-spec.json"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = "{paths.BIN}/runc"
  SystemdCgroup = false
"""


def _kubelet(node: Node) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.ip,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki.CA)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki.kubelet(node).crt),
        "tlsPrivateKeyFile": str(pki.kubelet(node).key),
        "clusterDNS": [DNS_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": str(resolv_conf()),
        "containerRuntimeEndpoint": f"unix://{node.socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": node.cgroup,
        # As GPU nodes are commonly kept: only for pods that say they are for GPUs.
        "registerWithTaints": [GPU_TAINT] if node.role == "gpu" else [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        # Three kubelets share one machine: none of them may take its memory or disk for itself alone.
        "enforceNodeAllocatable": [],
        "evictionHard": {
            "memory.available": "0%",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": False,
        "podLogsDir": str(node.folder / "pod-logs"),
        "nodeStatusReportFrequency": "10s",
    }


def _proxy(hostname: str) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "hostnameOverride": hostname,
        "clusterCIDR": CLUSTER_RANGE,
        "clientConnection": {"kubeconfig": str(paths.PKI / "kube-proxy.kubeconfig")},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "iptables": {"minSyncPeriod": "0s"},
        "oomScoreAdj": 0,
    }


def upstream_nameservers() -> list[str]:
    """The machine's name servers that a pod can reach: not one on loopback."""
    lines = Path("/etc/resolv.conf").read_text().splitlines()
    servers = [line.split()[1] for line in lines if line.startswith("nameserver ") and len(line.split()) > 1]
    return [each for each in servers if not each.startswith(("127.", "::1"))]


def resolv_conf() -> Path:
    """What pods with dnsPolicy Default get."""
    target = paths.CLUSTER / "resolv.conf"
    target.write_text("".join(f"nameserver {each}\n" for each in upstream_nameservers()))
    return target
