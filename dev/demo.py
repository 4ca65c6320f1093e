"""`make demo`: from nothing to completions across two nodes, each step shown.

`python3 -m dev.demo --only-install` stops after the operator is installed. The Python environment in
.venv must be there (`make env`).
"""

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any

from dev import addons, cluster, images, paths
from dev.shell import Failure, ended, run, say, show

NAME, NAMESPACE, MODEL = "tiny", "default", "tiny"
SYSTEM_NAMESPACE = "rayspan-system"
READY_SECONDS = 420
REQUESTS, CONCURRENCY, TOKENS = 60, 4, 32
STATUS_SECONDS = 60
"""How long the status may take to show the load: a scrape, and at most one status write in 15 s."""


def main() -> int:
    """Run the steps; a step that fails says why and what to look at."""
    parser = argparse.ArgumentParser(prog="python3 -m dev.demo", description="the tour of Rayspan")
    parser.add_argument("--only-install", action="store_true", help="stop when the operator is installed")
    options = parser.parse_args()

    def steps() -> None:
        prepare()
        install()
        if not options.only_install:
            tour()

    return ended("demo", steps, "`make demo` goes on from here")


def prepare() -> None:
    """Cluster, serving environment, tiny model, images: each only where it is missing or out of date."""
    show([sys.executable, "-m", "dev", "up"], cwd=paths.CHECKOUT)
    environment = paths.CACHE / "serving-env"
    show(["sh", paths.CHECKOUT / "serving_image" / "environment.sh", environment])
    model = paths.CACHE / "models" / MODEL
    show([environment / "bin" / "python", paths.SOURCE / "tiny_model.py", model])
    with cluster.exclusively():
        images.build_and_import()


def install() -> None:
    """The operator by its chart, from the checkout, as anyone would install it."""
    operator, serving = images.IMAGES
    repository, _, tag = operator.name.rpartition(":")
    say("installing the operator with Helm from charts/rayspan")
    values = {
        "image.repository": repository,
        "image.tag": tag,
        "servingImage": serving.name,
        # A development image keeps its tag when it is built again: the pod has to follow its content.
        "podAnnotations.image-content": images.content_hash(operator)[:16],
    }
    settings = [word for name, value in values.items() for word in ("--set-string", f"{name}={value}")]
    run(
        paths.BIN / "helm", "upgrade", "--install", "rayspan", paths.CHECKOUT / "charts" / "rayspan",
        "--namespace", SYSTEM_NAMESPACE, "--create-namespace", "--kubeconfig", paths.KUBECONFIG,
        "--take-ownership", "--force-conflicts", *settings,
        # These kubelets share a disk and offer none of it (dev/nodes.py).
        "--set", "resources.requests.ephemeral-storage=null",
        "--set", "resources.limits.ephemeral-storage=null",
    )  # fmt: skip
    addons.kubectl("-n", SYSTEM_NAMESPACE, "rollout", "status", "deployment/rayspan", "--timeout=120s")
    say("the operator runs")


def tour() -> None:
    """Apply, watch, ask, load, look."""
    say("kubectl apply -f examples/tiny.yaml")
    addons.kubectl("apply", "-f", str(paths.CHECKOUT / "examples" / "tiny.yaml"))
    watch_until_ready()
    endpoint = service_url()
    ask(endpoint)
    say(f"a short load: {REQUESTS} streaming requests, {CONCURRENCY} at a time")
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        samples = list(pool.map(lambda number: stream(endpoint, number), range(REQUESTS)))
    wait_for_latencies(datetime.now(UTC))
    heading("kubectl get llm")
    print(addons.kubectl("get", "llm", "-n", NAMESPACE, "-o", "wide").rstrip())
    heading(f"rayspan status {NAME}")
    print(rayspan_status(), end="")
    heading("what the client measured, in milliseconds, beside the status")
    print(comparison(samples))
    heading("go on")
    print(GO_ON, end="")


GO_ON = f"""\
  eval "$(python3 -m dev env)"                 # kubectl and helm for this cluster
  kubectl get llm {NAME} -o yaml                 # the whole status
  kubectl scale llm {NAME} --replicas=0          # stop serving; 1 starts it again
  .venv/bin/rayspan status {NAME} --watch
  kubectl delete -f examples/tiny.yaml         # everything that it became goes with it
  make cluster-down                            # clean up: programs and images stay cached
"""


def watch_until_ready() -> None:
    """Say each change of phase and conditions with its time; a Failure shows what is so when it is not ready."""
    began, told = time.monotonic(), {"": ""}
    while time.monotonic() - began < READY_SECONDS:
        document = deployment()
        status = document.get("status", {})
        current = status.get("observedGeneration") == document["metadata"]["generation"]
        conditions = {each["type"]: each for each in status.get("conditions", [])}
        for name, text in transitions(status, conditions):
            if told.get(name) != text:
                told[name] = text
                print(f"  {time.monotonic() - began:5.0f} s  {name:18} {text}", flush=True)
        if current and conditions.get("Ready", {}).get("status") == "True":
            say(f"Ready, {time.monotonic() - began:.0f} s after kubectl apply")
            return
        time.sleep(1)
    pods = addons.kubectl("get", "pods", "-n", NAMESPACE, "-o", "wide")
    described = "\n".join(
        f"  {each['type']}={each['status']} {each['reason']}: {each['message']}"
        for each in conditions.values()
    )
    raise Failure(f"{NAME} is not Ready after {READY_SECONDS} s\n{described}\n{pods}")


