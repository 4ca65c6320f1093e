"""What the machine must be and have; what Debian can add is added, the rest is said plainly."""

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from dev import kernel, paths
from dev.shell import Failure, attempt, run, say, warn

_DISK_GB_COLD = 20
_DISK_GB_WARM = 3
_MEMORY_GB = 8


@dataclass(frozen=True)
class Tool:
    """Something the machine must have: a program's name or a file, and the Debian package it is in."""

    sign: str
    package: str

    @property
    def there(self) -> bool:
        return Path(self.sign).exists() if self.sign.startswith("/") else shutil.which(self.sign) is not None


TO_RUN = (
    Tool("ip", "iproute2"),
    Tool("iptables", "iptables"),
    Tool("conntrack", "conntrack"),
    Tool("nsenter", "util-linux"),
    Tool("sysctl", "procps"),
    Tool("openssl", "openssl"),
    Tool("/usr/lib/cni/ptp", "containernetworking-plugins"),
)
TO_BUILD = (
    Tool("gcc", "gcc"),
    Tool("/usr/include/stdio.h", "libc6-dev"),
    Tool("pkg-config", "pkg-config"),
    Tool("/usr/include/seccomp.h", "libseccomp-dev"),
    Tool("/etc/ssl/certs/ca-certificates.crt", "ca-certificates"),
)
FOR_IMAGES = (
    Tool("debootstrap", "debootstrap"),
    Tool("buildah", "buildah"),
    Tool("git", "git"),
    # The serving environment's interpreter: it must lie where the base image has it.
    Tool("/usr/bin/python3.11", "python3.11"),
)


def machine() -> None:
    """Everything that no package can change, all of it in one answer."""
    missing = []
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        missing.append(f"a Linux x86_64 machine (this is {platform.system()} {platform.machine()})")
    if os.geteuid() != 0:
        missing.append("root: it makes network namespaces, mounts and cgroups (sudo -E python3 -m dev up)")
    if "overlay" not in Path("/proc/filesystems").read_text() and not attempt("modprobe", "overlay"):
        missing.append("overlayfs in the kernel")
    roots = kernel.hierarchies() if kernel.CGROUPS.is_dir() else []
    if not kernel.cgroup_v2() and not any(root.name.startswith("memory") for root in roots):
        missing.append("cgroups with the memory controller, mounted at /sys/fs/cgroup")
    paths.CACHE.mkdir(parents=True, exist_ok=True)
    wanted_gb = _DISK_GB_WARM if paths.BIN.exists() else _DISK_GB_COLD
    free_gb = shutil.disk_usage(paths.CACHE).free / 1e9
    if free_gb < wanted_gb:
        missing.append(
            f"{wanted_gb} GB of free disk at {paths.CACHE} (there are {free_gb:.0f}): set RAYSPAN_CACHE to another"
        )
    if missing:
        raise Failure("this machine cannot run the cluster, it lacks:\n- " + "\n- ".join(missing))
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    if memory_gb < _MEMORY_GB:
        warn(
            f"{memory_gb:.0f} GB of memory: the cluster starts, a model of two stages needs {_MEMORY_GB + 1}"
        )


def packages(tools: tuple[Tool, ...]) -> None:
    """Install the Debian packages of what is missing."""
    missing = sorted({tool.package for tool in tools if not tool.there})
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise Failure(
            f"not installed, and there is no apt-get to do it: {', '.join(missing)} (Debian's names)"
        )
    say(f"installing {', '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-qq", env=environment)
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, env=environment)
