"""Bytes of a model's weights, from the headers of its safetensors files alone: no tensor is read.

The first 8 bytes of a file say how long its header is, and the header is JSON: name, dtype, shape and place of each
tensor. huggingface_hub reads those of the hub with a few small requests; files in folders and buckets are opened here.

The names tell what a tensor belongs to, alike in all families that vLLM knows: a layer by its number, the embedding,
the head, and the rest: norms, and towers beside the text model. Layers past the model's own are for predicting
several tokens at once, and not loaded.
"""

import json
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

from rayspan_serving.model_config import address, file_system

SUFFIX = ".safetensors"
LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")
EXPERT = re.compile(r"\.experts\.|\.experts_")
TOWER = re.compile(r"vision|visual|audio|image|mm_|multi_modal|projector")
EMBEDDING = re.compile(r"(?:embed_tokens|wte|word_embeddings|embed_in|tok_embeddings|embeddings?)\.weight$")
HEAD = re.compile(r"(?:^|\.)(?:lm_head|embed_out|output)\.")

Sizes = dict[str, int]
"""Bytes by the tensor's name."""


def sizes(model: str, revision: str = "") -> Sizes | None:
    """Of all tensors; None where no safetensors file can be read: then the config has to do."""
    scheme, rest = address(model)
    try:
        if scheme == "hf":
            found = of_hub(rest, revision)
        elif scheme == "file":
            found = of_files(path.open("rb") for path in sorted(Path(rest).glob(f"*{SUFFIX}")))
        else:
            found = of_files(bucket(scheme, rest))
    except Exception as error:
        print(f"the headers of {model} could not be read: {error!r}")
        return None
    return found or None


def of_hub(repository: str, revision: str) -> Sizes:
    from huggingface_hub import get_safetensors_metadata

    whole = get_safetensors_metadata(repository, revision=revision or None)
    return {
        name: tensor.data_offsets[1] - tensor.data_offsets[0]
        for file in whole.files_metadata.values()
        for name, tensor in file.tensors.items()
    }


def bucket(scheme: str, path: str) -> Iterator[Any]:
    from pyarrow import fs

    system = file_system(scheme)
    for found in sorted(system.get_file_info(fs.FileSelector(path.rstrip("/"))), key=lambda info: info.path):
        if found.path.endswith(SUFFIX):
            yield system.open_input_file(found.path)


def of_files(files: Iterator[BinaryIO]) -> Sizes:
    found: Sizes = {}
    for file in files:
        with file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        for name, tensor in header.items():
            if name != "__metadata__":
                begin, end = tensor["data_offsets"]
                found[name] = end - begin
    return found


def summary(sizes: Sizes, layers: int, tied: bool) -> dict[str, Any]:
    """For the planner: {"layers": [[how many alike, bytes of one, bytes of its experts], ...], "embedding", "head",
    "rest"}; a head that is stored although it is the embedding is not loaded, and not counted."""
    each, experts = [0] * layers, [0] * layers
    embedding = head = rest = 0
    for name, size in sizes.items():
        layer = None if TOWER.search(name) else LAYER.search(name)
        if layer:
            index = int(layer[1])
            if index < layers:
                each[index] += size
                experts[index] += size if EXPERT.search(name) else 0
        elif TOWER.search(name):
            rest += size
        elif HEAD.search(name):
            head += 0 if tied else size
        elif EMBEDDING.search(name):
            embedding += size
        else:
            rest += size
    runs = [[len(list(group)), *pair] for pair, group in groupby(zip(each, experts, strict=True))]
    return {"layers": runs, "embedding": embedding, "head": head, "rest": rest}
