"""The admission policy for podTemplates: what it checks, what is let through, where it holds.

What it refuses is asked of a real API server (tests/api/test_pod_template.py).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.chart.rendered import kinds, one, render

POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
ITEMS = {
    "hostPath": "?volumes",
    "hostNamespaces": "?hostNetwork",
    "hostPorts": "?hostPort",
    "privileged": "?privileged",
    "capabilities": "?capabilities",
    "privilegeEscalation": "?allowPrivilegeEscalation",
    "serviceAccount": "?serviceAccountName",
}


def checks(*values: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = one(render(*values), POLICY)["spec"]["validations"]
    return found


def test_as_it_comes_everything_is_checked_everywhere() -> None:
    objects = render()
    assert len(checks()) == len(ITEMS)
    binding = one(objects, BINDING)["spec"]
    assert binding == {
        "policyName": one(objects, POLICY)["metadata"]["name"],
        "validationActions": ["Deny"],
    }
    assert one(objects, POLICY)["spec"]["failurePolicy"] == "Fail"


@pytest.mark.parametrize("item", ITEMS)
def test_of_all_checks_one_is_left_out_by_its_name(item: str) -> None:
    left = checks("--set", f"podTemplatePolicy.allow={{{item}}}")
    (gone,) = [each for each in checks() if each not in left]
    assert ITEMS[item] in gone["expression"]
    assert len(left) == len(ITEMS) - 1


def test_each_message_names_the_field_and_the_value_that_allows_it() -> None:
    for item, check in zip(ITEMS, checks(), strict=True):
        assert check["message"].startswith("spec.serving.podTemplate.spec")
        value = "serviceAccounts={NAME}" if item == "serviceAccount" else f"allow={{{item}}}"
        assert check["message"].endswith(f"(the chart's value podTemplatePolicy.{value} lets it through)")


def test_service_accounts_are_allowed_by_name() -> None:
    check = checks("--set", "podTemplatePolicy.serviceAccounts={models,other}")[-1]
    assert check["expression"].count('in ["","default","models","other"]') == 2
    assert "or name one of models, other" in check["message"]


WHERE: dict[str, tuple[tuple[str, ...], Any]] = {
    "the namespaces that are watched": (
        ("--set", "watchNamespaces={a,b}"),
        {
            "matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a", "b"]}
            ]
        },
    ),
    "namespaces with a label": (
        (
            "--set",
            "podTemplatePolicy.namespaceSelector.matchLabels.team=ml",
            "--set",
            "watchNamespaces={a,b}",
        ),
        {"matchLabels": {"team": "ml"}},
    ),
}


@pytest.mark.parametrize("case", WHERE)
def test_it_holds_for(case: str) -> None:
    values, selector = WHERE[case]
    assert one(render(*values), BINDING)["spec"]["matchResources"] == {"namespaceSelector": selector}


def test_it_is_left_out_on_request_and_when_it_would_check_nothing() -> None:
    for values in ("podTemplatePolicy.enabled=false", f"podTemplatePolicy.allow={{{','.join(ITEMS)}}}"):
        assert kinds(render("--set", values)).isdisjoint({POLICY, BINDING})
