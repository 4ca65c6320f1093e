"""What runs inside the cluster from the start: CoreDNS and KubeRay, and the nodes' labels and GPUs."""

import json

from dev import image_archive, nodes, paths, topology, versions
from dev.shell import Failure, attempt, run, wait_for
from dev.topology import DNS_IP, GPU_LABELS, NODES, Node

KUBERAY_MANIFEST = paths.BIN / "kuberay.yaml"

_SYSTEM_IMAGES = (
    (nodes.PAUSE_IMAGE, "pause", "/pause"),
    (f"localhost/rayspan/coredns:{versions.COREDNS}", "coredns", "/coredns"),
    (f"localhost/rayspan/kuberay-operator:{versions.KUBERAY}", "kuberay-operator", "/manager"),
)


def kubectl(*argv: str, stdin: str | None = None) -> str:
    """kubectl against this cluster as its administrator."""
    return run(paths.BIN / "kubectl", f"--kubeconfig={paths.KUBECONFIG}", *argv, stdin=stdin)


def write_system_images() -> None:
    """The archives of the images that hold one program each, made again where the program is newer."""
    for image, program, path_inside in _SYSTEM_IMAGES:
        binary = paths.BIN / program
        archive = paths.IMAGES / f"{program}.tar"
        if not archive.exists() or archive.stat().st_mtime < binary.stat().st_mtime:
            image_archive.write(archive, image, binary, path_inside)


def import_system_images(node: Node) -> None:
    """The pause image everywhere; CoreDNS and KubeRay on the head's node, the only one they run on."""
    wait_for(
        f"containerd of {node.name} answers",
        lambda: attempt(paths.BIN / "ctr", "--address", node.socket, "version"),
        30,
        f"See {paths.LOGS}/containerd-{node.name}.log",
    )
    for _, program, _ in _SYSTEM_IMAGES:
        if program != "pause" and node.role != "head":
            continue
        archive = paths.IMAGES / f"{program}.tar"
        run(
            paths.BIN / "ctr",
            "--address",
            node.socket,
            "-n",
            "k8s.io",
            "images",
            "import",
            "--local",
            archive,
        )


def apply_coredns() -> None:
    """CoreDNS, forwarding to the machine's name servers where pods can reach any."""
    upstream = " ".join(nodes.upstream_nameservers())
    text = (paths.SOURCE / "manifests" / "coredns.yaml").read_text()
    for mark, value in {
        "@DNS_IP@": DNS_IP,
        "@VERSION@": versions.COREDNS,
        "@FORWARD@": f"forward . {upstream}" if upstream else "",
    }.items():
        text = text.replace(mark, value)
    kubectl("apply", "--server-side", "-f", "-", stdin=text)


def apply_kuberay() -> None:
    """KubeRay's CRDs and operator; server-side, because its CRDs are too large for an annotation."""
    kubectl("apply", "--server-side", "-f", str(KUBERAY_MANIFEST))


def wait_for_rollouts() -> None:
    """Until CoreDNS and KubeRay are there."""
    for namespace, name in (("kube-system", "coredns"), ("kuberay-system", "kuberay-operator")):
        kubectl("-n", namespace, "rollout", "status", f"deployment/{name}", "--timeout=120s")


def nodes_ready() -> bool:
    """Whether all three nodes have registered and are Ready."""
    try:
        items = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    except Failure:
        return False
    ready = [
        item
        for item in items
        for condition in item["status"].get("conditions", [])
        if condition["type"] == "Ready" and condition["status"] == "True"
    ]
    return len(ready) == len(NODES)


def set_gpus(name: str, count: int) -> None:
    """Give the node that many fake GPUs, which scheduler, KubeRay and Ray take for real ones."""
    node = topology.node(name)
    if count < 0:
        raise Failure(f"{count} GPUs: there cannot be fewer than none")
    labels = {**GPU_LABELS, "nvidia.com/gpu.count": str(count)}
    wanted = labels if count else dict.fromkeys(labels)
    kubectl("patch", "node", node.name, "--type=merge", "-p", json.dumps({"metadata": {"labels": wanted}}))
    patch = [
        {"op": "add", "path": f"/status/{field}/nvidia.com~1gpu", "value": str(count)}
        for field in ("capacity", "allocatable")
    ]
    kubectl("patch", "node", node.name, "--subresource=status", "--type=json", "-p", json.dumps(patch))
