"""`make scan`: checkov, kube-score and kubesec on the rendered chart. Goals: 0 failed, 0 critical, at least 13 points.

What a scanner finds and is left as it is stands in WAIVERS with its reason. A waiver that nothing needs any more is an
error too, so that the list tells what is so. The scanners are those on PATH or in the cache; missing ones are fetched,
kube-score and kubesec from Go's module proxy, checkov by uv.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import yaml

from dev import go_toolchain, paths
from dev.shell import Failure, ended, run, say

CHECKOV = "checkov==3.3.30"
MODULES = {
    "kube-score": "github.com/zegl/kube-score/cmd/kube-score@v1.20.0",
    "kubesec": "github.com/controlplaneio/kubesec/v2@v2.14.2",
}
LEAST_POINTS = 13
"""Of kubesec, for the operator's Deployment."""

RENDERINGS: dict[str, tuple[str, ...]] = {
    "as it comes": (),
    "hardened": (
        "--set", f"image.digest=sha256:{'0' * 64}", "--set", "networkPolicy.egress.enabled=true",
        "--set", "watchNamespaces={llm}", "--set", "masterKey.existingSecret=rayspan-key",
    ),
}  # fmt: skip

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
        wrong = [f"{name}: {each}" for name in RENDERINGS for each in _scanned(name, without)]
        if wrong:
            raise Failure("\n" + "\n".join(wrong))

    return ended("scan", scan, "nothing was changed")


def unexpected(found: Collection[Finding], waivers: dict[str, str]) -> list[str]:
    """What is found and not waived, and what is waived and not found."""
    new = [f"{one.check}: {one.what}" for one in found if one.check not in waivers]
    stale = sorted(set(waivers) - {one.check for one in found})
    return new + [f"{check} is waived in dev/scan.py, and nothing needs it: remove it" for check in stale]


def _scanned(name: str, without: Collection[str]) -> list[str]:
    waivers = WAIVERS[name]
    found: list[Finding] = []
    with tempfile.TemporaryDirectory() as folder:
        manifest = _rendered(name, Path(folder))
        if "checkov" not in without:
            found += _checkov(manifest)
        else:
            waivers = {check: why for check, why in waivers.items() if not check.startswith("CKV")}
        if "kube-score" not in without:
            found += _kube_score(manifest)
        else:
            waivers = {check: why for check, why in waivers.items() if check.startswith("CKV")}
        if "kubesec" not in without:
            found += _kubesec(manifest)
    for check in sorted({one.check for one in found} & set(waivers)):
        say(f"  {check} is waived: {waivers[check]}")
    return unexpected(found, waivers)


def _rendered(name: str, folder: Path) -> Path:
    chart = paths.CHECKOUT / "charts" / "rayspan"
    values = RENDERINGS[name]
    target = folder / "rendered.yaml"
    target.write_text(run(_tool("helm"), "template", "rayspan", chart, "-n", "rayspan-system", *values))
    say(f"the chart {name}")
    return target


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
    """The operator's Deployment. Its schema is the unit tests' matter: kubesec would download one, so it gets a
    blank."""
    (deployment,) = (
        one for one in yaml.safe_load_all(manifest.read_text()) if one and one["kind"] == "Deployment"
    )
    alone = manifest.with_name("deployment.yaml")
    alone.write_text(yaml.safe_dump(deployment))
    manifest.with_name("deployment.json").write_text("{}")
    schema = f"{manifest.parent}/{{{{.ResourceKind}}}}.json"
    (report,) = json.loads(
        run(_tool("kubesec"), "scan", "--exit-code", "0", "--schema-location", schema, alone)
    )
    say(f"  kubesec: {report['message']}")
    if not report["valid"] or report["score"] < LEAST_POINTS:
        return [Finding("kubesec", f"{report['message']}, at least {LEAST_POINTS} are wanted")]
    return []


def _tool(name: str) -> str:
    """A program, fetched where it is missing."""
    found = shutil.which(name) or shutil.which(name, path=str(paths.BIN))
    if found:
        return found
    if name not in MODULES:
        raise Failure(f"{name} is neither on PATH nor in {paths.BIN}: run `make programs`")
    say(f"  installing {MODULES[name]}")
    paths.BIN.mkdir(parents=True, exist_ok=True)
    run(go_toolchain.find(), "install", MODULES[name], env={**os.environ, "GOBIN": str(paths.BIN)})
    return str(paths.BIN / name)


if __name__ == "__main__":
    sys.exit(main())
