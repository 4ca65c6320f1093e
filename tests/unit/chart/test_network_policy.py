"""What reaches the operator's pod, and what it reaches."""

from __future__ import annotations

from typing import Any

from rayspan.render import Insiders
from rayspan.render.names import DEPLOYMENT_LABEL
from rayspan.settings import Settings

from tests.unit.chart.rendered import SHAPES, kinds, one, render

SHUT = SHAPES["shut off"]


def policy(*values: str) -> dict[str, Any]:
    found: dict[str, Any] = one(render(*values), "NetworkPolicy")["spec"]
    return found


def test_it_is_the_operators_pods_that_it_holds_for() -> None:
    objects = render()
    selector = one(objects, "NetworkPolicy")["spec"]["podSelector"]
    assert selector == one(objects, "Deployment")["spec"]["selector"]


def test_as_it_comes_only_metrics_come_in_and_everything_goes_out() -> None:
    spec = policy()
    assert spec["policyTypes"] == ["Ingress"]
    assert spec["ingress"] == [{"ports": [{"port": "metrics", "protocol": "TCP"}]}]
    assert "egress" not in spec


def test_metrics_come_in_from_those_who_are_named() -> None:
    (rule,) = policy(*SHUT)["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]


def test_shut_off_it_reaches_the_api_server_dns_and_pods_of_deployments() -> None:
    spec = policy(*SHUT)
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    server, dns, pods = spec["egress"]
    assert server == {
        "to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}],
        "ports": [{"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"}],
    }
    assert dns == {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    ours = {"matchExpressions": [{"key": DEPLOYMENT_LABEL, "operator": "Exists"}]}
    assert pods == {"to": [{"podSelector": ours, "namespaceSelector": {}}]}


def test_restricted_it_reaches_pods_of_its_namespaces_only() -> None:
    (peer,) = policy(*SHUT, "--set", "watchNamespaces={a,b}")["egress"][2]["to"]
    wanted = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a", "b"]}
    assert peer["namespaceSelector"] == {"matchExpressions": [wanted]}


def insiders(*values: str) -> Insiders | None:
    (container,) = one(render(*values), "Deployment")["spec"]["template"]["spec"]["containers"]
    found = {each["name"]: each.get("value", "") for each in container["env"]}
    return Settings.from_environment(found).insiders()


def test_the_operator_knows_who_reaches_the_inner_ports_of_ray_pods() -> None:
    objects, named = render(), insiders()
    assert named is not None
    (operator,) = named.rayspan
    labels = one(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert operator["podSelector"]["matchLabels"].items() <= labels.items()
    assert operator["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "rayspan-system"}
    (kuberay,) = named.kuberay
    assert kuberay["podSelector"]["matchLabels"] == {"app.kubernetes.io/component": "kuberay-operator"}
    assert named.metrics == ()


def test_kuberay_and_prometheus_are_named_as_one_likes() -> None:
    named = insiders(
        "--set-json", 'rayPods.networkPolicy.kuberay=[{"ipBlock":{"cidr":"10.0.0.1/32"}}]',
        "--set-json", 'rayPods.networkPolicy.metricsFrom=[{"podSelector":{"matchLabels":{"app":"prometheus"}}}]',
    )  # fmt: skip
    assert named is not None
    assert named.kuberay == ({"ipBlock": {"cidr": "10.0.0.1/32"}},)
    assert named.metrics == ({"podSelector": {"matchLabels": {"app": "prometheus"}}},)


def test_the_operator_makes_none_for_ray_pods_on_request() -> None:
    assert insiders("--set", "rayPods.networkPolicy.enabled=false") is None


def test_it_is_left_out_on_request() -> None:
    assert "NetworkPolicy" not in kinds(render("--set", "networkPolicy.enabled=false"))
