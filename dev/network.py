"""The nodes' network: a bridge on the host, a namespace and a veth pair per node, routes between.

Pods get addresses from their node's range (CNI ptp), so the host and every node carry one route per other
node. Cutting a node is taking its veth down: a real network fault, for its pods and its kubelet alike.
"""

from pathlib import Path

from dev import topology
from dev.shell import attempt, run
from dev.topology import BRIDGE, CLUSTER_RANGE, HOST_IP, NODES, Node

_COMMENT = ("-m", "comment", "--comment", "rayspan-dev")
_RULES = (
    ("nat", "POSTROUTING", ("-s", CLUSTER_RANGE, "!", "-d", CLUSTER_RANGE, *_COMMENT, "-j", "MASQUERADE")),
    ("filter", "FORWARD", ("-s", CLUSTER_RANGE, *_COMMENT, "-j", "ACCEPT")),
    ("filter", "FORWARD", ("-d", CLUSTER_RANGE, *_COMMENT, "-j", "ACCEPT")),
)

# kube-proxy's own clean-up leaves this one chain and the two jumps to it.
_LEFT_BY_PROXY = "KUBE-FIREWALL"


def up() -> None:
    """Everything from the bridge to the last route; what is left of an earlier run goes first."""
    down()
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "addr", "add", f"{HOST_IP}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    for node in NODES:
        _node_up(node)
    for node in NODES:
        _routes(node)
    for table, chain, rule in _RULES:
        run("iptables", "-w", "-t", table, "-I", chain, *rule)


def _node_up(node: Node) -> None:
    inside = f"{node.veth}n"
    run("ip", "netns", "add", node.netns)
    run("ip", "link", "add", node.veth, "type", "veth", "peer", "name", inside)
    run("ip", "link", "set", node.veth, "master", BRIDGE, "up")
    run("ip", "link", "set", inside, "netns", node.netns)
    run("ip", "-n", node.netns, "-batch", "-", stdin="\n".join([
        f"link set {inside} name eth0",
        "link set lo up",
        f"addr add {node.ip}/24 dev eth0",
        "link set eth0 up",
        f"route add default via {HOST_IP}",
        "",
    ]))  # fmt: skip
    inside_run(node, "sysctl", "-qw", "net.ipv4.ip_forward=1")


def _routes(node: Node) -> None:
    """The host's way to the node's pods, and the node's way to every other node's."""
    run("ip", "route", "replace", node.pod_range, "via", node.ip)
    others = [other for other in NODES if other is not node]
    run("ip", "-n", node.netns, "-batch", "-",
        stdin="".join(f"route replace {other.pod_range} via {other.ip}\n" for other in others))  # fmt: skip


def down() -> None:
    """Remove all of it, in whatever state it is."""
    for table, chain, rule in _RULES:
        while attempt("iptables", "-w", "-t", table, "-D", chain, *rule):
            pass
    for chain in ("INPUT", "OUTPUT"):
        attempt("iptables", "-w", "-D", chain, "-j", _LEFT_BY_PROXY)
    for act in ("-F", "-X"):
        attempt("iptables", "-w", act, _LEFT_BY_PROXY)
    for node in NODES:
        if Path(f"/sys/class/net/{node.veth}").exists():
            attempt("ip", "link", "del", node.veth)
        if Path(f"/run/netns/{node.netns}").exists():
            attempt("ip", "netns", "del", node.netns)
    if Path(f"/sys/class/net/{BRIDGE}").exists():
        attempt("ip", "link", "del", BRIDGE)


def leftovers() -> list[str]:
    """Names of what is still there."""
    links = [BRIDGE, *(node.veth for node in NODES)]
    found = [f"link {name}" for name in links if Path(f"/sys/class/net/{name}").exists()]
    return found + [f"netns {node.netns}" for node in NODES if Path(f"/run/netns/{node.netns}").exists()]


def inside_run(node: Node, *argv: str) -> str:
    """Run a command in the node's network namespace; not by `ip netns exec`, which remounts /sys."""
    return run("nsenter", f"--net=/run/netns/{node.netns}", *argv)


def cut(name: str) -> None:
    """Cut the node off from everything."""
    run("ip", "link", "set", topology.node(name).veth, "down")


def restore(name: str) -> None:
    """Give the node its network back. The host end's state brings no route down, so none is lost."""
    run("ip", "link", "set", topology.node(name).veth, "up")
