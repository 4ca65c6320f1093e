"""Where the ranks of one replica lie. Pure."""

from collections.abc import Mapping


def split_stages(bundles: Mapping[int, str], tensor: int) -> list[int]:
    """Stages whose tensor ranks are not all on one node.

    bundles: the node of each placement group bundle; bundle k belongs to rank k (VLLM_RAY_BUNDLE_INDICES), and
    stage s owns ranks s * tensor to s * tensor + tensor - 1. Bundles that are not placed yet count for nothing.
    """
    nodes: dict[int, set[str]] = {}
    for bundle, node in bundles.items():
        if node:
            nodes.setdefault(int(bundle) // tensor, set()).add(node)
    return sorted(stage for stage, found in nodes.items() if len(found) > 1)
