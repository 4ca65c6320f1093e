"""A Go that can build the programs: the machine's, or one from the module proxy.

Any Go since 1.21 fetches the toolchain that a go.mod asks for. Where there is none at all, the toolchain is
taken as what it is to the proxy: a zip of the module golang.org/toolchain.
"""

import hashlib
import os
import shutil
import urllib.request
import zipfile
from pathlib import Path

from dev import paths, versions
from dev.shell import Failure, run, say

_OLDEST = (1, 21)
_SHA256 = "30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7"
_MODULE = f"golang.org/toolchain@v0.0.1-go{versions.GO}.linux-amd64"
_DEFAULT_PROXY = "https://proxy.golang.org"


def find() -> Path:
    """The go command to build with; fetched if the machine has none that is new enough."""
    candidates = [shutil.which("go"), "/usr/local/go/bin/go", str(paths.GO / "bin" / "go")]
    for candidate in candidates:
        if candidate and Path(candidate).exists() and _version(Path(candidate)) >= _OLDEST:
            return Path(candidate)
    return _fetch()


def _version(go: Path) -> tuple[int, int]:
    words = run(go, "env", "GOVERSION").strip().removeprefix("go").split(".")
    try:
        return int(words[0]), int(words[1])
    except (ValueError, IndexError):
        return (0, 0)


def _fetch() -> Path:
    proxies = [
        each for each in os.environ.get("GOPROXY", "").replace("|", ",").split(",") if each.startswith("http")
    ]
    path, _, version = _MODULE.partition("@")
    url = f"{(proxies or [_DEFAULT_PROXY])[0].rstrip('/')}/{path}/@v/{version}.zip"
    say(f"no Go on this machine: fetching {versions.GO} from the module proxy (70 MB)")
    paths.CACHE.mkdir(parents=True, exist_ok=True)
    file = paths.CACHE / "go.zip"
    try:
        with urllib.request.urlopen(url, timeout=300) as answer, file.open("wb") as target:
            shutil.copyfileobj(answer, target)
    except OSError as error:
        raise Failure(f"there is no Go 1.21 or later on PATH, and {url} gives none: {error}") from error
    if hashlib.sha256(file.read_bytes()).hexdigest() != _SHA256:
        raise Failure(f"{url} is not the toolchain that was expected (SHA-256), not used")
    unpacked = paths.CACHE / "go.unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    with zipfile.ZipFile(file) as archive:
        archive.extractall(unpacked)
    shutil.rmtree(paths.GO, ignore_errors=True)
    (unpacked / _MODULE).rename(paths.GO)
    shutil.rmtree(unpacked)
    file.unlink()
    # A zip from the proxy carries no modes.
    for program in (*(paths.GO / "bin").iterdir(), *(paths.GO / "pkg" / "tool" / "linux_amd64").iterdir()):
        program.chmod(0o755)
    return paths.GO / "bin" / "go"
