"""Host folders that every container sees, read-only, without asking for them.

As a GPU runtime injects drivers: containerd's base runtime spec carries the mounts, so that a Python
environment of 6 GB is not copied into three image stores. The folders may be filled after the cluster is
up. A virtual environment works at the second path because it only refers to /usr/bin/python3.11, which is
there in the base image, and its scripts name the environment by the path that it has inside.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from dev import paths
from dev.shell import run


@dataclass(frozen=True)
class Mount:
    """One host folder and where containers find it."""

    host: Path
    container: str


MOUNTS = (
    Mount(paths.CACHE / "serving-env", "/opt/rayspan/serving-env"),
    Mount(paths.CACHE / "models", "/models"),
)


def write_base_spec(target: Path) -> None:
    """containerd's own default spec plus the mounts."""
    spec = json.loads(run(paths.BIN / "ctr", "oci", "spec"))
    # The default limit of 1024 open files is too few for Ray; without one, the machine's own holds.
    spec["process"].pop("rlimits", None)
    for mount in MOUNTS:
        mount.host.mkdir(parents=True, exist_ok=True)
        spec["mounts"].append({
            "destination": mount.container,
            "type": "bind",
            "source": str(mount.host),
            "options": ["rbind", "ro", "nosuid", "nodev"],
        })  # fmt: skip
    target.write_text(json.dumps(spec))
