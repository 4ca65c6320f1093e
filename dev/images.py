"""Images without a registry and without Docker: a Debian base, the two real Dockerfiles, into the nodes.

The base stands in for the public image that a Dockerfile names in `ARG BASE_IMAGE`; it is made once. A
Dockerfile is built again only when its context's content has changed, and imported only where a node's
image store lacks just that build.
"""

import hashlib
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dev import needs, paths, versions
from dev.shell import Failure, attempt, run, say, show
from dev.topology import NODES, Node

BASE = "localhost/rayspan-base:1"
_PACKAGES = (
    "bash", "wget", "curl", "ca-certificates", "procps", "python3.11", "python3.11-venv", "python3-pip",
    "libsqlite3-0", "libgomp1", "libnuma1", "gcc", "g++", "libc6-dev", "libpython3.11-dev",
)  # fmt: skip
_MIRROR = "http://deb.debian.org/debian"


@dataclass(frozen=True)
class Image:
    """One Dockerfile of the checkout, what of the checkout it is built from, and who runs it."""

    name: str
    dockerfile: str
    sources: tuple[str, ...]

    @property
    def archive(self) -> Path:
        return paths.IMAGES / f"{self.name.rpartition('/')[2].replace(':', '-')}.tar"


IMAGES = (
    Image("localhost/rayspan/operator:dev", "Dockerfile", ("operator", "pyproject.toml", "uv.lock")),
    Image("localhost/rayspan/serving:dev", "serving_image/Dockerfile", ("serving_image",)),
)


def build_and_import() -> None:
    """Everything: what Debian has to add for it, the base where it is missing, each Dockerfile that there is, each
    node that lacks it."""
    needs.packages(needs.FOR_IMAGES)
    paths.IMAGES.mkdir(parents=True, exist_ok=True)
    make_base()
    for image in IMAGES:
        if not (paths.CHECKOUT / image.dockerfile).exists():
            say(f"{image.name}: there is no {image.dockerfile} yet, left out")
            continue
        build(image)
        import_everywhere(image)


def make_base() -> None:
    """A Debian root with what Ray's pods need, committed as an image."""
    recipe = hashlib.sha256(" ".join((versions.DEBIAN, *_PACKAGES, _SHAPE)).encode()).hexdigest()
    stamp = paths.IMAGES / "base.stamp"
    if stamp.exists() and stamp.read_text() == recipe and attempt(*_buildah("inspect", "-t", "image", BASE)):
        return
    say(f"{BASE}: a Debian {versions.DEBIAN} root by debootstrap (usually 1 minute)")
    with tempfile.TemporaryDirectory(dir=paths.IMAGES, prefix="base-") as folder:
        root = Path(folder) / "root"
        run(
            "debootstrap",
            "--variant=minbase",
            f"--include={','.join(_PACKAGES)}",
            versions.DEBIAN,
            root,
            _MIRROR,
        )
        run("sh", "-ec", _SHAPE, cwd=root)
        container = run(*_buildah("from", "scratch")).strip()
        run(*_buildah("add", "--quiet", container, root, "/"))
        run(*_buildah("config", "--env", "LANG=C.UTF-8", "--cmd", "/bin/bash", container))
        run(*_buildah("commit", "--quiet", "--rm", container, BASE))
    stamp.write_text(recipe)
    say(f"{BASE} is made")


# `python` and a pip that may install, as in Python's official images; no package lists, no caches.
_SHAPE = """
ln -sf python3.11 usr/bin/python
rm -f usr/lib/python3.11/EXTERNALLY-MANAGED
rm -rf var/cache/apt/*.bin var/cache/apt/archives/*.deb var/lib/apt/lists/* var/log/*.log
rm -rf usr/share/doc/* usr/share/man/* usr/share/locale/*
"""


