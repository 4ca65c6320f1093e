"""A real Prometheus reads the operator's page, and the chart's dashboard and rules find in it what they ask for."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.debian import program
from tests.api.server import free_port
from tests.e2e.llm import LLM, wait_for
from tests.e2e.traffic import Traffic
from tests.kubectl import get
from tests.unit.chart.rendered import SHAPES, one, render

QUIET = {"Failed requests", "What a better cut would gain"}
"""Panels without a value while nothing fails and the cut is as good as any."""


@pytest.fixture
def prometheus(llm: LLM, tmp_path: Path) -> Iterator[Prometheus]:
    """Scrapes the operator's pod each second, with the chart's rules."""
    (pod,) = get("-n", "rayspan-system", "pods", "-l", "app.kubernetes.io/name=rayspan")["items"]
    with running(tmp_path, f"{pod['status']['podIP']}:8081") as found:
        yield found


def test_the_dashboard_and_the_rules_find_what_they_ask_for(llm: LLM, prometheus: Prometheus) -> None:
    (dashboard,) = one(render(*SHAPES["with metrics collected"]), "ConfigMap")["data"].values()
    panels = {
        panel["title"]: [target["expr"] for target in panel["targets"]]
        for panel in json.loads(dashboard)["panels"]
    }

    def empty() -> list[str]:
        return [
            f"{title}: {asked}"
            for title, every in panels.items()
            for asked in every
            if not prometheus.ask(filled(asked, llm)) and title not in QUIET
        ]

    with Traffic(llm.address, "tiny", concurrency=2):
        wait_for("a value in every panel", lambda: not empty(), 120, on_timeout=lambda: "\n".join(empty()))
    assert {rule["health"] for rule in prometheus.rules()} == {"ok"}
    firing = [rule["name"] for rule in prometheus.rules() if rule.get("state") == "firing"]
    assert not firing, firing


def filled(asked: str, llm: LLM) -> str:
    """A panel's query with this deployment chosen."""
    for name, value in (("$namespace", ".*"), ("$name", llm.name), ("$__rate_interval", "1m")):
        asked = asked.replace(name, value)
    return asked


class Prometheus:
    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self._url}/{path}", timeout=10) as answer:
            return json.load(answer)["data"]

    def ask(self, query: str) -> list[Any]:
        found: list[Any] = self.get("query?" + urllib.parse.urlencode({"query": query}))["result"]
        return found

    def rules(self) -> list[Any]:
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def scraped(self) -> bool:
        try:
            return bool(self.ask("up == 1")) and all(rule["health"] == "ok" for rule in self.rules())
        except OSError:
            return False


@contextmanager
def running(folder: Path, target: str) -> Iterator[Prometheus]:
    rules = one(render(*SHAPES["with metrics collected"]), "PrometheusRule")["spec"]
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
    job = {"job_name": "rayspan", "honor_labels": True, "static_configs": [{"targets": [target]}]}
    every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config = {"global": every, "rule_files": ["rules.yaml"], "scrape_configs": [job]}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        str(program("prometheus", "usr/bin/prometheus")), f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        found = Prometheus(port)
        wait_for("Prometheus to have read the operator's page", found.scraped, 60,
                 on_timeout=lambda: (folder / "log").read_text()[-2000:])  # fmt: skip
        yield found
    finally:
        process.terminate()
        process.wait()
