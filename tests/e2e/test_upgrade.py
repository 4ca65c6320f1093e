"""Helm on the real cluster, with a deployment that serves: upgrade, rollback, uninstall, install again.

The next version is this one with another number and another way to render pods: it would restart everything, if it
rendered what it finds anew.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from dev import images
from tests.e2e.conftest import CHECKOUT
from tests.e2e.llm import LLM, NAMESPACE, wait_for
from tests.e2e.traffic import Traffic
from tests.kubectl import get, kubectl

pytestmark = pytest.mark.long

SYSTEM = ("-n", "rayspan-system")
NEXT = images.Image("localhost/rayspan/operator:next", "", ())
PASSES_SECONDS = 30
"""For a new operator to look at everything more than once."""


@pytest.fixture(scope="module")
def next_version(operator: None) -> None:
    """The image of it."""
    packages = "/opt/rayspan/lib/python3*/site-packages"
    images.build_from(
        NEXT,
        "FROM localhost/rayspan/operator:dev\n"
        "USER 0\n"
        f"RUN sed -i 's/^Version: .*/Version: 0.2.0/' {packages}/rayspan-*.dist-info/METADATA"
        f" && sed -i 's/termination_grace_seconds: int = 35/termination_grace_seconds: int = 40/'"
        f" {packages}/rayspan/render/settings.py\n"
        "USER 65532:65532\n",
    )


def test_no_release_of_the_operator_touches_what_serves(llm: LLM, next_version: None) -> None:
    before = owned(llm)
    with Traffic(llm.address, "tiny", concurrency=1, pause=0.3) as traffic:
        tag = NEXT.name.rpartition(":")[2]
        done("upgrade to 0.2.0", llm, before, lambda: helm("upgrade", "--set", f"image.tag={tag}"))
        done("rollback", llm, before, lambda: helm("rollback"))
        done("uninstall", llm, before, lambda: helm("uninstall"))
        assert llm.object["metadata"]["name"] == llm.name
        done("install again", llm, before, install)
    print(
        f"\n{len(traffic.requests)} requests meanwhile, {len(traffic.failed)} failed: {traffic.details()[-1]}"
    )
    assert not traffic.failed
    llm.wait("Ready", timeout=120)


def done(what: str, llm: LLM, before: dict[str, Any], act: Callable[[], object]) -> None:
    """Act, give the operator time, and compare."""
    began = time.monotonic()
    act()
    if what != "uninstall":
        kubectl(*SYSTEM, "rollout", "status", "deployment/rayspan", "--timeout=120s", timeout=130)
        wait_for("an operator that works", lambda: running(), 60)
    taken = time.monotonic() - began
    time.sleep(PASSES_SECONDS)
    after = owned(llm)
    print(
        f"\n{what}: {taken:.0f} s; RayService and pods {'as before' if after == before else 'CHANGED'}",
        end="",
    )
    assert after == before


def running() -> bool:
    pods = get(*SYSTEM, "pods", "-l", "app.kubernetes.io/name=rayspan")["items"]
    return len(pods) == 1 and any(
        one["type"] == "Ready" and one["status"] == "True" for one in pods[0]["status"].get("conditions", [])
    )


def owned(llm: LLM) -> dict[str, Any]:
    """The RayService without its status, and its pods' identities."""
    service = get("-n", NAMESPACE, "rayservice", llm.name, "--show-managed-fields")
    metadata = service["metadata"]
    kept = {
        key: metadata.get(key) for key in ("uid", "generation", "labels", "annotations", "ownerReferences")
    }
    fields = [one for one in metadata["managedFields"] if one.get("subresource") != "status"]
    return {"metadata": kept, "spec": service["spec"], "fields": fields, "pods": sorted(llm.uids())}


def helm(verb: str, *arguments: str) -> None:
    chart = [str(CHECKOUT / "charts" / "rayspan"), "--reuse-values"] if verb == "upgrade" else []
    command = ["helm", verb, "rayspan", *chart, *SYSTEM, *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def install() -> None:
    subprocess.run([sys.executable, "-m", "dev.demo", "--only-install"], cwd=CHECKOUT, check=True)
