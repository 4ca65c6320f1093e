"""What the operator's metrics page says of deployments."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from prometheus_client import generate_latest
from rayspan.api.v1alpha1 import Status
from rayspan.report.samples import HELP
from rayspan.telemetry import Telemetry, configure_logs

STATUS = Status.model_validate(
    {
        "replicas": {"desired": 2, "ready": 1},
        "conditions": [
            {
                "type": "Ready", "status": "True", "reason": "ReplicasReady", "message": "",
                "lastTransitionTime": "2026-01-31T12:00:00Z", "observedGeneration": 1,
            }
        ],
        "plan": {
            "tensor": 1, "pipeline": 2, "layout": "TP1xPP2", "layers": [4, 4], "gpus": 4,
            "suggestion": {"layers": [5, 3], "gainPercent": 12, "message": "Cut into 5 and 3."},
        },
        "latency": {
            "window": "5m", "requests": 200, "observedAt": "2026-01-31T12:00:00Z",
            "timeToFirstToken": {"p50": "76ms", "p95": "1.25s"},
        },
        "traffic": {
            "requestsPerSecond": 3.5, "outputTokensPerSecond": 448.0, "running": 4, "waiting": 0, "errorRate": 0.0,
            "kvCacheUsage": 0.25, "balance": {"jainIndex": 0.98, "shares": [0.5, 0.5]},
        },
        "diagnosis": {"verdict": "Healthy", "summary": "Every objective is met.", "since": "2026-01-31T12:00:00Z"},
    }
)  # fmt: skip


def page(telemetry: Telemetry) -> list[str]:
    lines = generate_latest(telemetry.registry).decode().splitlines()
    return [line for line in lines if line.startswith("rayspan_deployment_")]


def test_a_deployment_as_numbers() -> None:
    telemetry = Telemetry()
    telemetry.told(("llm", "tiny"), STATUS, written=True)
    assert page(telemetry) == [
        'rayspan_deployment_replicas_desired{name="tiny",namespace="llm"} 2.0',
        'rayspan_deployment_replicas_ready{name="tiny",namespace="llm"} 1.0',
        'rayspan_deployment_condition{name="tiny",namespace="llm",status="True",type="Ready"} 1.0',
        'rayspan_deployment_diagnosis{name="tiny",namespace="llm",verdict="Healthy"} 1.0',
        'rayspan_deployment_suggestion_gain_ratio{name="tiny",namespace="llm"} 0.12',
        'rayspan_deployment_latency_seconds{latency="time_to_first_token",name="tiny",namespace="llm",quantile="0.5"} 0.076',
        'rayspan_deployment_latency_seconds{latency="time_to_first_token",name="tiny",namespace="llm",quantile="0.95"} 1.25',
        'rayspan_deployment_requests_per_second{name="tiny",namespace="llm"} 3.5',
        'rayspan_deployment_output_tokens_per_second{name="tiny",namespace="llm"} 448.0',
        'rayspan_deployment_error_ratio{name="tiny",namespace="llm"} 0.0',
        'rayspan_deployment_requests_running{name="tiny",namespace="llm"} 4.0',
        'rayspan_deployment_requests_waiting{name="tiny",namespace="llm"} 0.0',
        'rayspan_deployment_kv_cache_usage_ratio{name="tiny",namespace="llm"} 0.25',
        'rayspan_deployment_balance_jain_ratio{name="tiny",namespace="llm"} 0.98',
    ]
    assert {line.split("{")[0].removeprefix("rayspan_deployment_") for line in page(telemetry)} == set(HELP)


def test_what_is_not_known_is_not_there_and_what_is_gone_goes() -> None:
    telemetry = Telemetry()
    telemetry.told(("llm", "tiny"), Status(), written=False)
    assert page(telemetry) == []
    telemetry.told(("llm", "tiny"), STATUS, written=False)
    telemetry.told(("llm", "other"), STATUS, written=False)
    telemetry.forget(("llm", "tiny"))
    assert all('name="other"' in line for line in page(telemetry))
    written = [
        line for line in generate_latest(telemetry.registry).decode().splitlines() if "status_writes" in line
    ]
    assert "rayspan_status_writes_total 0.0" in written


async def test_a_line_of_json_names_the_deployment_of_its_pass(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever logs it, and in tasks of the pass too; outside of a pass there is none."""
    root, rayspan = logging.getLogger(), logging.getLogger("rayspan")
    handlers, levels = list(root.handlers), (root.level, rayspan.level)
    telemetry = Telemetry()

    async def one_pass(name: str) -> None:
        with telemetry.passing(("llm", name)):
            await asyncio.sleep(0)
            await asyncio.create_task(asyncio.to_thread(logging.getLogger("other").warning, "of %s", name))

    try:
        configure_logs("json", "info")
        rayspan.info("outside")
        await asyncio.gather(one_pass("a"), one_pass("b"))
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    finally:
        root.handlers[:] = handlers
        root.setLevel(levels[0])
        rayspan.setLevel(levels[1])
    told = [(each["message"], each.get("namespace"), each.get("name")) for each in lines]
    assert told[0] == ("outside", None, None)
    assert sorted(told[1:]) == [("of a", "llm", "a"), ("of b", "llm", "b")]
    assert set(lines[1]) == {"time", "level", "logger", "message", "namespace", "name"}
