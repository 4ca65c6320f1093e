"""Faults for the tests: as hard as the real ones, and only a few lines each.

A node cut off is in network.py, a daemon killed and started again in processes.py.
"""

import contextlib
import os
import signal
from pathlib import Path

from dev import addons, kernel
from dev.shell import Failure


def kill_pod(namespace: str, pod: str) -> int:
    """SIGKILL every process of every container of the pod, as if the machine had done it.

    Nobody is told: no grace, no preStop, no signal handler; the kubelet finds the containers dead. The
    pause container lives on, so the pod keeps its address and its containers are restarted in place.
    """
    uid = addons.kubectl("-n", namespace, "get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
    pids = {pid for folder in kernel.pod_folders(uid) for pid in kernel.members(folder)}
    victims = sorted(pid for pid in pids if not _is_pause(pid))
    if not victims:
        raise Failure(f"pod {namespace}/{pod} has no process on this machine")
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(victims)


def _is_pause(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0] == b"/pause"
    except OSError:
        return True
