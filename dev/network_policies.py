"""NetworkPolicies as iptables rules for one node: what a network plugin does, for what comes in to pods.

CNI's ptp enforces nothing, and what does elsewhere cannot be had everywhere: kube-network-policies needs nftables' queue in
the kernel, kube-router the program ipset. So the rules are written out, which is slow for thousands of pods and plain
for a dozen. A node's table `mangle` has them, in which kube-proxy has nothing: its chain FORWARD is passed after a
Service's address became a pod's. Packets from the node itself (the kubelet's probes) are not forwarded, so they pass,
as they should. Egress rules are not enforced.

    FORWARD -> RAYSPAN-POLICY: what is established returns; to a pod that a policy selects -> RSP-<pod's address>
    RSP-...: what a rule of a policy lets in returns; the rest is dropped
"""

from collections.abc import Iterable, Iterator
from typing import Any

TOP = "RAYSPAN-POLICY"
_CHAIN = "RSP-"
_ENDED = ("Succeeded", "Failed")

Object = dict[str, Any]


def rules(node: str, policies: Iterable[Object], pods: Iterable[Object], namespaces: Iterable[Object]) -> str:
    """Input of `iptables-restore --noflush` for a node's network namespace."""
    living = [pod for pod in pods if _address(pod) and pod["status"].get("phase") not in _ENDED]
    known = {each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in namespaces}
    policies = [each for each in policies if "Ingress" in each["spec"].get("policyTypes", ["Ingress"])]
    heads, jumps, bodies = [f":{TOP} - [0:0]"], [], []
    for pod in living:
        if pod["spec"].get("nodeName") != node or pod["spec"].get("hostNetwork"):
            continue
        holding = [each for each in policies if _selected(each, pod)]
        if not holding:
            continue
        chain = _CHAIN + _address(pod)
        heads.append(f":{chain} - [0:0]")
        jumps.append(f"-A {TOP} -d {_address(pod)} -j {chain}")
        # One line each, although two policies may let in the same.
        lines = dict.fromkeys(line for each in holding for line in _let_in(each, pod, living, known))
        bodies += [f"-A {chain} {line}-j RETURN" for line in lines] + [f"-A {chain} -j DROP"]
    first = f"-A {TOP} -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"
    return "\n".join(["*mangle", *heads, first, *jumps, *bodies, "COMMIT", ""])


def _let_in(policy: Object, pod: Object, pods: list[Object], namespaces: dict[str, Object]) -> Iterator[str]:
    """Matches of the packets that a policy lets in to a pod, each ending with a blank."""
    everyone: list[Object] = [{}]
    for rule in policy["spec"].get("ingress") or ():
        sources = [
            source
            for peer in rule.get("from") or everyone
            for source in _sources(peer, policy["metadata"]["namespace"], pods, namespaces)
        ]
        ports = [match for port in rule["ports"] for match in _port(port, pod)] if rule.get("ports") else [""]
        yield from (f"{source}{port}" for source in sources for port in ports)


def _sources(peer: Object, home: str, pods: list[Object], namespaces: dict[str, Object]) -> Iterator[str]:
    if not peer:
        yield ""
    elif block := peer.get("ipBlock"):
        if block.get("except"):
            raise ValueError("ipBlock.except is not supported by the development cluster")
        yield f"-s {block['cidr']} "
    else:
        for pod in pods:
            where = pod["metadata"]["namespace"]
            near = (
                where == home
                if "namespaceSelector" not in peer
                else matches(peer["namespaceSelector"], namespaces.get(where, {}))
            )
            if near and matches(peer.get("podSelector") or {}, pod["metadata"].get("labels") or {}):
                yield f"-s {_address(pod)} "


def _port(port: Object, pod: Object) -> Iterator[str]:
    protocol = port.get("protocol", "TCP")
    number = port.get("port")
    if number is None:
        yield f"-p {protocol.lower()} "
    elif isinstance(number, int):
        last = f":{port['endPort']}" if "endPort" in port else ""
        yield f"-p {protocol.lower()} --dport {number}{last} "
    else:
        for container in pod["spec"]["containers"]:
            for each in container.get("ports") or ():
                if each.get("name") == number and each.get("protocol", "TCP") == protocol:
                    yield f"-p {protocol.lower()} --dport {each['containerPort']} "


def _selected(policy: Object, pod: Object) -> bool:
    same = policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return same and matches(policy["spec"].get("podSelector") or {}, pod["metadata"].get("labels") or {})


def matches(selector: Object, labels: dict[str, str]) -> bool:
    """Whether labels fit a label selector; an empty one fits all."""
    wanted = (selector.get("matchLabels") or {}).items()
    return wanted <= labels.items() and all(
        _holds(each, labels) for each in selector.get("matchExpressions") or ()
    )


def _holds(requirement: Object, labels: dict[str, str]) -> bool:
    key, values = requirement["key"], requirement.get("values") or ()
    match requirement["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def _address(pod: Object) -> str:
    return str(pod.get("status", {}).get("podIP") or "")
