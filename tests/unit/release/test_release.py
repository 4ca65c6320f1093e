"""The release recipe: one version everywhere, nothing written over, and every licence looked at."""

from __future__ import annotations

from email.message import Message
from typing import Any, cast

import pytest

from dev import licences, release

NAMED = {"pyproject.toml": "1.2.0", "charts/rayspan/Chart.yaml, version": "1.2.0"}


def test_this_checkout_names_one_version() -> None:
    named = release.versions()
    assert len(named) == 5
    assert len(set(named.values())) == 1, named


def test_versions_that_differ_are_named_with_their_places() -> None:
    wrong = release.disagreement({**NAMED, "pyproject.toml": "1.3.0"}, "## 1.3.0\n")
    assert wrong == (
        "the version differs:\n"
        "  1.3.0        pyproject.toml\n"
        "  1.2.0        charts/rayspan/Chart.yaml, version\n"
        "make them agree"
    )


@pytest.mark.parametrize("changelog", ["# Changelog\n\n## Unreleased\n", "## 1.2.0-rc1\n", "text ## 1.2.0\n"])
def test_a_version_that_the_changelog_does_not_tell_of_is_refused(changelog: str) -> None:
    assert release.disagreement(NAMED, changelog) == (
        "CHANGELOG.md has no heading `## 1.2.0`: rename `## Unreleased`"
    )


@pytest.mark.parametrize("changelog", ["## 1.2.0\n", "# Changelog\n\n## 1.2.0 (2030-01-01)\n"])
def test_a_version_that_it_tells_of_can_be_released(changelog: str) -> None:
    assert release.disagreement(NAMED, changelog) is None


def test_each_image_is_looked_for_before_it_is_pushed_and_the_chart_comes_last() -> None:
    lines = [" ".join(command) for command in release.commands("example.org/r", "1.2.0")]
    for name in ("operator", "serving"):
        image = f"example.org/r/{name}:1.2.0"
        (looked,) = (number for number, line in enumerate(lines) if f"manifest inspect {image}" in line)
        assert f"--push --provenance=true --sbom=true --tag {image}" in lines[looked + 1]
    assert lines[-1].endswith("dist/rayspan-1.2.0.tgz oci://example.org/r/charts")


def test_the_operators_packages_are_those_that_it_needs_and_no_tools() -> None:
    found = licences.needed("rayspan")
    assert {"rayspan", "kopf", "kubernetes", "aiohttp", "yarl"} <= found, "what it needs needs others"
    assert found.isdisjoint({"pytest", "mypy", "ruff", "ray", "vllm"})


SAYS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "an expression goes before all else": ({"License-Expression": "MIT", "License": "GPL"}, ["MIT"]),
    "each part of an expression counts": ({"License-Expression": "(MIT OR GPL-3.0) AND ISC"}, ["GPL-3.0", "ISC", "MIT"]),
    "a classifier is translated": ({"Classifier": "License :: OSI Approved :: MIT License"}, ["MIT"]),
    "a classifier that says nothing is passed over": (
        {"Classifier": "License :: OSI Approved", "License": "Apache 2.0"},
        ["Apache-2.0"],
    ),
    "of a whole text the first line counts": ({"License": "Mine\n\nAll rights reserved."}, ["Mine"]),
    "nothing is nothing": ({}, []),
}  # fmt: skip


@pytest.mark.parametrize(("says", "expected"), SAYS.values(), ids=list(SAYS))
def test_what_a_package_says_of_its_licence(says: dict[str, Any], expected: list[str]) -> None:
    message = Message()
    for name, value in says.items():
        message[name] = value
    assert licences.licences_of(cast(Any, message)) == expected


def test_every_licence_of_the_operators_packages_was_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert licences.main() == 0
    assert "kopf" in capsys.readouterr().out


def test_a_licence_that_was_not_looked_at_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(licences, "ALLOWED", licences.ALLOWED - {"MPL-2.0"})
    assert licences.main() == 1
    assert capsys.readouterr().err == (
        "licences: not looked at yet: certifi: read it, and add it to ALLOWED in dev/licences.py or replace the package\n"
    )
