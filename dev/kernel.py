"""What is asked of the kernel beside the network: sysctls, and a cgroup for every node's pods.

On cgroup v1 every controller has a tree of its own, and a cpuset without cpus takes no process; on v2
there is one tree, and controllers are handed down level by level.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

from dev import paths
from dev.topology import NODES

CGROUPS = Path("/sys/fs/cgroup")
TOP = "rayspan"
_SYSCTLS = {
    "net/ipv4/ip_forward": 1,
    "fs/inotify/max_user_instances": 1024,
    "fs/inotify/max_user_watches": 524288,
}
_CAP_SYS_RESOURCE = 24


def cgroup_v2() -> bool:
    """Whether the unified hierarchy is the one in use."""
    return (CGROUPS / "cgroup.controllers").exists()


def may_lower_oom_score() -> bool:
    """Whether processes may be protected from the OOM killer; some virtual machines forbid it to root."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
    return False


def hierarchies() -> list[Path]:
    """The roots below which a node's cgroup must exist."""
    if cgroup_v2():
        return [CGROUPS]
    # Co-mounted controllers ("cpu,cpuacct") have links beside them that point to the same tree.
    return [each for each in sorted(CGROUPS.iterdir()) if each.is_dir() and not each.is_symlink()]


def cgroups_up() -> None:
    """One cgroup per node in every hierarchy."""
    for root in hierarchies():
        for folder in (root / TOP, *(root / node.cgroup.lstrip("/") for node in NODES)):
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if not cgroup_v2() and (folder / name).exists() and not (folder / name).read_text().strip():
                    (folder / name).write_text((folder.parent / name).read_text())
            if cgroup_v2():
                wanted = (folder.parent / "cgroup.controllers").read_text().split()
                (folder.parent / "cgroup.subtree_control").write_text(" ".join(f"+{each}" for each in wanted))


def pod_folders(pod_uid: str) -> list[Path]:
    """The pod's cgroups, one per hierarchy; kubelets write the uid in the folder's name."""
    return [
        folder
        for root in hierarchies()
        for node in NODES
        for folder in (root / node.cgroup.lstrip("/")).glob(f"**/pod{pod_uid}")
    ]


def members(folder: Path) -> set[int]:
    """Every process in the cgroup and below."""
    pids: set[int] = set()
    for file in folder.glob("**/cgroup.procs"):
        with contextlib.suppress(OSError):
            pids.update(int(line) for line in file.read_text().split())
    return pids


def cgroups_down() -> None:
    """Kill every process left in the nodes' cgroups and remove these, the deepest first."""
    for root in hierarchies():
        top = root / TOP
        deadline = time.monotonic() + 15
        while top.exists() and time.monotonic() < deadline:
            for pid in members(top):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
            if top.exists():
                time.sleep(0.05)


def leftovers() -> list[str]:
    """Names of what is still there."""
    return [f"cgroup {root / TOP}" for root in hierarchies() if (root / TOP).exists()]


def sysctls_up() -> None:
    """Raise what must be raised, and write down what it was."""
    before = {name: int((Path("/proc/sys") / name).read_text()) for name in _SYSCTLS}
    saved = paths.CLUSTER / "sysctls"
    if not saved.exists():
        saved.write_text("".join(f"{name} {value}\n" for name, value in before.items()))
    for name, value in _SYSCTLS.items():
        if before[name] < value:
            (Path("/proc/sys") / name).write_text(str(value))


def sysctls_down() -> None:
    """Put back what was before `up`."""
    saved = paths.CLUSTER / "sysctls"
    if saved.exists():
        for line in saved.read_text().splitlines():
            name, value = line.split()
            (Path("/proc/sys") / name).write_text(value)
