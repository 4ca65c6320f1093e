"""A model's config.json, wherever it lies, and what it says of the model's shape. No weights, no torch.

`hf://` goes through huggingface_hub (HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE as ever), `file://` is read, `s3://` and
`gs://` go through pyarrow's file systems, which Ray brings along. The file itself decides; transformers is not
asked, for importing it costs seconds and its classes only rename what stands there.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "config.json"


class Unreadable(Exception):
    """The config could not be read; `reason` is CamelCase, the text a sentence for the model's owner."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class ModelConfig:
    content: dict[str, Any]

    def facts(self) -> dict[str, Any]:
        """The shape as the operator's planner wants it. Models with several towers describe the text one inside."""
        whole = self.content
        text: dict[str, Any] = next(
            (whole[name] for name in ("text_config", "llm_config") if isinstance(whole.get(name), dict)), {}
        )

        def first(*names: str) -> Any:
            return next((t[n] for t in (text, whole) for n in names if t.get(n) is not None), None)

        heads, hidden = (
            first("num_attention_heads", "n_head", "n_heads"),
            first("hidden_size", "n_embd", "d_model"),
        )
        quantization = first("quantization_config", "compression_config")
        architectures = whole.get("architectures") or text.get("architectures") or [None]
        return {
            "architecture": architectures[0],
            "modelType": first("model_type")
            if not text
            else whole.get("model_type") or text.get("model_type"),
            "layers": first("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
            "attentionHeads": heads,
            "kvHeads": first("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num")
            or heads,
            "headDim": first("head_dim") or (hidden // heads if hidden and heads else None),
            "hiddenSize": hidden,
            "intermediateSize": first("intermediate_size", "ffn_hidden_size", "n_inner"),
            "vocabSize": first("vocab_size"),
            "dtype": dtype(first("dtype", "torch_dtype")),
            "maxPositionEmbeddings": first("max_position_embeddings", "n_positions", "seq_length"),
            "tiedEmbeddings": tied(whole, text),
            "quantization": (quantization or {}).get("quant_method")
            if isinstance(quantization, dict)
            else None,
            "supportsPipeline": None,
        }


def dtype(value: Any) -> str | None:
    return str(value).removeprefix("torch.") if value else None


def tied(whole: dict[str, Any], text: dict[str, Any]) -> bool | None:
    found = text.get("tie_word_embeddings", whole.get("tie_word_embeddings"))
    return found if isinstance(found, bool) else None


def read_config(model: str, revision: str = "") -> ModelConfig:
    """The config.json of a model: a path, file://, a hub id, hf://, s3:// or gs://. Unreadable with a sentence if
    that cannot be."""
    scheme, separator, rest = model.partition("://")
    if not separator:
        scheme, rest = ("file" if model.startswith("/") else "hf"), model
    if scheme == "file":
        text = from_folder(Path(rest))
    elif scheme == "hf":
        text = from_hub(rest, revision)
    elif scheme in ("s3", "gs"):
        text = from_bucket(scheme, rest)
    else:
        raise Unreadable(
            "BadSource", f"A model cannot be read from {scheme}://: use file://, hf://, s3:// or gs://."
        )
    try:
        content = json.loads(text)
    except ValueError as error:
        raise Unreadable("ModelUnreadable", f"{NAME} of {model} is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise Unreadable("ModelUnreadable", f"{NAME} of {model} is no JSON object.")
    return ModelConfig(content)


def from_folder(folder: Path) -> str:
    if not folder.is_dir():
        raise Unreadable(
            "ModelNotFound", f"There is no folder {folder} in the pod: is the volume mounted there?"
        )
    try:
        return (folder / NAME).read_text()
    except FileNotFoundError as error:
        raise Unreadable("ModelNotFound", f"{folder} holds no {NAME}: it is not a model's folder.") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise Unreadable("ModelUnreadable", f"{folder / NAME} cannot be read: {reason}.") from error


def from_hub(repository: str, revision: str) -> str:
    try:
        from huggingface_hub import errors as hub
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise Unreadable("ImageIncomplete", "The serving image has no huggingface_hub.") from error
    place = f"{repository}@{revision}" if revision else repository
    try:
        return Path(hf_hub_download(repository, NAME, revision=revision or None)).read_text()
    except hub.GatedRepoError as error:
        text = f"{repository} is gated: accept its terms, and give a token that may read it in spec.model.tokenSecret."
        raise Unreadable("ModelForbidden", text) from error
    except hub.RevisionNotFoundError as error:
        raise Unreadable("ModelNotFound", f"{repository} has no revision {revision!r}.") from error
    except hub.RepositoryNotFoundError as error:
        text = f"The hub knows no {repository}, or the token in spec.model.tokenSecret may not see it."
        raise Unreadable("ModelNotFound", text) from error
    except hub.EntryNotFoundError as error:
        if isinstance(error, hub.LocalEntryNotFoundError):
            text = f"The hub cannot be reached from the cluster, and {place} is not in its cache."
            raise Unreadable("HubUnreachable", text) from error
        raise Unreadable(
            "ModelNotFound", f"{place} holds no {NAME}: it is not a transformers model."
        ) from error
    except hub.HFValidationError as error:
        raise Unreadable(
            "BadSource", f"hf://{repository} names no model: write hf://ORGANISATION/NAME."
        ) from error
    except Exception as error:
        raise Unreadable(
            "HubUnreachable", f"{place} could not be read from the hub: {short(error)}."
        ) from error


def from_bucket(scheme: str, path: str) -> str:
    try:
        from pyarrow import fs
    except ImportError as error:
        raise Unreadable(
            "ImageIncomplete", f"The serving image has no pyarrow, which {scheme}:// needs."
        ) from error
    try:
        system = fs.S3FileSystem() if scheme == "s3" else fs.GcsFileSystem()
        with system.open_input_stream(f"{path.rstrip('/')}/{NAME}") as file:
            return str(file.read().decode())
    except FileNotFoundError as error:
        raise Unreadable("ModelNotFound", f"There is no {scheme}://{path.rstrip('/')}/{NAME}.") from error
    except Exception as error:
        raise Unreadable("ModelUnreadable", f"{scheme}://{path} cannot be read: {short(error)}.") from error


def short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
