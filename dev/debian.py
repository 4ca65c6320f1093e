"""A program out of a Debian package, without installing the package: its service would start, its files would stay."""

import subprocess
import tempfile
from pathlib import Path

from dev import paths
from dev.shell import run, say


def program(package: str, member: str) -> Path:
    """``member`` of the package, as usr/bin/prometheus, in the cache's bin folder; fetched once."""
    target = paths.BIN / Path(member).name
    if target.exists():
        return target
    say(f"fetching {target.name} from Debian's package {package}")
    with tempfile.TemporaryDirectory(dir=paths.CACHE) as folder:
        # As whoever calls: apt's own user may not write here.
        fetch = ["apt-get", "-o", "APT::Sandbox::User=root", "download", package]
        if subprocess.run(fetch, cwd=folder, capture_output=True, check=False).returncode:
            run("apt-get", "update", "--quiet")
            subprocess.run(fetch, cwd=folder, capture_output=True, check=True)
        (archive,) = Path(folder).glob("*.deb")
        run("dpkg-deb", "--extract", str(archive), f"{folder}/files")
        (Path(folder) / "files" / member).rename(target)
    return target
