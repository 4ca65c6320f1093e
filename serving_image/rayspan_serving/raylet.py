"""What runs in this pod, from /proc alone: its processes, the raylet among them, and where the raylet's head is."""

import contextlib
import ipaddress
import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CONNECT_SECONDS = 1.0
ESTABLISHED = "01"


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    command: tuple[str, ...]


@dataclass(frozen=True)
class Raylet:
    """What the command line of this pod's raylet says."""

    pid: int
    node_id: str
    gcs_address: str
    metrics_port: int


def processes(root: Path = Path("/proc")) -> Iterator[Process]:
    for folder in root.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                command = (folder / "cmdline").read_bytes().decode("utf-8", "replace")
                parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[1]
                yield Process(int(folder.name), int(parent), tuple(command.rstrip("\0").split("\0")))


def raylets(among: Iterator[Process]) -> Iterator[Raylet]:
    for process in among:
        if Path(process.command[0]).name != "raylet":
            continue
        flags = dict(re.findall(r"^--([\w-]+)=(.*)$", "\n".join(process.command), re.MULTILINE))
        with contextlib.suppress(KeyError, ValueError):
            yield Raylet(
                process.pid, flags["node_id"], flags["gcs-address"], int(flags["metrics_export_port"])
            )


def connected(address: str, root: Path = Path("/proc/net")) -> str:
    """`address` (host:port) with the IP in place of the host to which this pod has a connection on that port.

    KubeRay gives the host as the name of the head's Service, which is deleted together with the cluster: the name
    may be gone while the head still runs. Without such a connection, `address` as it is.
    """
    port = address.rpartition(":")[2]
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (root / table).read_text().splitlines()[1:]:
                remote, state = line.split()[2:4]
                host, _, remote_port = remote.partition(":")
                if state == ESTABLISHED and str(int(remote_port, 16)) == port:
                    return f"{_ip(host)}:{port}"
    return address


def _ip(digits: str) -> str:
    """An address as /proc/net writes it: 32-bit words in the machine's byte order. As it stands in a host:port."""
    words = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
    found = ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or f"[{found}]")
    return str(found)


def answers(address: str) -> bool:
    """Whether something at host:port takes connections."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS):
            return True
    except (OSError, ValueError):
        return False
