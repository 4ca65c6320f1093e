"""Official release downloads, where the machine can reach them.

One probe of three seconds decides for all: behind a wall that lets only package registries through, every
single attempt would wait for its own timeout. A file counts only if the publisher's checksum file names
its SHA-256.
"""

import hashlib
import io
import tarfile
import urllib.request
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dev import versions
from dev.shell import say, warn

_PROBE = "https://dl.k8s.io/release/stable.txt"
_PROBE_SECONDS = 3
_SECONDS = 300


@dataclass(frozen=True)
class Release:
    """Where a program is published: the file, its checksums, and the member if it is an archive."""

    url: str
    checksums: str
    member: str = ""


def _of_kubernetes(name: str) -> Release:
    url = f"https://dl.k8s.io/release/v{versions.KUBERNETES}/bin/linux/amd64/{name}"
    return Release(url, f"{url}.sha256")


def _of_containerd(name: str) -> Release:
    base = f"https://github.com/containerd/containerd/releases/download/v{versions.CONTAINERD}"
    url = f"{base}/containerd-{versions.CONTAINERD}-linux-amd64.tar.gz"
    return Release(url, f"{url}.sha256sum", f"bin/{name}")


_KUBERNETES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
_ETCD = f"https://github.com/etcd-io/etcd/releases/download/v{versions.ETCD}"
_RUNC = f"https://github.com/opencontainers/runc/releases/download/v{versions.RUNC}"
_COREDNS = (
    f"https://github.com/coredns/coredns/releases/download/v{versions.COREDNS}"
    f"/coredns_{versions.COREDNS}_linux_amd64.tgz"
)
_HELM = f"https://get.helm.sh/helm-v{versions.HELM}-linux-amd64.tar.gz"

RELEASES = {
    **{name: _of_kubernetes(name) for name in _KUBERNETES},
    **{name: _of_containerd(name) for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
    "etcd": Release(
        f"{_ETCD}/etcd-v{versions.ETCD}-linux-amd64.tar.gz",
        f"{_ETCD}/SHA256SUMS",
        f"etcd-v{versions.ETCD}-linux-amd64/etcd",
    ),
    "runc": Release(f"{_RUNC}/runc.amd64", f"{_RUNC}/runc.sha256sum"),
    "coredns": Release(_COREDNS, f"{_COREDNS}.sha256", "coredns"),
    "helm": Release(_HELM, f"{_HELM}.sha256sum", "linux-amd64/helm"),
}


@cache
def reachable() -> bool:
    """Whether release downloads can be had here at all."""
    try:
        with urllib.request.urlopen(_PROBE, timeout=_PROBE_SECONDS) as answer:
            return bool(answer.status == 200)
    except OSError:
        say("release downloads cannot be reached: programs are built from the Go module proxy")
        return False


def fetch(name: str, target: Path) -> bool:
    """Download the program to `target`; False if it is not published or cannot be had as published."""
    release = RELEASES.get(name)
    if release is None or not reachable():
        return False
    say(f"{name}: downloading {release.url}")
    try:
        content = _get(release.url)
        if hashlib.sha256(content).hexdigest() not in _get(release.checksums).decode():
            warn(f"{name}: {release.url} is not what {release.checksums} says, not used")
            return False
    except OSError as error:
        warn(f"{name}: {release.url}: {error}")
        return False
    if release.member:
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            if release.member not in tar.getnames() or not (member := tar.extractfile(release.member)):
                warn(f"{name}: no {release.member} in {release.url}, not used")
                return False
            content = member.read()
    target.write_bytes(content)
    target.chmod(0o755)
    return True


@cache
def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_SECONDS) as answer:
        return bytes(answer.read())
