"""The programs: on PATH or in the cache, else downloaded, else built; in that order.

The cache's `versions.json` says which version each program in it is, so a start with everything cached
neither asks a program nor calls go.
"""

import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dev import addons, downloads, go_build, go_toolchain, needs, paths, versions
from dev.shell import run, say

_RECORD = paths.BIN / "versions.json"


@dataclass(frozen=True)
class Program:
    """One program: its version, and how to ask a found one for it (not at all if only ours will do)."""

    name: str
    version: str
    ask: tuple[str, ...] = ()


def _own(*files: str) -> str:
    """The version of what is built from our own source: its content."""
    digest = hashlib.sha256()
    for file in files:
        digest.update((paths.SOURCE / "programs" / file).read_bytes())
    return digest.hexdigest()[:12]


_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
PROGRAMS = (
    *(Program(name, versions.KUBERNETES, ("--version",)) for name in _KUBERNETES),
    Program("kubectl", versions.KUBERNETES, ("version", "--client")),
    Program("etcd", versions.ETCD, ("--version",)),
    Program("containerd", versions.CONTAINERD, ("--version",)),
    Program("containerd-shim-runc-v2", versions.CONTAINERD, ("-v",)),
    Program("ctr", versions.CONTAINERD, ("--version",)),
    Program("runc", versions.RUNC, ("--version",)),
    Program("helm", versions.HELM, ("version", "--short")),
    # These three run in images from scratch, where one from elsewhere may lack its libraries.
    Program("coredns", f"{versions.COREDNS}+{_own('coredns/main.go')}"),
    Program("kuberay-operator", versions.KUBERAY),
    Program("pause", _own("pause/main.go")),
    # Not of the cluster: the unit tests have health checks for Argo CD and Flux run by these.
    Program("argocd-health", _own("argocd-health/main.go")),
    Program("flux-health", _own("flux-health/main.go")),
)


def provide() -> None:
    """Have every program in the cache's bin folder, and KubeRay's manifests beside them."""
    paths.BIN.mkdir(parents=True, exist_ok=True)
    record: dict[str, str] = json.loads(_RECORD.read_text()) if _RECORD.exists() else {}
    missing = [each for each in PROGRAMS if not _cached(each, record)]
    for program in list(missing):
        target = paths.BIN / program.name
        found = _on_path(program)
        if found:
            target.unlink(missing_ok=True)
            target.symlink_to(found)
        elif not downloads.fetch(program.name, _unfinished(program)):
            continue
        else:
            _unfinished(program).rename(target)
        missing.remove(program)
        _note(record, program)
    if missing:
        needs.packages(needs.TO_BUILD)
        folder = go_build.build([program.name for program in missing])
        for program in missing:
            # Moved, not copied over: a running program's file cannot be written to.
            (folder / program.name).rename(paths.BIN / program.name)
            _note(record, program)
        say("all programs are built")
    _kuberay_manifest()


def _cached(program: Program, record: dict[str, str]) -> bool:
    return record.get(program.name) == program.version and (paths.BIN / program.name).exists()


def _unfinished(program: Program) -> Path:
    return paths.BIN / f".{program.name}.unfinished"


def _note(record: dict[str, str], program: Program) -> None:
    record[program.name] = program.version
    _RECORD.write_text(json.dumps(record, indent=1))


def _on_path(program: Program) -> Path | None:
    """Where PATH has it in the right version."""
    found = shutil.which(program.name)
    if not program.ask or not found or Path(found).parent == paths.BIN:
        return None
    said = subprocess.run([found, *program.ask], capture_output=True, text=True, check=False, timeout=10)
    return Path(found).resolve() if program.version in said.stdout.split("go1.")[0] else None


def _kuberay_manifest() -> None:
    """KubeRay's manifests with our changes, rendered once."""
    target = addons.KUBERAY_MANIFEST
    ours = paths.SOURCE / "manifests" / "kuberay"
    wanted = hashlib.sha256(versions.KUBERAY.encode())
    for file in sorted(ours.iterdir()):
        wanted.update(file.read_bytes())
    stamp = f"# {wanted.hexdigest()}\n"
    if target.exists():
        with target.open() as file_now:
            if file_now.readline() == stamp:
                return
    if not go_build.KUBERAY_SOURCE.exists():
        go_build.fetch_kuberay(go_toolchain.find())
    for file in ours.iterdir():
        text = file.read_text().replace("@VERSION@", versions.KUBERAY)
        (go_build.KUBERAY_SOURCE / file.name).write_text(text)
    target.write_text(stamp + run(paths.BIN / "kubectl", "kustomize", go_build.KUBERAY_SOURCE))
