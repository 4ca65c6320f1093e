"""The real cluster with the real operator, installed from the chart; deployments are shared between tests.

Files run in the order of ``ORDER``: each takes over what the one before it left serving, because a
deployment takes over a minute to start. Needs ``make cluster images`` before; ``make e2e`` sees to it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.llm import LLM, NAMESPACE, tiny, wait_for
from tests.e2e.traffic import Traffic
from tests.kubectl import Refused, get, kubectl

CHECKOUT = Path(__file__).parents[2]
ORDER = (
    "test_install",
    "test_quiet",
    "test_create",  # before all that sends requests, which would be in its percentiles
    "test_gitops",
    "test_monitoring",
    "test_endpoints",
    "test_api_keys",
    "test_bad_input",
    "test_changes",
    "test_scale",
    "test_new_cluster",
    "test_failures",
    "test_delete",
    "test_plan",
    "test_grants",
    "test_not_serving",
    "test_upgrade",
    "test_baseline",
)
"""Order of the files in this folder."""


@dataclass(frozen=True)
class Outcome:
    """One row of the lifecycle table; times in seconds."""

    event: str
    ready_again: float
    seen_after: float | None
    outage: float
    requests: int
    failed: int
    longest: float
    details: tuple[str, ...]
    """What the failed requests were told, most frequent first, and how the longest one ended."""


_outcomes: list[Outcome] = []


def outages() -> dict[str, float]:
    """Seconds without service of the events measured so far."""
    return {outcome.event: outcome.outage for outcome in _outcomes}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by ORDER; a file that is not named there is an error."""
    ours = [item for item in items if item.path.parent == Path(__file__).parent]
    if ours:
        items[:] = [item for item in items if item not in ours] + sorted(
            ours, key=lambda item: ORDER.index(item.path.stem)
        )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the lifecycle table."""
    if not _outcomes:
        return
    write = terminalreporter.write_line
    write("")
    write(
        "| event | not Ready seen after s | Ready again after s | without service s | requests | failed | longest s |"
    )
    write("|---|---|---|---|---|---|---|")
    for row in _outcomes:
        seen = "-" if row.seen_after is None else f"{row.seen_after:.1f}"
        write(
            f"| {row.event} | {seen} | {row.ready_again:.0f} | {row.outage:.0f} | {row.requests} "
            f"| {row.failed} | {row.longest:.1f} |"
        )
    for row in _outcomes:
        write(f"{row.event}:")
        for line in row.details:
            write(f"    {line}")


@dataclass(frozen=True)
class Lifecycle:
    """Does something to a serving deployment while a client asks without pause, and measures."""

    model: str = "tiny"

    def measure(
        self,
        event: str,
        address: Callable[[], str],
        act: Callable[[], object],
        recovered: Callable[[], object],
        noticed: Callable[[], object] | None = None,
        timeout: float = 700,
        pause: float = 0.05,
    ) -> Outcome:
        """Act; wait until ``noticed`` (if given), then until ``recovered`` and a new request is answered.

        ``pause``: seconds between a client's requests.
        """
        with Traffic(address, self.model, pause=pause) as traffic:
            wait_for("requests to be answered", lambda: len(traffic.requests) - len(traffic.failed) >= 3, 60)
            began = time.monotonic()
            act()
            seen = wait_for(f"{event}: to be noticed", noticed, 60, interval=0.2) if noticed else None
            wait_for(f"{event}: to be over", recovered, timeout)
            over = time.monotonic()
            wait_for(f"{event}: an answer afterwards", lambda: traffic.answered_since(over), timeout)
        outcome = Outcome(
            event,
            over - began,
            seen,
            traffic.outage,
            len(traffic.requests),
            len(traffic.failed),
            traffic.longest,
            traffic.details(),
        )
        print(f"\n{outcome}")
        _outcomes.append(outcome)
        return outcome


@pytest.fixture(scope="session")
def lifecycle() -> Lifecycle:
    """Measures lifecycle events; the table is printed at the end."""
    return Lifecycle()


@pytest.fixture(scope="session")
def cluster() -> None:
    """The cluster of ``make cluster``, with a namespace that enforces Pod Security ``restricted``."""
    try:
        kubectl("get", "--raw", "/readyz")
    except Refused as refused:
        pytest.fail(f"no cluster answers (run `make cluster`, then `make e2e`): {refused}")
    namespace = f"""
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels: {{pod-security.kubernetes.io/enforce: restricted}}
"""
    kubectl("apply", "-f", "-", stdin=namespace)
    others = [
        f"{meta['namespace']}/{meta['name']}"
        for meta in (pod["metadata"] for pod in get("pods", "-A", "-l", "ray.io/cluster")["items"])
        if meta["namespace"] != NAMESPACE
    ]
    if others:
        pytest.fail(
            f"the GPUs of this cluster are held by {others[0]} (the demo's: kubectl delete -f examples/tiny.yaml)"
        )
    gpus(1)


def gpus(count: int) -> None:
    """Give both GPU nodes this many (fake) GPUs."""
    for node in ("gpu-a", "gpu-b"):
        subprocess.run([sys.executable, "-m", "dev", "gpus", node, str(count)], cwd=CHECKOUT, check=True)


def tag_serving_image(name: str) -> None:
    """Give the serving image another name on every node."""
    for node in ("rayspan-head", "gpu-a", "gpu-b"):
        socket = Path(os.environ["KUBECONFIG"]).parent / "nodes" / node / "containerd.sock"
        ctr = ["ctr", "--address", str(socket), "-n", "k8s.io", "images", "tag", "--force"]
        command = [*ctr, "localhost/rayspan/serving:dev", name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def operator(cluster: None) -> None:
    """The operator from the chart in this checkout, with the images that were built from it."""
    subprocess.run([sys.executable, "-m", "dev.demo", "--only-install"], cwd=CHECKOUT, check=True)


@pytest.fixture(scope="session")
def llm(operator: None) -> Iterator[LLM]:
    """``tiny``: one replica, two stages on two nodes, Ready. Tests change it and put it back."""
    deployment = LLM("tiny")
    deployment.apply(tiny())
    deployment.wait("Ready", timeout=700)
    yield deployment
    deployment.delete()
