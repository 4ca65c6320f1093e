"""A quiet deployment costs no writes; the operator is small; a new deployment is acted on at once."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.e2e.conftest import gpus
from tests.e2e.llm import LLM, NAMESPACE, tiny, wait_for
from tests.kubectl import Refused, get, kubectl

QUIET_SECONDS = int(os.environ.get("RAYSPAN_QUIET_SECONDS", "60"))
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


def test_a_quiet_deployment_causes_no_api_writes(llm: LLM) -> None:
    time.sleep(30)  # the window of what came before has been written
    began = time.time()
    time.sleep(QUIET_SECONDS)
    writes = [
        e for e in audit(since=began) if "system:serviceaccount:rayspan-system" in e["user"]["username"]
    ]
    print(
        f"\n{QUIET_SECONDS} s quiet: {len(writes)} writes: {[(e['verb'], e['requestURI']) for e in writes]}"
    )
    assert [e for e in writes if "status" not in e["requestURI"]] == []
    assert writes == [], "not even the status: nothing a reader would care about has changed"


def test_the_operator_is_small(llm: LLM) -> None:
    pod = get("-n", "rayspan-system", "pods", "-l", "app.kubernetes.io/name=rayspan")["items"][0]
    uid = pod["metadata"]["uid"]
    resident = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if uid.replace("-", "") in (status.parent / "cgroup").read_text().replace("-", "").replace(
                "_", ""
            ):
                match = re.search(r"VmRSS:\s+(\d+) kB", status.read_text())
                resident = max(resident, int(match.group(1)) if match else 0)
        except OSError:
            continue
    print(f"\nresident: {resident / 1024:.0f} MiB")
    assert 0 < resident / 1024 < 120


def test_a_rayservice_follows_within_a_second_of_the_apply(llm: LLM) -> None:
    """20 deployments, one after another, of a model that is known by now. Each is deleted at once."""
    gpus(2)
    name, took = "quick", []
    for _ in range(20):
        quick = LLM(name)
        document = json.dumps(tiny(name, replicas=1, parallelism={"stages": [{"layers": 4}, {"layers": 4}]}))
        began = time.monotonic()
        subprocess.run(
            ["kubectl", "apply", "-f", "-"], input=document, text=True, check=True, stdout=subprocess.DEVNULL
        )
        applied = time.monotonic()
        wait_for("the RayService", lambda: exists("rayservice", name), 30, interval=0.02)
        took.append(time.monotonic() - applied)
        assert applied - began < 10
        quick.delete()
    gpus(1)
    p95 = statistics.quantiles(took, n=20)[-1]
    print(f"\nfrom apply to RayService: median {statistics.median(took):.2f} s, p95 {p95:.2f} s")
    assert (
        statistics.median(took) < 1 and p95 < 2
    )  # p95 under 1 s is the goal on a machine that nobody shares


def exists(kind: str, name: str) -> bool:
    """Whether the object is there."""
    try:
        kubectl("-n", NAMESPACE, "get", kind, name, "-o", "name")
    except Refused:
        return False
    return True


def audit(since: float) -> list[dict[str, Any]]:
    """The API server's audit log of writes since then."""
    path = Path(os.environ["KUBECONFIG"]).parent / "logs" / "audit.log"
    events = []
    for line in path.read_text().splitlines():
        event = json.loads(line)
        stamp = event["requestReceivedTimestamp"].split(".")[0]
        at = time.mktime(time.strptime(stamp.rstrip("Z"), "%Y-%m-%dT%H:%M:%S")) - time.timezone
        if event["verb"] in WRITES and at >= since and event.get("stage") == "ResponseComplete":
            events.append({**event, "at": at})
    return events