def transitions(status: dict[str, Any], conditions: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """Name and text of each thing that is worth a line when it changes."""
    lines = [("phase", status.get("phase", "not seen by the operator yet"))]
    for name, each in conditions.items():
        if name not in ("ObjectivesMet", "Degraded"):
            message = each["message"] if len(each["message"]) <= 100 else f"{each['message'][:97]}..."
            lines.append((name, f"{each['status']:7} {each['reason']}: {message}"))
    return lines


def deployment() -> dict[str, Any]:
    """The LLMDeployment as it is now."""
    document: dict[str, Any] = json.loads(addons.kubectl("get", "llm", NAME, "-n", NAMESPACE, "-o", "json"))
    return document


def service_url() -> str:
    """The endpoint of status.url, by address: the host reaches ClusterIPs but not the cluster's DNS."""
    url: str = deployment()["status"]["url"]
    host = url.split("/")[2].rpartition(":")[0]
    service, namespace = host.split(".")[:2]
    address = addons.kubectl("get", "service", service, "-n", namespace, "-o", "jsonpath={.spec.clusterIP}")
    return url.replace(host, address)


def ask(endpoint: str) -> None:
    """One chat completion, shown. The model has random weights: what it says is nonsense."""
    question = "what will the people find there?"
    began = time.monotonic()
    answer = json.load(
        post(endpoint, {"messages": [{"role": "user", "content": question}], "max_tokens": 24})
    )
    text = answer["choices"][0]["message"]["content"]
    say(f"a chat completion in {time.monotonic() - began:.2f} s (random weights, so nonsense)")
    print(f"  > {question}\n  < {text!r}\n  usage: {json.dumps(answer['usage'])}")


def post(endpoint: str, body: dict[str, Any]) -> Any:
    """POST to chat/completions; the answer is a file-like object."""
    request = urllib.request.Request(
        f"{endpoint}/chat/completions",
        data=json.dumps({"model": MODEL, **body}).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        return urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        raise Failure(f"the endpoint answered {error.code}: {error.read().decode()[:500]}") from error
    except OSError as error:
        raise Failure(f"the endpoint {endpoint} did not answer: {error}") from error


@dataclass(frozen=True)
class Sample:
    """What one streamed request showed its client, in seconds."""

    first_token: float
    gaps: list[float]
    whole: float


def stream(endpoint: str, number: int) -> Sample:
    """One streamed completion, timed chunk by chunk."""
    began = time.monotonic()
    message = {"role": "user", "content": f"number {number}: and then?"}
    arrivals: list[float] = []
    try:
        with post(endpoint, {
            "messages": [message], "max_tokens": TOKENS, "ignore_eos": True, "stream": True,
        }) as lines:  # fmt: skip
            for line in lines:
                if line.startswith(b"data: {") and json.loads(line[6:]).get("choices"):
                    arrivals.append(time.monotonic())
    except (HTTPException, OSError) as error:
        raise Failure(f"a stream broke: {error}") from error
    if len(arrivals) < 3:
        raise Failure("a stream ended without tokens")
    del arrivals[0]  # the first chunk carries the role and no token
    gaps = [later - earlier for earlier, later in itertools.pairwise(arrivals)]
    return Sample(arrivals[0] - began, gaps, time.monotonic() - began)


def wait_for_latencies(since: datetime) -> None:
    """Until the status was read after the load; one that never is, is shown as it is."""
    deadline = time.monotonic() + STATUS_SECONDS
    while time.monotonic() < deadline:
        observed = deployment().get("status", {}).get("latency", {}).get("observedAt")
        if observed and datetime.fromisoformat(observed) > since:
            return
        time.sleep(1)


def rayspan_status() -> str:
    """What `rayspan status` prints."""
    program = paths.CHECKOUT / ".venv" / "bin" / "rayspan"
    environment = {
        **os.environ,
        "KUBECONFIG": str(paths.KUBECONFIG),
        "COLUMNS": os.environ.get("COLUMNS", "140"),
    }
    done = subprocess.run(
        [program, "status", NAME, "-n", NAMESPACE], env=environment, text=True, capture_output=True
    )
    if done.returncode:
        raise Failure(f"rayspan status: {done.stderr.strip()}")
    return done.stdout


def comparison(samples: list[Sample]) -> str:
    """The client's percentiles and those of the status, side by side."""
    latency = deployment()["status"].get("latency", {})
    measured = {
        "timeToFirstToken": [each.first_token for each in samples],
        "interTokenLatency": [gap for each in samples for gap in each.gaps],
        "endToEnd": [each.whole for each in samples],
    }
    lines = [
        f"  {'':18} " + "".join(f"{f'{each} client':>12}{'status':>9}" for each in ("p50", "p95", "p99"))
    ]
    for field, values in measured.items():
        row = f"  {field:18} "
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            row += f"{percentile(values, share) * 1000:12.0f}{latency.get(field, {}).get(name, '-'):>9}"
        lines.append(row)
    return "\n".join(lines)


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def heading(text: str) -> None:
    """A line that sets off what follows."""
    print(f"\n--- {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
