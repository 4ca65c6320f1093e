"""What the development cluster lets in to a pod: the rules of the policies that select it, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from dev.network_policies import matches, rules

NAMESPACES = [
    {"metadata": {"name": "llm", "labels": {"kubernetes.io/metadata.name": "llm"}}},
    {"metadata": {"name": "web", "labels": {"kubernetes.io/metadata.name": "web", "team": "a"}}},
]
HEAD = "*mangle\n:RAYSPAN-POLICY - [0:0]\n"
ESTABLISHED = "-A RAYSPAN-POLICY -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN\n"


def pod(address: str, namespace: str = "llm", node: str = "a", phase: str = "Running", **labels: str) -> Any:
    port = {"name": "serve", "containerPort": 8000}
    return {
        "metadata": {"namespace": namespace, "labels": labels},
        "spec": {"nodeName": node, "containers": [{"ports": [port]}, {}]},
        "status": {"podIP": address, "phase": phase},
    }


def policy(*ingress: dict[str, Any], selector: dict[str, Any] | None = None) -> Any:
    spec = {"podSelector": selector or {}, "policyTypes": ["Ingress"], "ingress": list(ingress)}
    return {"metadata": {"namespace": "llm"}, "spec": spec}


PODS = [
    pod("10.0.0.1", app="x"),
    pod("10.0.0.2", node="b", app="y"),
    pod("10.0.0.3", "web", app="y"),
    pod("10.0.0.4", phase="Succeeded", app="x"),
]
LET_IN: dict[str, tuple[dict[str, Any], list[str]]] = {
    "everyone": ({}, [""]),
    "everyone by a named port": ({"ports": [{"port": "serve"}]}, ["-p tcp --dport 8000 "]),
    "nobody by a name that no port has": ({"ports": [{"port": "metrics"}]}, []),
    "everyone by some ports": (
        {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 80, "endPort": 90}]},
        ["-p udp --dport 53 ", "-p tcp --dport 80:90 "],
    ),
    "pods of the same namespace": (
        {"from": [{"podSelector": {"matchLabels": {"app": "y"}}}]},
        ["-s 10.0.0.2 "],
    ),
    "a namespace": ({"from": [{"namespaceSelector": {"matchLabels": {"team": "a"}}}]}, ["-s 10.0.0.3 "]),
    "pods of all namespaces": (
        {"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "y"}}}]},
        ["-s 10.0.0.2 ", "-s 10.0.0.3 "],
    ),
    "addresses, by a port": (
        {"from": [{"ipBlock": {"cidr": "10.9.0.0/16"}}], "ports": [{"port": 80}]},
        ["-s 10.9.0.0/16 -p tcp --dport 80 "],
    ),
}


@pytest.mark.parametrize("case", LET_IN)
def test_a_pod_lets_in(case: str) -> None:
    rule, wanted = LET_IN[case]
    made = rules("a", [policy(rule, selector={"matchLabels": {"app": "x"}})], PODS, NAMESPACES)
    lines = "".join(f"-A RSP-10.0.0.1 {match}-j RETURN\n" for match in wanted)
    assert made == (
        f"{HEAD}:RSP-10.0.0.1 - [0:0]\n{ESTABLISHED}-A RAYSPAN-POLICY -d 10.0.0.1 -j RSP-10.0.0.1\n"
        f"{lines}-A RSP-10.0.0.1 -j DROP\nCOMMIT\n"
    )


def test_policies_add_up_and_a_pod_that_none_selects_is_left_alone() -> None:
    one, other = policy({"ports": [{"port": 1}]}), policy({"ports": [{"port": 2}]}, {"ports": [{"port": 1}]})
    made = rules("b", [one, other], PODS, NAMESPACES)
    assert [line for line in made.splitlines() if "RETURN" in line and "RSP" in line] == [
        "-A RSP-10.0.0.2 -p tcp --dport 1 -j RETURN",
        "-A RSP-10.0.0.2 -p tcp --dport 2 -j RETURN",
    ]
    assert rules("b", [policy(selector={"matchLabels": {"app": "x"}})], PODS, NAMESPACES) == (
        f"{HEAD}{ESTABLISHED}COMMIT\n"
    )


SELECTORS: dict[str, tuple[dict[str, Any], bool]] = {
    "an empty one fits": ({}, True),
    "a label": ({"matchLabels": {"a": "1"}}, True),
    "another value": ({"matchLabels": {"a": "2"}}, False),
    "one of several": ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, True),
    "none of several": ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, False),
    "a label that is missing is none of them": (
        {"matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["1"]}]},
        True,
    ),
    "one that is there": ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, True),
    "one that is not": ({"matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]}, True),
    "one that should not be": ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, False),
}


@pytest.mark.parametrize("case", SELECTORS)
def test_of_selectors(case: str) -> None:
    selector, fits = SELECTORS[case]
    assert matches(selector, {"a": "1"}) is fits
