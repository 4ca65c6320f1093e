"""What `rayspan status` shows: replica, stage, pod and node as a tree, latencies, conditions.

Built from the object as it is, not from the types: a status of a newer or older operator is shown too.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

Document = dict[str, Any]

_GOOD = {"True": "green", "False": "red", "Unknown": "yellow", "Running": "green", "Starting": "yellow"}
_GOOD_WHEN_FALSE = "Degraded"
_FLIPPED = {"True": "False", "False": "True"}
_LATENCIES = {
    "timeToFirstToken": "time to first token",
    "interTokenLatency": "inter-token latency",
    "endToEnd": "end to end",
}


def view(document: Document) -> RenderableType:
    """The whole view of one LLMDeployment."""
    status = document.get("status") or {}
    parts: list[RenderableType] = [_head(document, status), _stages(status)]
    parts.extend(part for part in (_latency(status), verdict(status), _conditions(document, status)) if part)
    return Group(*parts)


def diagnosis_view(document: Document) -> RenderableType:
    """What limits it, or why it does not serve."""
    metadata, status = document["metadata"], document.get("status") or {}
    diagnosis = status.get("diagnosis") or {}
    since = f" since {diagnosis['since']}" if diagnosis.get("since") else ""
    head = Text(f"{metadata['namespace']}/{metadata['name']}{since}", style="bold")
    told = verdict(status) or Text("The operator has not said anything yet.")
    suggestion = (status.get("plan") or {}).get("suggestion")
    return Group(head, told, *([Text(f"A better cut: {suggestion['message']}")] if suggestion else []))


def _head(document: Document, status: Document) -> Text:
    metadata, replicas = document["metadata"], status.get("replicas") or {}
    words = [
        f"{metadata['namespace']}/{metadata['name']}",
        status.get("phase") or "not seen by the operator yet",
        f"{replicas['ready']}/{replicas['desired']} replicas ready" if replicas else "",
        (status.get("plan") or {}).get("layout", ""),
        status.get("url", ""),
    ]
    return Text("  ".join(word for word in words if word), style="bold")


def _stages(status: Document) -> RenderableType:
    stages = status.get("stages") or []
    if not stages:
        return Text("no stage runs")
    tree = Tree("replicas", hide_root=True)
    by_replica = sorted(stages, key=lambda each: (each["replica"], each["stage"]))
    for replica, its_stages in groupby(by_replica, key=lambda each: each["replica"]):
        branch = tree.add(Text(f"replica {replica}"))
        for stage in its_stages:
            branch.add(_stage(stage))
    return tree


def _stage(stage: Document) -> Text:
    line = Text(f"stage {stage['stage']}  ")
    line.append(stage["state"], style=_GOOD.get(stage["state"], "red"))
    line.append(f"  node {stage.get('node') or 'none'}  pod {stage.get('pod') or 'none'}")
    line.append(f"  {_count(stage['gpus'], 'GPU')}")
    if stage.get("layers") is not None:
        line.append(f"  {_count(stage['layers'], 'layer')}")
    if stage.get("restarts"):
        line.append(f"  {_count(stage['restarts'], 'restart')}", style="yellow")
    return line


def _latency(status: Document) -> RenderableType | None:
    latency = status.get("latency")
    if not latency:
        return None
    if not latency["requests"]:
        return Text(f"no request ended in the last {latency['window']}: no latencies")
    title = f"latency of {_count(latency['requests'], 'request')} in {latency['window']}"
    table = Table(title=title, title_justify="left", title_style="", box=None, pad_edge=False)
    table.add_column("")
    for percentile in ("p50", "p95", "p99"):
        table.add_column(percentile, justify="right")
    for field, label in _LATENCIES.items():
        values = latency.get(field) or {}
        table.add_row(label, *(values.get(percentile) or "-" for percentile in ("p50", "p95", "p99")))
    return table


def verdict(status: Document) -> RenderableType | None:
    """status.diagnosis in words; None: the operator has said nothing."""
    diagnosis = status.get("diagnosis")
    if not diagnosis:
        return None
    lines = [f"{diagnosis['verdict']}: {diagnosis['summary']}"]
    lines += [f"  - {fact}" for fact in diagnosis.get("evidence") or ()]
    if diagnosis.get("action"):
        lines.append(f"  next: {diagnosis['action']}")
    if failure := diagnosis.get("lastFailure"):
        lines.append(f"  last failure, {failure['at']}: {failure['message']}")
    return Text("\n".join(lines))


def _conditions(document: Document, status: Document) -> RenderableType | None:
    conditions: Iterable[Document] = status.get("conditions") or ()
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for condition in conditions:
        value: str = condition["status"]
        good = _FLIPPED.get(value, value) if condition["type"] == _GOOD_WHEN_FALSE else value
        told = Text(value, style=_GOOD.get(good, ""))
        table.add_row(condition["type"], told, condition["reason"], condition["message"])
    generation = document["metadata"].get("generation")
    if generation and status.get("observedGeneration", generation) != generation:
        table.add_row("", "", "", "the newest change is not taken up yet")
    return table if table.row_count else None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
