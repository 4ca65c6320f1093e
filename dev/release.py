"""A release, step by step; the recipe that a person or a pipeline follows. `make release` does `check` and `package`.

check    the tree is clean, every place that names the version names the same one, the changelog has it
package  dist/: the wheel, the chart, the bills of materials, the licences, and SHA-256 sums of all
publish  the two images and the chart to an OCI registry; asks for nothing, so log in to it first. With --dry-run it
         only prints its commands

A tag v<version> is set by hand when `check` passes, and pushed when `publish` is through: what is tagged is out.
"""

import argparse
import hashlib
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import yaml
from rayspan.settings import Settings

from dev import paths
from dev.shell import Failure, ended, run, say, show

ROOT = paths.CHECKOUT
DIST = ROOT / "dist"
CHART = ROOT / "charts" / "rayspan"
IMAGES = {"operator": ROOT, "serving": ROOT / "serving_image"}


def main() -> int:
    """Do one step."""
    parser = argparse.ArgumentParser(prog="python3 -m dev.release", description="the release recipe")
    parser.add_argument("step", choices=["check", "package", "publish"])
    parser.add_argument("--registry", default="ghcr.io/rayspan", help="where images and chart go")
    parser.add_argument("--dry-run", action="store_true", help="publish: print the commands only")
    options = parser.parse_args()
    steps: dict[str, Callable[[], None]] = {
        "check": check,
        "package": package,
        "publish": lambda: publish(options.registry, dry_run=options.dry_run),
    }
    return ended("release", steps[options.step], "dist/ may be incomplete")


def versions(root: Path = ROOT) -> dict[str, str]:
    """The version by the place that names it."""
    chart = yaml.safe_load((root / "charts" / "rayspan" / "Chart.yaml").read_text())
    project, serving = (
        tomllib.loads((root / folder / "pyproject.toml").read_text())["project"]
        for folder in ("", "serving_image")
    )
    return {
        "pyproject.toml": project["version"],
        "serving_image/pyproject.toml": serving["version"],
        "charts/rayspan/Chart.yaml, version": chart["version"],
        "charts/rayspan/Chart.yaml, appVersion": chart["appVersion"],
        "operator/rayspan/settings.py, serving_image": Settings.serving_image.rpartition(":")[2],
    }


def disagreement(named: dict[str, str], changelog: str) -> str | None:
    """Why this is no version to release; None: it is one."""
    if len(set(named.values())) > 1:
        places = "\n".join(f"  {version:12} {place}" for place, version in named.items())
        return f"the version differs:\n{places}\nmake them agree"
    version = next(iter(named.values()))
    if not re.search(rf"^## {re.escape(version)}( |$)", changelog, re.MULTILINE):
        return f"CHANGELOG.md has no heading `## {version}`: rename `## Unreleased`"
    return None


def check() -> None:
    """Raise Failure where this is no release."""
    if dirty := run("git", "status", "--porcelain", cwd=ROOT):
        raise Failure(f"the tree is not clean: commit or remove\n{dirty.rstrip()}")
    if wrong := disagreement(versions(), (ROOT / "CHANGELOG.md").read_text()):
        raise Failure(wrong)
    say(f"{versions()['pyproject.toml']} can be released")


def package() -> None:
    """Everything that is published as a file."""
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    uv = shutil.which("uv") or paths.CACHE / "uv" / "bin" / "uv"
    helm = shutil.which("helm") or paths.BIN / "helm"
    run(uv, "build", "--quiet", "--wheel", "--out-dir", DIST, cwd=ROOT)
    (DIST / ".gitignore").unlink(missing_ok=True)
    run(helm, "package", CHART, "--destination", DIST)
    for name, folder in IMAGES.items():
        bill = run(uv, "export", "--quiet", "--frozen", "--no-dev", "--format", "cyclonedx1.5", cwd=folder)
        (DIST / f"rayspan-{name}.cdx.json").write_text(bill)
    (DIST / "licences.txt").write_text(run(sys.executable, "-m", "dev.licences", cwd=ROOT))
    files = sorted(DIST.iterdir())
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (DIST / "SHA256SUMS").write_text("".join(sums))
    for file in files:
        say(f"dist/{file.name}")


def publish(registry: str, *, dry_run: bool) -> None:
    """Push; what is there already under this version is never written over."""
    check()
    for command in commands(registry, versions()["pyproject.toml"]):
        print("$", shlex.join(command), flush=True)
        if not dry_run:
            show(command, cwd=ROOT)


def commands(registry: str, version: str) -> list[list[str]]:
    """What publishes a version."""
    chart = DIST / f"rayspan-{version}.tgz"
    listed: list[list[str]] = []
    for name, folder in IMAGES.items():
        image = f"{registry}/{name}:{version}"
        # A tag that is there makes the release stop here: tags are never moved.
        listed.append(["sh", "-c", f"! docker manifest inspect {shlex.quote(image)} >/dev/null 2>&1"])
        listed.append(
            [
                "docker",
                "buildx",
                "build",
                "--push",
                "--provenance=true",
                "--sbom=true",
                "--tag",
                image,
                str(folder),
            ]
        )
    return [*listed, ["helm", "push", str(chart), f"oci://{registry}/charts"]]


if __name__ == "__main__":
    sys.exit(main())
