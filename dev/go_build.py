"""Building the programs from the Go module proxy, all in one module and one go command.

Kubernetes, containerd, CoreDNS, Helm and KubeRay share most of what they are made of; compiled together
each package is compiled once. Everything is built without cgo, so that it also runs in an image from
scratch; only runc cannot be, and it shares least.
"""

import json
import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

from dev import go_toolchain, paths, versions
from dev.shell import Failure, run, say

BUILD = paths.CACHE / "build"
KUBERAY_SOURCE = BUILD / "ray-operator"
_KUBERAY = "github.com/ray-project/kuberay/ray-operator"
_CONTAINERD = "github.com/containerd/containerd/v2"

PACKAGES = {
    **{
        name: f"k8s.io/kubernetes/cmd/{name}"
        for name in (
            "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl",
        )
    },
    "etcd": "go.etcd.io/etcd/server/v3",
    **{name: f"{_CONTAINERD}/cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
    "kuberay-operator": _KUBERAY,
    "helm": "helm.sh/helm/v4/cmd/helm",
    "coredns": "./coredns",
    "pause": "./pause",
    "argocd-health": "./argocd-health",
    "flux-health": "./flux-health",
    "runc": "github.com/opencontainers/runc",
}  # fmt: skip
_NAMED_BY_GO = {"etcd": "server", "kuberay-operator": "ray-operator"}

_ALL_PACKAGES = 3740
_USUALLY = "6 to 7 minutes on 2 cores for all, seconds where Go's build cache has them"
_PROGRESS_SECONDS = 15


def build(names: list[str]) -> Path:
    """Build these programs; gives the folder in which they lie under their names."""
    go = go_toolchain.find()
    target = BUILD / "bin"
    target.mkdir(parents=True, exist_ok=True)
    for folder in ("coredns", "pause", "argocd-health", "flux-health"):
        shutil.copytree(paths.SOURCE / "programs" / folder, BUILD / folder, dirs_exist_ok=True)
    shutil.copy(paths.SOURCE / "programs" / "go.mod", BUILD / "go.mod")
    fetch_kuberay(go)
    pure = [name for name in names if name != "runc"]
    if pure:
        say(f"building {', '.join(pure)} ({_USUALLY})")
        _go_build(go, pure, cgo=False)
    if "runc" in names:
        say("building runc (usually 10 s)")
        _go_build(go, ["runc"], cgo=True)
    for name, given in _NAMED_BY_GO.items():
        if name in names:
            (target / given).rename(target / name)
    return target


def fetch_kuberay(go: Path) -> None:
    """A copy of KubeRay's module: its manifests are needed, and its webhooks patched.

    controller-runtime 0.23 made the webhook builder generic; the type argument is all that is missing.
    """
    if (KUBERAY_SOURCE / "version").exists() and (KUBERAY_SOURCE / "version").read_text() == versions.KUBERAY:
        return
    module = f"{_KUBERAY}@v{versions.KUBERAY}"
    source = json.loads(
        run(go, "mod", "download", "-json", module, cwd=paths.CACHE, env=_environment(cgo=False))
    )
    shutil.rmtree(KUBERAY_SOURCE, ignore_errors=True)
    shutil.copytree(source["Dir"], KUBERAY_SOURCE, ignore=shutil.ignore_patterns("samples", "test"))
    run("chmod", "-R", "u+w", KUBERAY_SOURCE)
    for file in (KUBERAY_SOURCE / "pkg" / "webhooks" / "v1").glob("*_webhook.go"):
        pattern = r"NewWebhookManagedBy\(mgr\)\.\s*For\((&rayv1\.\w+\{\})\)"
        patched = re.sub(pattern, r"NewWebhookManagedBy(mgr, runtime.Object(\1))", file.read_text())
        file.write_text(patched)
    (KUBERAY_SOURCE / "version").write_text(versions.KUBERAY)


def _environment(*, cgo: bool) -> dict[str, str]:
    return {
        **os.environ,
        "CGO_ENABLED": "1" if cgo else "0",
        "GOTOOLCHAIN": "auto",
        "GOWORK": "off",
        # The compiler is a short process: collecting garbage less often costs some memory and saves time.
        "GOGC": "400",
    }


def _version_flags() -> str:
    kubernetes = f"v{versions.KUBERNETES}"
    major, minor, _ = versions.KUBERNETES.split(".")
    values = {
        "k8s.io/component-base/version.gitVersion": kubernetes,
        "k8s.io/component-base/version.gitMajor": major,
        "k8s.io/component-base/version.gitMinor": minor,
        "k8s.io/client-go/pkg/version.gitVersion": kubernetes,
        f"{_CONTAINERD}/version.Version": f"v{versions.CONTAINERD}",
        "helm.sh/helm/v4/internal/version.version": f"v{versions.HELM}",
    }
    return " ".join(f"-X {name}={value}" for name, value in values.items())


def _go_build(go: Path, names: list[str], *, cgo: bool) -> None:
    """One go command, its compiled packages counted as progress."""
    command = [str(go), "build", "-v", "-mod=mod", "-trimpath", "-buildvcs=false"]
    # Linked without debugging information, so none is generated either.
    command += ["-gcflags=all=-dwarf=false", "-ldflags", f"-s -w {_version_flags()}", "-o", "bin/"]
    command += ["-tags", "seccomp"] if cgo else []
    command += [PACKAGES[name] for name in names]
    with subprocess.Popen(
        command,
        cwd=BUILD,
        env=_environment(cgo=cgo),
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        lines: list[str] = []
        done = threading.Event()
        teller = threading.Thread(target=_tell, args=(lines, done), daemon=True)
        teller.start()
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line.rstrip())
        done.set()
    if process.returncode:
        errors = [line for line in lines if " " in line and not line.startswith("go: downloading")]
        raise Failure("go build failed:\n" + "\n".join(errors[-30:]))


def _tell(lines: list[str], done: threading.Event) -> None:
    began = time.monotonic()
    while not done.wait(_PROGRESS_SECONDS):
        fetched = sum(line.startswith("go: downloading") for line in lines)
        compiled = len(lines) - fetched
        say(f"  {compiled} of at most {_ALL_PACKAGES} packages compiled, {fetched} modules fetched, "
            f"{time.monotonic() - began:.0f} s")  # fmt: skip
