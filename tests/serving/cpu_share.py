"""Processes held to a share of a core, as a pod's CPU limit holds them: a cgroup's quota. As root."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PERIOD_US = 10_000


@contextmanager
def limited(pids: Sequence[int], share: float, period_us: int = PERIOD_US) -> Iterator[None]:
    """Each process with so much of a core: a quota of 1 ms or more in each period."""
    version_2 = (CGROUPS / "cgroup.controllers").exists()
    root = CGROUPS if version_2 else CGROUPS / "cpu"
    groups = [root / f"rayspan-split-{pid}" for pid in pids]
    quota = round(share * period_us)
    for pid, group in zip(pids, groups, strict=True):
        group.mkdir()
        if version_2:
            (group / "cpu.max").write_text(f"{quota} {period_us}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(period_us))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        (group / "cgroup.procs").write_text(str(pid))
    try:
        yield
    finally:
        for group in groups:
            for pid in (group / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):
                    (root / "cgroup.procs").write_text(pid)
            group.rmdir()
