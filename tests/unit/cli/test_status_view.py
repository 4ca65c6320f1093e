"""What `rayspan status` shows, verbatim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rayspan.cli.status_view import diagnosis_view, view
from rich.console import Console, RenderableType

SERVING: dict[str, Any] = {
    "metadata": {"name": "tiny", "namespace": "default", "generation": 3},
    "status": {
        "observedGeneration": 3,
        "phase": "Ready",
        "url": "http://tiny-serve-svc.default.svc:8000/v1",
        "replicas": {"desired": 2, "ready": 2},
        "plan": {"layout": "TP1xPP2"},
        "stages": [
            {"replica": "b2", "stage": 1, "node": "gpu-b", "pod": "p-4", "gpus": 1, "layers": 4, "state": "Running"},
            {"replica": "a1", "stage": 0, "node": "gpu-a", "pod": "p-1", "gpus": 1, "layers": 4, "state": "Running"},
            {"replica": "a1", "stage": 1, "gpus": 1, "layers": 4, "state": "Missing"},
            {
                "replica": "b2", "stage": 0, "node": "gpu-a", "pod": "p-3", "gpus": 2, "layers": 1,
                "state": "Starting", "restarts": 2,
            },
        ],
        "latency": {
            "window": "300s",
            "requests": 212,
            "timeToFirstToken": {"p50": "76ms", "p95": "246ms", "p99": "345ms"},
            "interTokenLatency": {"p50": "9ms", "p95": "14ms", "p99": "21ms"},
        },
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "ReplicasReady", "message": "2 of 2 replicas serve"},
            {"type": "Degraded", "status": "False", "reason": "Healthy", "message": "nothing is degraded"},
        ],
    },
}  # fmt: skip


def shown(document: dict[str, Any], how: Callable[[dict[str, Any]], RenderableType] = view) -> str:
    console = Console(width=120, highlight=False)
    with console.capture() as capture:
        console.print(how(document))
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def test_replicas_stages_latencies_and_conditions() -> None:
    assert (
        shown(SERVING)
        == """\
default/tiny  Ready  2/2 replicas ready  TP1xPP2  http://tiny-serve-svc.default.svc:8000/v1
replica a1
├── stage 0  Running  node gpu-a  pod p-1  1 GPU  4 layers
└── stage 1  Missing  node none  pod none  1 GPU  4 layers
replica b2
├── stage 0  Starting  node gpu-a  pod p-3  2 GPUs  1 layer  2 restarts
└── stage 1  Running  node gpu-b  pod p-4  1 GPU  4 layers
latency of 212 requests in 300s
                      p50    p95    p99
time to first token  76ms  246ms  345ms
inter-token latency   9ms   14ms   21ms
end to end              -      -      -
Ready     True   ReplicasReady  2 of 2 replicas serve
Degraded  False  Healthy        nothing is degraded"""
    )


def test_an_object_that_no_operator_has_seen() -> None:
    assert shown({"metadata": {"name": "tiny", "namespace": "default", "generation": 1}}) == (
        "default/tiny  not seen by the operator yet\nno stage runs"
    )


def test_no_traffic_is_said_in_words() -> None:
    status = {"latency": {"window": "300s", "requests": 0}}
    assert "no request ended in the last 300s: no latencies" in shown({**SERVING, "status": status})


def test_a_change_that_is_not_taken_up_yet_is_said() -> None:
    newer = {**SERVING, "metadata": {**SERVING["metadata"], "generation": 4}}
    assert "the newest change is not taken up yet" in shown(newer)


def test_a_diagnosis_with_its_evidence_the_next_step_and_a_better_cut() -> None:
    diagnosis = {
        "verdict": "PipelineImbalance",
        "summary": "One stage of the pipeline gates the others.",
        "evidence": ["Stage 1 works 92% of the time, the others wait for it: 35% and 92%."],
        "action": "Cut the layers as status.plan.suggestion says.",
        "since": "2026-01-31T12:00:00Z",
    }
    plan = {"suggestion": {"message": "Cut into 6 and 2 layers in place of 4 and 4."}}
    document = {**SERVING, "status": {**SERVING["status"], "diagnosis": diagnosis, "plan": plan}}
    assert (
        shown(document, diagnosis_view)
        == """\
default/tiny since 2026-01-31T12:00:00Z
PipelineImbalance: One stage of the pipeline gates the others.
  - Stage 1 works 92% of the time, the others wait for it: 35% and 92%.
  next: Cut the layers as status.plan.suggestion says.
A better cut: Cut into 6 and 2 layers in place of 4 and 4."""
    )


def test_without_a_diagnosis_that_is_said() -> None:
    document = {"metadata": {"name": "tiny", "namespace": "default"}}
    assert shown(document, diagnosis_view) == "default/tiny\nThe operator has not said anything yet."
