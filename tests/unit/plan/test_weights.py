"""Bytes of weights from config.json alone, against what well-known models were published with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from rayspan.plan import weights
from rayspan.plan.model_config import Incomplete, read
from rayspan.plan.model_facts import model_facts, recalled, recorded

PUBLISHED: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "models.yaml").read_text())
CLOSE = 0.01
FAR = 0.03
"""Where the files hold what is not loaded; such a model has a note."""


@pytest.mark.parametrize("model", PUBLISHED, ids=lambda model: str(model["model"]))
def test_the_config_adds_up_to_the_published_size(model: dict[str, Any]) -> None:
    counted = weights.from_config(read(model["config"])).total
    error = counted / model["published"] - 1
    print(f"{model['model']}: {counted} of {model['published']} bytes, {error:+.3%}")
    assert abs(error) < (FAR if "note" in model else CLOSE)


def test_there_are_enough_families() -> None:
    assert len(PUBLISHED) >= 15
    assert len({model["config"]["model_type"] for model in PUBLISHED}) >= 12


@pytest.mark.parametrize("model", PUBLISHED, ids=lambda model: str(model["model"]))
def test_facts_survive_the_status(model: dict[str, Any]) -> None:
    facts = model_facts(model["config"])
    assert facts.weights is not None and len(facts.caches) == facts.layers
    assert recalled(recorded(facts, key="k")) == facts


def test_headers_win_over_the_config() -> None:
    (llama,) = [model for model in PUBLISHED if model["model"] == "meta-llama/Llama-3.1-8B"]
    headers = {"layers": [[30, 7, 0], [2, 9, 4]], "embedding": 5, "head": 6, "rest": 1}
    facts = model_facts(llama["config"], headers)
    assert facts.weights is not None
    assert (facts.weights.source, facts.weights.total) == ("headers", 30 * 7 + 2 * 9 + 5 + 6 + 1)
    assert facts.weights.experts[-2:] == (4, 4)


def test_headers_of_another_number_of_layers_do_not_count() -> None:
    (llama,) = [model for model in PUBLISHED if model["model"] == "meta-llama/Llama-3.1-8B"]
    facts = model_facts(llama["config"], {"layers": [[3, 7, 0]], "embedding": 5, "head": 6, "rest": 1})
    assert facts.weights is not None and facts.weights.source == "config"


def test_what_a_config_lacks_leaves_the_weights_unknown_and_the_layers_known() -> None:
    facts = model_facts({"num_hidden_layers": 12})
    assert (facts.layers, facts.weights, facts.caches) == (12, None, ())


def test_without_layers_there_is_nothing_to_plan() -> None:
    with pytest.raises(Incomplete, match=r"config\.json has no num_hidden_layers"):
        model_facts({"hidden_size": 12})
