"""The Grafana dashboard and the Prometheus rules of the chart, from the names that the operator exports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import yaml
from rayspan.report.samples import HELP, PREFIX

Object = dict[str, Any]

_CHOSEN = 'namespace=~"$namespace",name=~"$name"'
_LIMITS = "Coordinator|LoadBalancer|KVCache|PipelineImbalance|Network|Engine"


def metric(name: str, *matchers: str) -> str:
    """A deployment's metric in PromQL; KeyError if the operator does not export it."""
    HELP[name]
    return f"{PREFIX}_{name}" + ("{" + ",".join(matchers) + "}" if matchers else "")


def dashboard() -> str:
    """Importable by Grafana 10 and later."""
    latencies = [
        _panel(
            title,
            [metric("latency_seconds", _CHOSEN, f'latency="{latency}"')],
            "s",
            legend="{{namespace}}/{{name}} p{{quantile}}",
        )
        for title, latency in (
            ("Time to first token", "time_to_first_token"),
            ("Inter-token latency", "inter_token_latency"),
            ("End to end", "end_to_end"),
        )
    ]
    panels = [
        _panel("Verdict", [metric("diagnosis", _CHOSEN)], "none", legend="{{namespace}}/{{name}} {{verdict}}", kind="state-timeline"),
        _panel(
            "Replicas, ready and wanted",
            [metric("replicas_ready", _CHOSEN), metric("replicas_desired", _CHOSEN)],
            "none",
        ),
        _panel("Failed requests", [metric("error_ratio", _CHOSEN)], "percentunit"),
        *latencies,
        _panel("Requests per second", [metric("requests_per_second", _CHOSEN)], "reqps"),
        _panel("Output tokens per second", [metric("output_tokens_per_second", _CHOSEN)], "none"),
        _panel(
            "Requests in the engines, running and waiting",
            [metric("requests_running", _CHOSEN), metric("requests_waiting", _CHOSEN)],
            "none",
        ),
        _panel("KV cache in use", [metric("kv_cache_usage_ratio", _CHOSEN)], "percentunit"),
        _panel("Balance over replicas (Jain's index)", [metric("balance_jain_ratio", _CHOSEN)], "percentunit"),
        _panel("What a better cut would gain", [metric("suggestion_gain_ratio", _CHOSEN)], "percentunit"),
    ]  # fmt: skip
    for number, panel in enumerate(panels):
        panel |= {"id": number + 1, "gridPos": {"x": number % 3 * 8, "y": number // 3 * 8, "w": 8, "h": 8}}
    document = {
        "uid": "rayspan",
        "title": "Rayspan",
        "tags": ["rayspan"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [_source(), _variable("namespace"), _variable("name", 'namespace=~"$namespace"')]
        },
        "panels": panels,
    }
    return json.dumps(document, indent=2) + "\n"


def rules() -> str:
    """The groups of a PrometheusRule."""
    wanted = f"and on (namespace, name) {metric('replicas_desired')} > 0"
    alerts = [
        _alert("RayspanNotReady", f"{_is('Ready', 'False')} {wanted}", "10m", "critical", "is not ready"),
        _alert("RayspanDegraded", _is("Degraded", "True"), "15m", "warning", "serves degraded"),
        _alert(
            "RayspanObjectivesMissed",
            _is("ObjectivesMet", "False"),
            "15m",
            "warning",
            "misses its objectives",
        ),
        _alert("RayspanRequestsFail", f"{metric('error_ratio')} > 0.05", "5m", "critical", "fails requests"),
        _alert(
            "RayspanLimited",
            metric("diagnosis", f'verdict=~"{_LIMITS}"') + " == 1",
            "15m",
            "info",
            "is limited by {{ $labels.verdict }}",
        ),
    ]
    operator = [
        _rule(
            "RayspanPassesFail",
            'increase(rayspan_passes_total{outcome="failed"}[15m]) > 3',
            "5m",
            "warning",
            "The operator fails again and again: read its log.",
        ),
        _rule(
            "RayspanOperatorStuck",
            "rayspan_deployments > 0 and increase(rayspan_pass_duration_seconds_count[15m]) == 0",
            "5m",
            "critical",
            "The operator looks at nothing any more.",
        ),
        _rule(
            "RayspanNoLeader",
            "sum by (namespace, job) (rayspan_leader) == 0",
            "2m",
            "critical",
            "No operator works: each stands by. Read their logs, and who holds the Lease.",
        ),
    ]
    groups = [
        {"name": "rayspan-deployments", "rules": alerts},
        {"name": "rayspan-operator", "rules": operator},
    ]
    text: str = yaml.safe_dump({"groups": groups}, sort_keys=False, width=110)
    return text


def _panel(
    title: str,
    expressions: Sequence[str],
    unit: str,
    legend: str = "{{namespace}}/{{name}}",
    kind: str = "timeseries",
) -> Object:
    source = {"type": "prometheus", "uid": "${datasource}"}
    targets = [
        {"refId": chr(ord("A") + number), "expr": expression, "legendFormat": legend, "datasource": source}
        for number, expression in enumerate(expressions)
    ]
    defaults = {"unit": unit, "min": 0}
    return {
        "title": title,
        "type": kind,
        "datasource": source,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
    }


def _source() -> Object:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}


def _variable(label: str, *matchers: str) -> Object:
    query = f"label_values({metric('replicas_desired', *matchers)}, {label})"
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "name": label,
        "type": "query",
        "query": query,
        "datasource": source,
        "includeAll": True,
        "multi": True,
        "refresh": 2,
        "current": {"text": "All", "value": "$__all"},
    }


def _is(condition: str, status: str) -> str:
    return metric("condition", f'type="{condition}"', f'status="{status}"') + " == 1"


def _alert(name: str, expression: str, lasts: str, severity: str, what: str) -> Object:
    summary = f"{{{{ $labels.namespace }}}}/{{{{ $labels.name }}}} {what}: kubectl rayspan diagnose -n {{{{ $labels.namespace }}}} {{{{ $labels.name }}}}"
    return _rule(name, expression, lasts, severity, summary)


def _rule(name: str, expression: str, lasts: str, severity: str, summary: str) -> Object:
    return {
        "alert": name,
        "expr": expression,
        "for": lasts,
        "labels": {"severity": severity},
        "annotations": {"summary": summary},
    }
