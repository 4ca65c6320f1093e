"""Metrics: a Service, a monitor of either kind, rules and a dashboard that ask for what is exported."""

from __future__ import annotations

import json
import re

from rayspan.report.samples import HELP, PREFIX
from rayspan.telemetry import Telemetry

from tests.unit.chart.rendered import SHAPES, kinds, one, render


def test_the_service_leads_to_the_pods_metrics_port() -> None:
    objects = render()
    service, deployment = one(objects, "Service")["spec"], one(objects, "Deployment")["spec"]
    assert service["selector"] == deployment["selector"]["matchLabels"]
    (port,) = service["ports"]
    ports = {
        each["name"]: each["containerPort"]
        for each in deployment["template"]["spec"]["containers"][0]["ports"]
    }
    assert (ports[port["targetPort"]], port["port"]) == (8081, 8081)


def test_a_monitor_finds_what_it_scrapes_and_leaves_the_deployments_labels_alone() -> None:
    for kind, name, target in (
        ("ServiceMonitor", "with metrics collected", "Service"),
        ("PodMonitor", "with the pod scraped", "Deployment"),
    ):
        objects = render(*SHAPES[name])
        spec = one(objects, kind)["spec"]
        (endpoint,) = spec["endpoints" if kind == "ServiceMonitor" else "podMetricsEndpoints"]
        assert endpoint == {"port": "metrics", "interval": "30s", "honorLabels": True}
        found = one(objects, target)
        labels = (found if target == "Service" else found["spec"]["template"])["metadata"]["labels"]
        assert spec["selector"]["matchLabels"].items() <= labels.items()


def test_labels_that_a_prometheus_selects_by_are_on_what_it_selects() -> None:
    objects = render(*SHAPES["with metrics collected"])
    assert one(objects, "PrometheusRule")["metadata"]["labels"]["release"] == "prometheus"
    assert "release" not in one(objects, "ServiceMonitor")["metadata"]["labels"]
    assert one(objects, "ConfigMap")["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_as_it_comes_nothing_needs_the_prometheus_operator() -> None:
    assert kinds(render()).isdisjoint({"ServiceMonitor", "PodMonitor", "PrometheusRule", "ConfigMap"})


def test_dashboard_and_rules_ask_for_what_the_operator_exports() -> None:
    """Every name in them is on its metrics page, that of deployments or its own."""
    objects = render(*SHAPES["with metrics collected"])
    telemetry = Telemetry()
    exported = {family.name for family in telemetry.registry.collect()} | {
        f"{PREFIX}_{name}" for name in HELP
    }
    panels = json.loads(one(objects, "ConfigMap")["data"]["rayspan.json"])["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    asked += [
        rule["expr"] for group in one(objects, "PrometheusRule")["spec"]["groups"] for rule in group["rules"]
    ]
    names = {
        re.sub("_(total|count)$", "", name) for text in asked for name in re.findall(r"rayspan_[a-z_]+", text)
    }
    assert names - exported == set()
    assert {f"{PREFIX}_{name}" for name in HELP} - names == set()
