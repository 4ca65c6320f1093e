"""Keeps every node's rules as the cluster's NetworkPolicies are: one process for all nodes, asleep until something changes.

It lists and watches policies, pods and namespaces, and writes a node's rules anew, all at once, when they are others than
before. A watch that ends begins with a new list.
"""

import json
import ssl
import sys
import threading
import time
import urllib.request
from typing import Any

from dev import network, paths, pki, processes, topology
from dev.network_policies import TOP, rules
from dev.shell import Failure, attempt, run, warn
from dev.topology import NODES, Node

NAME = "policy-agent"
_RESOURCES = {
    "policies": "/apis/networking.k8s.io/v1/networkpolicies",
    "pods": "/api/v1/pods",
    "namespaces": "/api/v1/namespaces",
}
_SETTLE_SECONDS = 0.2
"""Changes come in crowds: a pod that starts changes several times."""
_AGAIN_SECONDS = 2.0
_WATCH_SECONDS = 600


def start() -> None:
    """Start the agent, unless it runs."""
    known = processes.recorded().get(NAME)
    if known is None or not known.alive:
        begin = f"import sys; sys.path.insert(0, {str(paths.CHECKOUT)!r}); from dev import policy_agent as a; a.main()"
        processes.start(NAME, [sys.executable, "-c", begin])


def stop() -> None:
    """Stop it and take the rules away: everything is let through again."""
    known = processes.recorded().get(NAME)
    if known is not None:
        processes.kill([known.pid] if known.alive else [])
        (paths.PROCESSES / f"{NAME}.json").unlink()
    for node in NODES:
        attempt(*_inside(node), "iptables", "-w", "-t", "mangle", "-D", "FORWARD", "-j", TOP)


def main() -> None:
    """Work until killed."""
    changed = threading.Event()
    watched = {name: Watched(path, changed) for name, path in _RESOURCES.items()}
    for each in watched.values():
        threading.Thread(target=each.follow, daemon=True).start()
    written: dict[str, str] = {}
    while True:
        changed.wait()
        time.sleep(_SETTLE_SECONDS)
        changed.clear()
        if not all(each.listed for each in watched.values()):
            continue
        for node in NODES:
            wanted = rules(node.name, *(each.objects() for each in watched.values()))
            if written.get(node.name) != wanted:
                try:
                    _write(node, wanted)
                    written[node.name] = wanted
                except Failure as failure:
                    warn(str(failure))
                    changed.set()
                    time.sleep(_AGAIN_SECONDS)


class Watched:
    """All objects of a kind, as they are now."""

    def __init__(self, path: str, changed: threading.Event) -> None:
        self.listed = False
        self._path, self._changed = path, changed
        self._lock = threading.Lock()
        self._found: dict[str, dict[str, Any]] = {}

    def objects(self) -> list[dict[str, Any]]:
        """In an order that does not change by itself."""
        with self._lock:
            return [self._found[uid] for uid in sorted(self._found)]

    def follow(self) -> None:
        """List and watch, again and again."""
        while True:
            try:
                self._once()
            except (OSError, ValueError) as error:
                warn(f"{self._path}: {error}")
                time.sleep(_AGAIN_SECONDS)

    def _once(self) -> None:
        with _opened(self._path) as answer:
            found = json.load(answer)
        with self._lock:
            self._found = {each["metadata"]["uid"]: each for each in found["items"]}
        self.listed = True
        self._changed.set()
        version = found["metadata"]["resourceVersion"]
        query = f"?watch=1&timeoutSeconds={_WATCH_SECONDS}&resourceVersion={version}"
        with _opened(self._path + query) as lines:
            for line in lines:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                one = event["object"]
                with self._lock:
                    if event["type"] == "DELETED":
                        self._found.pop(one["metadata"]["uid"], None)
                    else:
                        self._found[one["metadata"]["uid"]] = one
                self._changed.set()


def _opened(path: str) -> Any:
    context = ssl.create_default_context(cafile=str(pki.CA))
    context.load_cert_chain(pki.ADMIN.crt, pki.ADMIN.key)
    return urllib.request.urlopen(topology.API_URL + path, context=context, timeout=_WATCH_SECONDS + 60)


def _inside(node: Node) -> tuple[str, ...]:
    return ("nsenter", f"--net=/run/netns/{node.netns}")


def _write(node: Node, wanted: str) -> None:
    run(*_inside(node), "iptables-restore", "-w", "--noflush", stdin=wanted)
    if not attempt(*_inside(node), "iptables", "-w", "-t", "mangle", "-C", "FORWARD", "-j", TOP):
        network.inside_run(node, "iptables", "-w", "-t", "mangle", "-I", "FORWARD", "-j", TOP)
