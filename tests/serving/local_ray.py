"""A Ray cluster of several nodes on this host: one session per node, so that a node can be killed whole.

Ports lie outside Ray's worker range (10002-19999); Serve's proxies share one port by SO_REUSEPORT.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

BIN = Path(sys.executable).parent
SERVING_IMAGE = Path(__file__).parents[2] / "serving_image"
START_SECONDS = 180.0
"""For a node to start, on a machine that has other work as well."""
ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "rayspan_serving.proxy:middlewares",
    "RAYSPAN_MODEL": "tiny",
    "RAYSPAN_APPLICATION": "tiny",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_metrics_report_interval_ms": "1000",
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "OMP_NUM_THREADS": "1",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port if not 10002 <= port <= 19999 else free_port()


@dataclass
class Node:
    name: str
    process: subprocess.Popen[bytes]
    metrics_port: int

    def kill(self) -> None:
        """As a machine that loses power: every process of the node at once."""
        for process in self.processes("."):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.process.wait()

    def processes(self, pattern: str) -> list[int]:
        """Process ids of this node whose command line matches. Ray gives each worker a group of its own, but
        they stay in the session."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                if (
                    re.search(pattern, command or entry.name)
                    and os.getsid(int(entry.name)) == self.process.pid
                ):
                    found.append(int(entry.name))
        return found

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as page:
            return str(page.read().decode())


@dataclass
class LocalRay:
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    gcs_port: int = field(default_factory=free_port)
    dashboard_port: int = field(default_factory=free_port)
    serve_port: int = field(default_factory=free_port)
    nodes: dict[str, Node] = field(default_factory=dict)

    def start(self, *stages: int) -> None:
        """The head without CPUs, then one node per given stage number."""
        self.add("head", ["--head", f"--port={self.gcs_port}", "--num-cpus=0", "--num-gpus=0",
                          f"--dashboard-port={self.dashboard_port}", "--dashboard-host=127.0.0.1",
                          f"--temp-dir={self.folder}"])  # fmt: skip
        self.wait_for(lambda: self.get("/api/version"), START_SECONDS)
        for number, stage in enumerate(stages):
            self.add_stage(f"node-{number}", stage)

    def add_stage(self, name: str, stage: int) -> None:
        self.add(name, [f"--address=127.0.0.1:{self.gcs_port}", "--num-cpus=2", "--num-gpus=1",
                        f"--labels=rayspan.dev/stage={stage},test/name={name}"])  # fmt: skip
        # One after the other: two nodes that start at once choose the same socket in the shared session folder.
        self.wait_for(
            lambda: any(node["labels"].get("test/name") == name for node in self.alive()), START_SECONDS
        )

    def add(self, name: str, arguments: list[str]) -> None:
        metrics_port = free_port()
        command = [
            str(BIN / "ray"), "start", "--block", "--disable-usage-stats",
            "--node-ip-address=127.0.0.1", f"--metrics-export-port={metrics_port}",
            f"--dashboard-agent-listen-port={free_port()}", f"--dashboard-agent-grpc-port={free_port()}",
            f"--runtime-env-agent-port={free_port()}", "--object-store-memory=100000000", *arguments,
        ]  # fmt: skip
        log = (self.folder.parent / f"{name}.log").open("wb")
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=self.all_environment(), start_new_session=True
        )
        self.nodes[name] = Node(name, process, metrics_port)

    def all_environment(self) -> dict[str, str]:
        package = self.folder.parent / "serving"
        if not package.exists():
            subprocess.run([sys.executable, SERVING_IMAGE / "install.py", package], check=True)
        path = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH", "")]))
        return {**os.environ, **ENVIRONMENT, "PYTHONPATH": path, "PATH": f"{BIN}:{os.environ['PATH']}",
                **self.environment}  # fmt: skip

    def get(self, path: str) -> dict:  # type: ignore[type-arg]
        with urllib.request.urlopen(f"http://127.0.0.1:{self.dashboard_port}{path}", timeout=10) as answer:
            return dict(json.load(answer))

    def alive(self) -> list[dict]:  # type: ignore[type-arg]
        nodes = self.get("/api/v0/nodes?detail=1")["data"]["result"]["result"]
        return [node for node in nodes if node["state"] == "ALIVE"]

    def actors(self, class_name: str) -> list[dict]:  # type: ignore[type-arg]
        actors = self.get("/api/v0/actors?detail=1&limit=10000")["data"]["result"]["result"]
        return [a for a in actors if a["class_name"] == class_name and a["state"] == "ALIVE"]

    def deploy(self, config: dict) -> None:  # type: ignore[type-arg]
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.dashboard_port}/api/serve/applications/",
            data=json.dumps(config).encode(), method="PUT", headers={"Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=60):
            pass

    def application(self, name: str) -> dict:  # type: ignore[type-arg]
        return dict(self.get("/api/serve/applications/?api_type=declarative")["applications"].get(name, {}))

    def wait_for(self, what, seconds: float, every: float = 0.5):  # type: ignore[no-untyped-def]
        """The first true value of `what()`; its errors count as false until the time is over."""
        end = time.monotonic() + seconds
        while True:
            try:
                if found := what():
                    return found
            except Exception:
                if time.monotonic() > end:
                    raise
            if time.monotonic() > end:
                raise TimeoutError(f"not within {seconds} s: {what}")
            time.sleep(every)

    def stop(self) -> None:
        for node in reversed(self.nodes.values()):
            node.kill()
