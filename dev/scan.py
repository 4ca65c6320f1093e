"""`make scan`: checkov, kube-score and kubesec on the rendered chart and on what the operator makes of a deployment.
Goals: 0 failed, 0 critical, at least 13 points.

No scanner knows a RayService: its pod templates are scanned as the pods that KubeRay makes of them.

What a scanner finds and is left as it is stands in WAIVERS with its reason. A waiver that nothing needs any more is an
error too, so that the list tells what is so. The scanners are those on PATH or in the cache; missing ones are fetched,
kube-score and kubesec from Go's module proxy, checkov by uv.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dev import go_toolchain, paths
from dev.shell import Failure, ended, run, say

CHECKOV = "checkov==3.3.30"
MODULES = {
    "kube-score": ("github.com/zegl/kube-score", "/cmd/kube-score", "v1.20.0"),
    "kubesec": ("github.com/controlplaneio/kubesec/v2", "", "v2.14.2"),
}
"""Module, package in it, version."""
LEAST_POINTS = 13
"""Of kubesec, for each object that has pods."""

RENDERINGS: dict[str, tuple[str, ...]] = {
    "as it comes": (),
    "hardened": (
        "--set", f"image.digest=sha256:{'0' * 64}", "--set", "networkPolicy.egress.enabled=true",
        "--set", "watchNamespaces={llm}", "--set", "masterKey.existingSecret=rayspan-key",
    ),
    "two replicas": ("--set", "replicas=2"),
}  # fmt: skip
RAY_OBJECTS = "tensor-two-replicas"
"""The deployment whose objects are scanned as well: tests/golden holds them as they are rendered."""

_PULL = (
    "a release's tag is never moved, and with a digest nothing else can be meant: `Always` would only keep the \
operator from starting again while the registry is away"
)
WAIVERS: dict[str, dict[str, str]] = {
    "as it comes": {
        "CKV_K8S_43": "the digest of a release is known only to who mirrors it: image.digest takes it",
        "CKV_K8S_15": _PULL,
        "container-image-pull-policy": _PULL,
        "pod-probes-identical": "no request waits for the operator: readiness tells a rollout that it works, and "
        "liveness, which waits six times as long, that it is stuck",
    },
}
WAIVERS["hardened"] = {
    name: why for name, why in WAIVERS["as it comes"].items() if not name.startswith("CKV")
}
WAIVERS["two replicas"] = WAIVERS["as it comes"]

_LIMITS = (
    "what a stage needs in CPU and memory depends on the model and its loader, and a limit that is guessed too low \
kills it while it loads: spec.serving.podTemplate sets them"
)
_USER = "the files of Ray's and vLLM's images belong to their user 1000, which is nobody on a node that maps no users"
_MIRROR = (
    "an image is named by its owner, in spec.serving.image or the chart's values, which take a digest as well"
)
WAIVERS[RAY_OBJECTS] = {
    "CKV_K8S_11": _LIMITS,
    "CKV_K8S_13": _LIMITS,
    "container-resources": _LIMITS,
    "container-ephemeral-storage-request-and-limit": "weights that are fetched lie there, and how large they are is not "
    "known before: podTemplate sets it, or puts the cache on a claim",
    "CKV_K8S_40": _USER,
    "container-security-context-user-group-id": _USER,
    "CKV_K8S_43": _MIRROR,
    "CKV_K8S_15": _PULL,
    "container-image-pull-policy": _PULL,
    "CKV_K8S_35": "Ray reads its token from a variable that KubeRay sets, and the hub's client its own; the API keys of "
    "clients are a file in the pods that serve",
    "pod-probes-identical": "no client is sent to the head: readiness is for KubeRay, and liveness waits eight times as long",
    "kubesec": "7 points: 3 more are for a service account, of which these pods mount no token, 2 for limits and 1 for a "
    "high user id, as above",
}


@dataclass(frozen=True)
class Finding:
    """What a scanner does not like."""

    check: str
    what: str


def main() -> int:
    """Scan every rendering; fail if one is not as it should be."""
    parser = argparse.ArgumentParser(prog="python3 -m dev.scan", description="security scanners on the chart")
    parser.add_argument("--without", action="append", default=[], choices=["checkov", *MODULES])
    without = parser.parse_args().without

    def scan() -> None:
        everything = (*RENDERINGS, RAY_OBJECTS)
        wrong = [f"{name}: {each}" for name in everything for each in _scanned(name, without)]
        if wrong:
            raise Failure("\n" + "\n".join(wrong))

    return ended("scan", scan, "nothing was changed")


def unexpected(found: Collection[Finding], waivers: dict[str, str]) -> list[str]:
    """What is found and not waived, and what is waived and not found."""
    new = [f"{one.check}: {one.what}" for one in found if one.check not in waivers]
    stale = sorted(set(waivers) - {one.check for one in found})
    return new + [f"{check} is waived in dev/scan.py, and nothing needs it: remove it" for check in stale]


def _scanned(name: str, without: Collection[str]) -> list[str]:
    waivers = {check: why for check, why in WAIVERS[name].items() if scanner(check) not in without}
    found: list[Finding] = []
    with tempfile.TemporaryDirectory() as folder:
        manifest = _rendered(name, Path(folder))
        if "checkov" not in without:
            found += _checkov(manifest)
        if "kube-score" not in without:
            found += _kube_score(manifest)
        if "kubesec" not in without:
            found += _kubesec(manifest)
    for check in sorted({one.check for one in found} & set(waivers)):
        say(f"  {check} is waived: {waivers[check]}")
    return unexpected(found, waivers)


def scanner(check: str) -> str:
    """Whose check it is."""
    if check.startswith("CKV"):
        return "checkov"
    return "kubesec" if check == "kubesec" else "kube-score"


def _rendered(name: str, folder: Path) -> Path:
    target = folder / "rendered.yaml"
    if name in RENDERINGS:
        chart = paths.CHECKOUT / "charts" / "rayspan"
        text = run(_tool("helm"), "template", "rayspan", chart, "-n", "rayspan-system", *RENDERINGS[name])
        say(f"the chart {name}")
    else:
        text = (paths.CHECKOUT / "tests" / "golden" / name / "objects.yaml").read_text()
        say(f"the objects of tests/golden/{name}")
    documents = [each for document in yaml.safe_load_all(text) if document for each in scannable(document)]
    target.write_text(yaml.safe_dump_all(documents))
    return target


def scannable(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """An object as scanners know it: of a RayService, the pods that KubeRay makes of its templates."""
    if document["kind"] != "RayService":
        return [document]
    metadata, cluster = document["metadata"], document["spec"]["rayClusterConfig"]
    templates = {
        "head": cluster["headGroupSpec"]["template"],
        **{group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]},
    }
    return [
        _pod(
            {
                **template["metadata"],
                "labels": {**template["metadata"]["labels"], "ray.io/cluster": metadata["name"]},  # KubeRay's
                "name": f"{metadata['name']}-{group}",
                "namespace": metadata["namespace"],
            },
            template["spec"],
        )
        for group, template in templates.items()
    ]


def _pod(metadata: Mapping[str, Any], spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _checkov(manifest: Path) -> list[Finding]:
    arguments = ("--framework", "kubernetes", "--skip-download", "--output", "json", "--soft-fail")
    uvx = shutil.which("uvx") or paths.CACHE / "uv" / "bin" / "uvx"
    report = json.loads(run(uvx, "--quiet", "--from", CHECKOV, "checkov", *arguments, "--file", manifest))
    failed = report["results"]["failed_checks"]
    if not (passed := report["summary"]["passed"]):
        raise Failure("checkov checked nothing")
    say(f"  checkov: {len(failed)} failed, {passed} passed")
    return [Finding(one["check_id"], f"{one['check_name']} ({one['resource']})") for one in failed]


def _kube_score(manifest: Path) -> list[Finding]:
    """Its grades: 1 is critical, 5 a warning, 10 well."""
    arguments = ("--output-format", "json", "--kubernetes-version", "v1.30")
    # It exits with 1 where something is critical, and that may be waived.
    script = f'"{_tool("kube-score")}" score {" ".join(arguments)} "{manifest}" || [ $? = 1 ]'
    objects = json.loads(run("sh", "-c", script))
    checks = [
        (one["object_name"], each) for one in objects for each in one["checks"] or () if not each["skipped"]
    ]
    if not checks:
        raise Failure("kube-score checked nothing")
    critical = [(name, each) for name, each in checks if each["grade"] == 1]
    warnings = sum(each["grade"] == 5 for _, each in checks)
    say(f"  kube-score: {len(critical)} critical, {warnings} warnings, of {len(checks)} checks")
    return [Finding(each["check"]["id"], f"{each['check']['name']} ({name})") for name, each in critical]


def _kubesec(manifest: Path) -> list[Finding]:
    """What has pods; those of a Job by themselves, for kubesec does not know Jobs. Its schema is the unit tests' matter: kubesec would download one, so it gets a blank."""
    documents = list(yaml.safe_load_all(manifest.read_text()))
    having = [
        _pod(one["metadata"], one["spec"]["template"]["spec"]) if one["kind"] == "Job" else one
        for one in documents
    ]
    having = [one for one in having if one["kind"] in ("Deployment", "Pod")]
    if not having:
        raise Failure("kubesec checked nothing")
    found: list[Finding] = []
    schema = f"{manifest.parent}/{{{{.ResourceKind}}}}.json"
    for one in having:
        alone = manifest.with_name("alone.yaml")
        alone.write_text(yaml.safe_dump(one))
        manifest.with_name(f"{one['kind'].lower()}.json").write_text("{}")
        (report,) = json.loads(
            run(_tool("kubesec"), "scan", "--exit-code", "0", "--schema-location", schema, alone)
        )
        what = f"{one['kind']} {one['metadata']['name']}: {report['message']}"
        say(f"  kubesec: {what}")
        if not report["valid"] or report["score"] < LEAST_POINTS:
            found.append(Finding("kubesec", f"{what}, at least {LEAST_POINTS} are wanted"))
    return found


def _tool(name: str) -> str:
    """A program, fetched where it is missing."""
    found = shutil.which(name) or shutil.which(name, path=str(paths.BIN))
    if found:
        return found
    if name not in MODULES:
        raise Failure(f"{name} is neither on PATH nor in {paths.BIN}: run `make programs`")
    module, package, version = MODULES[name]
    say(f"  building {name} {version}")
    paths.BIN.mkdir(parents=True, exist_ok=True)
    # Not `go install`: that asks for the list of the module's versions, which a mirror may not have.
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "go.mod").write_text(f"module scan\n\ngo 1.24\n\nrequire {module} {version}\n")
        build = ("build", "-mod=mod", "-o", paths.BIN / name, module + package)
        run(go_toolchain.find(), "-C", folder, *build)
    return str(paths.BIN / name)


if __name__ == "__main__":
    sys.exit(main())
