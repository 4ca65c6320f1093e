"""The cluster's daemons: started with a record, found again, stopped for certain.

A daemon is recorded as pid, start time and command line, so that a pid that was given to another
process since is never taken for ours. What an interrupted run left without a record is found by its
command line: one of our programs, working in our state folder.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dev import paths
from dev.shell import Failure, warn

PROGRAMS = frozenset({
    "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy",
    "containerd", "containerd-shim-runc-v2", "runc",
})  # fmt: skip

_PATIENCE_SECONDS = 15


@dataclass(frozen=True)
class Daemon:
    """A started process and how to start it again."""

    name: str
    pid: int
    started: str
    argv: list[str]

    @property
    def alive(self) -> bool:
        return _started(self.pid) == self.started


def start(name: str, argv: Sequence[str | Path]) -> Daemon:
    """Start a daemon in a session of its own, its output in logs/NAME.log."""
    paths.LOGS.mkdir(parents=True, exist_ok=True)
    paths.PROCESSES.mkdir(parents=True, exist_ok=True)
    words = [str(word) for word in argv]
    env = {
        "PATH": f"{paths.BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(Path.home()),
        "TMPDIR": "/tmp",
    }
    with (paths.LOGS / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=env, cwd="/"
        )
    daemon = Daemon(name, process.pid, _started(process.pid), words)
    (paths.PROCESSES / f"{name}.json").write_text(json.dumps(asdict(daemon), indent=1))
    return daemon


def recorded() -> dict[str, Daemon]:
    """Every daemon with a record, alive or not, by name."""
    found: dict[str, Daemon] = {}
    for file in sorted(paths.PROCESSES.glob("*.json")):
        try:
            daemon = Daemon(**json.loads(file.read_text()))
        except (ValueError, TypeError):
            continue
        found[daemon.name] = daemon
    return found


def restart(name: str) -> Daemon:
    """Kill it hard and start it again with the same command line."""
    known = recorded()
    if name not in known:
        raise Failure(f"no daemon {name!r}: there are {', '.join(known) or 'none'}")
    if known[name].alive:
        kill([known[name].pid])
    return start(name, known[name].argv)


def ours() -> list[int]:
    """Every living process of the cluster, recorded or not, containers' shims among them."""
    pids = {daemon.pid for daemon in recorded().values() if daemon.alive}
    marker = str(paths.CLUSTER)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        words = _command_line(int(entry.name))
        if words and Path(words[0]).name in PROGRAMS and any(marker in word for word in words):
            pids.add(int(entry.name))
    return sorted(pids)


def kill(pids: Iterable[int]) -> None:
    """SIGKILL them all and wait until they are gone: half-dead, they would hold ports and mounts."""
    left = {pid: _started(pid) for pid in pids}
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while left and time.monotonic() < deadline:
        left = {pid: began for pid, began in left.items() if began and _started(pid) == began}
        time.sleep(0.02)
    if left:
        warn(f"processes that do not end: {sorted(left)}")


def _started(pid: int) -> str:
    """The kernel's start time of a living process, or "" for one that is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    if fields[0] in "ZX":
        # A child of ours stays a zombie until it is waited for.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return ""
    return fields[19]


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []
