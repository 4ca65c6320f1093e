"""A start that fetches its model says so, and one that only did says no more."""

import pytest
from rayspan.report.input import Input
from rayspan.report.observed import Scrape
from rayspan.report.scene import FETCHED
from rayspan.report.status import status

from tests.unit.report.conftest import World

GIB = 1024**3


def starting(world: World, *pages: dict[str, float]) -> Input:
    """Before the first replica runs; pages: bytes by pod, one after the other."""
    given = world.serve(world.serving(), world.replica(0, state="STARTING", ranks=()), status="DEPLOYING")
    scrapes = [
        Scrape(world.now - 15 * (len(pages) - number), pod, values={(FETCHED, ()): size})
        for number, page in enumerate(pages)
        for pod, size in page.items()
    ]
    return world.seen(given, scrapes=tuple(scrapes), completion=None, proofs={})


@pytest.mark.parametrize(
    ("pages", "told"),
    [
        (({"a": 3.2 * GIB},), "3.2 GiB of weights are here, and more is being fetched."),
        (({"a": GIB, "b": 2 * GIB}, {"a": 2 * GIB, "b": 3 * GIB}), "5 GiB of weights are here"),
        (({"a": GIB}, {"a": GIB}), None),
        ((), None),
    ],
    ids=["first page", "two pods", "nothing more comes", "not told"],
)
def test_what_is_fetched_is_said(world: World, pages: tuple[dict[str, float], ...], told: str | None) -> None:
    found = status(starting(world, *pages)).diagnosis
    assert found is not None
    assert (told in found.summary) if told else ("fetched" not in found.summary)
