"""A pod that has nothing to do with a deployment, and what it can reach.

It runs the serving image, for its Python, and asks what it is told to on standard input: all of it at once, so that a
port that swallows packets costs its few seconds only once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.e2e.llm import RESTRICTED, wait_for
from tests.kubectl import Refused, apply, get, kubectl

NOT_REACHED: Final = "not reached"
"""No connection: nobody answered, or somebody said no."""
SILENT: Final = "connected"
"""A connection, but no HTTP."""

_ASK: Final = """
import concurrent.futures, http.client, json, socket, sys
def ask(one):
    try:
        socket.create_connection((one["host"], one["port"]), timeout=4).close()
    except OSError:
        return "not reached"
    connection = http.client.HTTPConnection(one["host"], one["port"], timeout=20)
    try:
        connection.request(one["method"], one["path"], body=one["body"], headers=one["headers"])
        answer = connection.getresponse()
        return str(answer.status) + " " + answer.read(400).decode(errors="replace")
    except (OSError, http.client.HTTPException, UnicodeError):
        return "connected"
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    print(json.dumps(list(pool.map(ask, json.load(sys.stdin)))))
"""


@dataclass(frozen=True)
class Question:
    """One request; without HTTP it is asked all the same, and shows as connected."""

    host: str
    port: int
    method: str = "GET"
    path: str = "/"
    body: str | None = None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """As the pod takes it."""
        return {**self.__dict__, "headers": dict(self.headers)}


@dataclass(frozen=True)
class ForeignPod:
    """A pod in a namespace, with labels of one's own."""

    namespace: str
    name: str

    def start(self, **labels: str) -> None:
        """Make it and wait until it runs. It keeps to Pod Security ``restricted``."""
        container = {
            "name": "ask",
            "image": "localhost/rayspan/serving:dev",
            "imagePullPolicy": "IfNotPresent",
            "command": ["sleep", "3600"],
            "securityContext": RESTRICTED,
        }
        spec = {
            "containers": [container],
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
        }
        metadata = {"name": self.name, "namespace": self.namespace, "labels": labels}
        apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        wait_for(f"pod {self.name} to run", lambda: self._status["phase"] == "Running", 120)

    @property
    def _status(self) -> dict[str, Any]:
        status: dict[str, Any] = get("-n", self.namespace, "pod", self.name)["status"]
        return status

    @property
    def address(self) -> str:
        """Its address."""
        return str(self._status["podIP"])

    def ask(self, questions: Sequence[Question]) -> list[str]:
        """What each is answered: status and the beginning of the body, ``SILENT`` or ``NOT_REACHED``. No
        question stands in a command line, for some carry a token."""
        asked = json.dumps([question.document for question in questions])
        command = ("-n", self.namespace, "exec", "-i", self.name, "--", "python3", "-c", _ASK)
        answers: list[str] = json.loads(kubectl(*command, stdin=asked, timeout=300))
        return answers

    def delete(self) -> None:
        """Remove it."""
        kubectl("-n", self.namespace, "delete", "pod", self.name, "--ignore-not-found", "--wait=false")


def listening(namespace: str, pod: str, container: str) -> set[int]:
    """Ports on which a container takes TCP connections from elsewhere, as its kernel says."""
    tables = ""
    for table in ("tcp", "tcp6"):
        try:
            tables += kubectl(
                "-n", namespace, "exec", pod, "-c", container, "--", "cat", f"/proc/net/{table}"
            )
        except Refused:  # without IPv6 there is no second one
            continue
    return ports_of(tables)


def ports_of(tables: str) -> set[int]:
    """Of /proc/net/tcp and tcp6: ports in state LISTEN (0A) at an address that is not the loopback's."""
    found = set()
    for line in tables.splitlines():
        words = line.split()
        if len(words) < 4 or words[3] != "0A":
            continue
        address, port = words[1].split(":")
        if not address.endswith("0100007F") and address != "0" * 24 + "01000000":
            found.add(int(port, 16))
    return found
