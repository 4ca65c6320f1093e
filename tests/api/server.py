"""An API server alone: etcd, kube-apiserver and the controllers that collect garbage. No nodes, no KubeRay.

Nothing else writes here, so what the operator writes can be looked at; what does not exist (nodes with GPUs,
KubeRay's RayClusters, KubeRay itself) is made by the tests. It is up in a few seconds and leaves nothing behind.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

TOKEN = "tests"
"""Of whoever may do everything."""
OPERATOR_TOKEN = "operator"
OPERATOR = "system:serviceaccount:rayspan-system:rayspan"
"""The account that the chart makes and binds its roles to: what it may do is what they say."""


class Missing(Exception):
    """A program that is needed is not there."""


class Process:
    """One of the programs."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self.name = name
        self._log, self._command = folder / f"{name}.log", [program(name), *arguments]
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as log:
            self._running = subprocess.Popen(self._command, stdout=log, stderr=log)

    def kill(self) -> None:
        """Kill it, if it runs."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            self._running = None


@dataclass
class ApiServer:
    """One that runs."""

    kubeconfig: Path
    _process: Process

    def restart(self) -> None:
        """Kill it and start it again, on the same etcd; returns when it answers."""
        self._process.kill()
        self._process.start()
        _wait(self.kubeconfig, self.kubeconfig.parent)


@contextmanager
def api_server(folder: Path) -> Iterator[ApiServer]:
    """Run it."""
    etcd, peer, secure = (free_port() for _ in range(3))
    _credentials(folder)
    kubeconfig = _kubeconfig(folder / "kubeconfig", secure, TOKEN)
    _kubeconfig(folder / "operator.kubeconfig", secure, OPERATOR_TOKEN)
    key = folder / "service-account.key"
    commands = (
        ("etcd", f"--data-dir={folder / 'etcd'}", "--unsafe-no-fsync", "--log-level=error", "--name=tests",
         f"--listen-client-urls=http://127.0.0.1:{etcd}", f"--advertise-client-urls=http://127.0.0.1:{etcd}",
         f"--listen-peer-urls=http://127.0.0.1:{peer}",
         f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
         f"--initial-cluster=tests=http://127.0.0.1:{peer}"),
        ("kube-apiserver", f"--etcd-servers=http://127.0.0.1:{etcd}", f"--secure-port={secure}",
         "--bind-address=127.0.0.1", f"--cert-dir={folder / 'certificates'}",
         f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=RBAC",
         "--service-cluster-ip-range=127.96.0.0/16", "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
         f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
         "--service-account-issuer=https://tests", "--shutdown-delay-duration=0s"),
        ("kube-controller-manager", f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0",
         "--controllers=garbage-collector-controller,namespace-controller"),
    )  # fmt: skip
    processes = [Process(folder, *command) for command in commands]
    with ExitStack() as running:
        for process in processes:
            running.callback(process.kill)
            process.start()
            if process.name == "kube-apiserver":
                _wait(kubeconfig, folder)
        yield ApiServer(kubeconfig, processes[1])


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def cached(name: str) -> Path:
    """Where `make programs` puts a file, whether it is there or not."""
    return Path(os.environ.get("RAYSPAN_CACHE") or Path.home() / ".cache" / "rayspan") / "bin" / name


def program(name: str) -> str:
    """A program on PATH or in the cache that `make cluster` fills."""
    cache = cached(name)
    found = shutil.which(name) or (str(cache) if cache.exists() else None)
    if found is None:
        raise Missing(f"{name} is neither on PATH nor at {cache}: run `make programs`")
    return found


def _wait(kubeconfig: Path, folder: Path) -> None:
    ask = [program("kubectl"), f"--kubeconfig={kubeconfig}", "get", "--raw", "/healthz"]
    deadline = time.monotonic() + 300
    while subprocess.run(ask, capture_output=True, check=False).returncode:
        if time.monotonic() > deadline:
            raise Missing((folder / "kube-apiserver.log").read_text()[-2000:])
        time.sleep(0.3)


def _credentials(folder: Path) -> None:
    (folder / "tokens.csv").write_text(
        f"{TOKEN},admin,admin,system:masters\n{OPERATOR_TOKEN},{OPERATOR},operator\n"
    )
    key = folder / "service-account.key"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)


def _kubeconfig(path: Path, port: int, token: str) -> Path:
    cluster = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "tests",
                "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
                "clusters": [{"name": "tests", "cluster": cluster}],
                "users": [{"name": "tests", "user": {"token": token}}],
            }
        )
    )
    return path