def build(image: Image) -> None:
    """Build the Dockerfile unless the archive of exactly this content is there."""
    wanted = content_hash(image)
    stamp = image.archive.with_suffix(".stamp")
    if image.archive.exists() and stamp.exists() and stamp.read_text() == wanted:
        say(f"{image.name}: unchanged")
        return
    say(f"{image.name}: building {image.dockerfile}")
    dockerfile = paths.CHECKOUT / image.dockerfile
    show(_buildah(
        "build", "--layers", "--isolation", "chroot", "--build-arg", f"BASE_IMAGE={BASE}", *_certificates(),
        "-f", str(dockerfile), "-t", image.name, str(dockerfile.parent),
    ))  # fmt: skip
    image.archive.unlink(missing_ok=True)
    run(*_buildah("push", "--quiet", image.name, f"docker-archive:{image.archive}:{image.name}"))
    stamp.write_text(wanted)


def build_from(image: Image, dockerfile: str) -> None:
    """An image from the text of a Dockerfile and nothing else, into each node: variants for tests."""
    with tempfile.TemporaryDirectory(dir=paths.IMAGES) as folder:
        (Path(folder) / "Dockerfile").write_text(dockerfile)
        run(*_buildah("build", "--isolation", "chroot", "-t", image.name, folder))
    image.archive.unlink(missing_ok=True)
    run(*_buildah("push", "--quiet", image.name, f"docker-archive:{image.archive}:{image.name}"))
    image.archive.with_suffix(".stamp").write_text(hashlib.sha256(dockerfile.encode()).hexdigest())
    import_everywhere(image)


def _certificates() -> list[str]:
    """The machine's certificate authorities, for the build only: mounted, so nothing is baked in."""
    folder = paths.IMAGES / "build-config"
    folder.mkdir(exist_ok=True)
    (folder / "pip.conf").write_text("[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n")
    (folder / "uv.toml").write_text("system-certs = true\n")
    mounts = {
        "/etc/ssl/certs": "/etc/ssl/certs",
        folder / "pip.conf": "/etc/pip.conf",
        folder / "uv.toml": "/etc/uv/uv.toml",
    }
    # Certificates of the machine's own are links out of /etc/ssl/certs.
    local = Path("/usr/local/share/ca-certificates")
    if local.is_dir() and any(local.iterdir()):
        mounts[local] = str(local)
    return [word for host, inside in mounts.items() for word in ("-v", f"{host}:{inside}:ro")]


def content_hash(image: Image) -> str:
    """Over the Dockerfile, what it may copy as git sees it (ignored files left out), and the base."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", image.dockerfile, *image.sources],
        cwd=paths.CHECKOUT, capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    digest = hashlib.sha256((paths.IMAGES / "base.stamp").read_bytes())
    for name in sorted(set(filter(None, listed.split("\0")))):
        file = paths.CHECKOUT / name
        if file.is_file():
            digest.update(f"{name}\0{file.stat().st_mode & 0o111:o}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def import_everywhere(image: Image) -> None:
    """Import the archive into each node whose record of it is of another build, all at once."""
    stamp = image.archive.with_suffix(".stamp").read_text()
    record = {node: node.folder / f"{image.archive.stem}.imported" for node in NODES}
    lacking = [node for node in NODES if not record[node].exists() or record[node].read_text() != stamp]
    if not all(node.socket.exists() for node in NODES):
        raise Failure("the cluster is not up: `python3 -m dev up` first")

    def bring(node: Node) -> None:
        run(paths.BIN / "ctr", "--address", node.socket, "-n", "k8s.io", "images", "import", "--local",
            image.archive)  # fmt: skip
        record[node].write_text(stamp)

    if lacking:
        say(f"{image.name}: into {', '.join(node.name for node in lacking)}")
        with ThreadPoolExecutor(len(NODES)) as pool:
            list(pool.map(bring, lacking))
        say(f"{image.name}: there")


def _buildah(*words: str | Path) -> list[str]:
    """buildah with a store of its own in the cache, so that the machine's is neither used nor left full."""
    store = paths.IMAGES / "store"
    return ["buildah", "--root", str(store), "--runroot", str(paths.IMAGES / "run"), *map(str, words)]
