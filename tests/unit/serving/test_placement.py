import pytest
from rayspan_serving.placement import split_stages

CASES: dict[str, tuple[dict[int, str], int, list[int]]] = {
    "one rank per stage is never split": ({0: "a", 1: "b"}, 1, []),
    "two stages of two on two nodes": ({0: "a", 1: "a", 2: "b", 3: "b"}, 2, []),
    "the second stage straddles": ({0: "a", 1: "a", 2: "b", 3: "c"}, 2, [1]),
    "both straddle": ({0: "a", 1: "b", 2: "c", 3: "d"}, 2, [0, 1]),
    "what is not placed yet counts for nothing": ({0: "a", 1: ""}, 2, []),
}


@pytest.mark.parametrize("case", CASES)
def test_split_stages(case: str) -> None:
    bundles, tensor, expected = CASES[case]
    assert split_stages(bundles, tensor) == expected
