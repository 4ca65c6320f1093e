from itertools import pairwise

from rayspan_serving.boundaries import boundaries


def test_from_a_millisecond_to_ten_minutes_in_steps_of_at_most_ten_percent() -> None:
    bounds = boundaries()
    assert bounds[0] == 0.001
    assert bounds[-1] == 600.0
    assert all(1.0 < upper / lower <= 1.10 for lower, upper in pairwise(bounds))


def test_a_value_is_never_more_than_five_percent_from_the_middle_of_its_bucket() -> None:
    for lower, upper in pairwise(boundaries()):
        middle = (lower + upper) / 2
        assert max((upper - middle) / upper, (middle - lower) / lower) < 0.05


def test_so_few_that_a_page_stays_small() -> None:
    assert len(boundaries()) < 170
