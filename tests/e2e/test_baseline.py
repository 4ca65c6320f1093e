"""The same three failures of a RayService written by hand: the outage to beat. Run by ``make baseline``, after
those of an LLMDeployment (test_failures.py)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Lifecycle, outages
from tests.e2e.llm import NAMESPACE as LLM_NAMESPACE
from tests.e2e.llm import wait_for
from tests.e2e.traffic import Traffic
from tests.kubectl import get, kubectl

pytestmark = pytest.mark.long
NAMESPACE = "llm-baseline"
MANIFEST = Path(__file__).parent / "baseline" / "rayservice.yaml"


@pytest.fixture(scope="module")
def address(cluster: None) -> Iterator[Callable[[], str]]:
    """Gives the base URL of the hand-written RayService, which answers. Deployments before it give it their GPUs."""
    kubectl("-n", LLM_NAMESPACE, "delete", "llm", "--all", timeout=180)
    kubectl(
        "-n",
        LLM_NAMESPACE,
        "wait",
        "--for=delete",
        "pod",
        "-l",
        "ray.io/cluster",
        "--timeout=120s",
        timeout=130,
    )
    kubectl("create", "namespace", NAMESPACE)

    def url() -> str:
        service = get("-n", NAMESPACE, "service", "by-hand-serve-svc")
        return f"http://{service['spec']['clusterIP']}:8000/v1"

    try:
        kubectl("apply", "-f", str(MANIFEST))
        wait_for("the serve service", url, 300)
        answers(url, 400)
        yield url
    finally:
        kubectl("delete", "namespace", NAMESPACE, timeout=180)


def answers(address: Callable[[], str], timeout: float) -> None:
    """Wait until a completion comes back."""
    with Traffic(address, "tiny", concurrency=1, pause=1) as traffic:
        now = time.monotonic()
        wait_for("an answer", lambda: traffic.answered_since(now), timeout)


def pod(selector: str) -> str:
    """Name of the running pod that the selector finds."""
    items = get("-n", NAMESPACE, "pods", "-l", selector)["items"]
    (name,) = [p["metadata"]["name"] for p in items if "deletionTimestamp" not in p["metadata"]]
    return str(name)


@pytest.mark.parametrize(
    ("event", "selector", "how"),
    [
        ("by hand: stage pod deleted", "ray.io/group=stage-1", ()),
        ("by hand: stage pod killed", "ray.io/group=stage-1", ("--grace-period=0", "--force")),
        ("by hand: head pod deleted", "ray.io/node-type=head", ()),
    ],
)
def test_a_rayservice_by_hand(
    event: str, selector: str, how: tuple[str, ...], address: Callable[[], str], lifecycle: Lifecycle
) -> None:
    """Nothing is asserted of how long it takes: it is here to be compared with. It must recover, though."""
    began = time.monotonic()

    def settled() -> bool:
        return time.monotonic() - began > 75  # past every grace: what answers now goes on answering

    lifecycle.measure(
        event,
        address,
        lambda: kubectl("-n", NAMESPACE, "delete", "pod", pod(selector), "--wait=false", *how),
        settled,
        timeout=700,
    )


@pytest.mark.parametrize("event", ["stage pod deleted", "stage pod killed", "head pod deleted"])
def test_an_llmdeployment_is_away_for_less_long(event: str) -> None:
    measured = outages()
    assert measured[event] < measured[f"by hand: {event}"]
