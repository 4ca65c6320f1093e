"""How Flux judges an LLMDeployment: by kstatus alone, and by the example's healthCheckExprs, run by the CEL engine of Flux."""

from __future__ import annotations

import yaml

from tests.unit.chart.rendered import ROOT
from tests.unit.gitops.kstatus import kstatus
from tests.unit.gitops.seen import WELL, Object, deployment, run
from tests.unit.report.test_conditions import SITUATIONS

EXAMPLE = ROOT / "examples" / "gitops" / "flux" / "kustomizations.yaml"


def conditions(thing: Object) -> dict[str, str]:
    return {one["type"]: one["status"] for one in thing["status"]["conditions"]}


def flux(*objects: Object) -> list[str]:
    (check,) = (
        each
        for document in yaml.safe_load_all(EXAMPLE.read_text())
        for each in document["spec"].get("healthCheckExprs", ())
    )
    expressions = {key: check[key] for key in ("inProgress", "failed", "current")}
    found: list[str] = run("flux-health", given={"expressions": expressions, "objects": objects})
    return found


def test_kstatus_calls_current_what_is_ready_and_waits_for_everything_else() -> None:
    for sentence in SITUATIONS:
        thing = deployment(sentence)
        ready = conditions(thing)["Ready"] == "True"
        assert kstatus(thing) == ("Current" if ready else "InProgress"), sentence


def test_kstatus_believes_no_status_of_an_older_version() -> None:
    assert kstatus(deployment(WELL)) == "Current"
    assert kstatus(deployment(WELL, generation=4)) == "InProgress"


def test_with_its_expressions_flux_also_ends_at_what_is_refused_or_stopped() -> None:
    things = {sentence: deployment(sentence) for sentence in SITUATIONS}
    found = dict(zip(things, flux(*things.values()), strict=True))
    for sentence, thing in things.items():
        refused = conditions(thing)["PlanAccepted"] == "False"
        there = conditions(thing)["Ready"] == "True" or thing["status"]["phase"] == "Stopped"
        assert found[sentence] == ("Failed" if refused else "Current" if there else "InProgress"), sentence
    assert set(found.values()) == {"Failed", "Current", "InProgress"}


def test_flux_waits_for_the_operator_to_see_it() -> None:
    unseen: Object = {"metadata": {"generation": 1}}
    assert kstatus(unseen) == "Current", "why the expressions are needed"
    older, empty, none = flux(deployment(WELL, generation=4), {**unseen, "status": {}}, unseen)
    assert [older, empty, none] == [
        "InProgress",
        "InProgress",
        "error: no such attribute(s): status.conditions",
    ]
