"""A model's config.json, wherever it lies, and what it says of the model's shape. No weights, no torch.

`hf://` goes through huggingface_hub (HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE as ever), `file://` is read, `s3://` and
`gs://` go through pyarrow's file systems, which Ray brings along. transformers fills in what the file leaves out.
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


TEXT = ("text_config", "llm_config", "language_config", "thinker_config")
"""Where models with several towers describe the one that generates text."""

_KEPT = """
add_qkv_bias architectures attention_bias attention_chunk_size attention_head_dim attn_layer_offset
attn_layer_period compression_config conv_kernel d_model decoder_sparse_step dtype expand
expert_layer_offset expert_layer_period ffn_dim ffn_hidden_size first_k_dense_replace
full_attention_interval head_dim hidden_size hybrid_override_pattern interleave_moe_layer_step
intermediate_size intermediate_size_mlp kv_channels kv_lora_rank layer_types layers_block_type
linear_conv_kernel_dim linear_key_head_dim linear_num_key_heads linear_num_value_heads linear_value_head_dim
mamba_d_conv mamba_d_head mamba_d_state mamba_dt_rank mamba_expand mamba_head_dim mamba_n_groups
mamba_n_heads mamba_num_heads max_position_embeddings max_window_layers mlp_only_layers model_type
moe_intermediate_size moe_layer_freq moe_layers moe_num_experts moe_topk multi_query multi_query_group_num
n_embd n_embed n_group n_groups n_head n_head_kv n_heads n_inner n_layer n_layers n_positions
n_routed_experts n_shared_experts num_attention_heads num_experts num_experts_per_tok num_heads
num_hidden_layers num_key_value_heads num_kv_heads num_layers num_local_experts num_shared_experts
padded_vocab_size q_lora_rank qk_nope_head_dim qk_rope_head_dim qkv_bias quantization_config seq_length
shared_expert_intermediate_size shared_intermediate_size sliding_window sliding_window_pattern
ssm_state_size state_size tie_word_embeddings time_step_rank top_k_experts torch_dtype use_qk_norm
use_qkv_bias use_sliding_window v_head_dim vocab_size
"""
KEPT = frozenset(_KEPT.split())
"""Keys that the operator's planner may ask for (its plan/model_config.py, plan/parameters.py and plan/cache.py); the
rest, token ids and the like, would not fit into the answer."""

TELLING = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
    "tie_word_embeddings",
)
"""What the sizes hang on, and families leave out where it is their default."""

KEPT_OF_QUANTIZATION = {
    "bits",
    "config_groups",
    "group_size",
    "quant_algo",
    "quant_method",
    "w_bit",
    "weight_block_size",
}


@dataclass(frozen=True)
class ModelConfig:
    content: dict[str, Any]

    @property
    def architecture(self) -> str | None:
        architectures = self.content.get("architectures") or self.text.get("architectures") or [None]
        return str(architectures[0]) if architectures[0] else None

    @property
    def text(self) -> dict[str, Any]:
        """The part that describes the text model, empty where that is the whole."""
        return next((self.content[name] for name in TEXT if isinstance(self.content.get(name), dict)), {})

    @property
    def layers(self) -> int | None:
        names = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
        return next((part[n] for part in (self.text, self.content) for n in names if part.get(n)), None)

    @property
    def tied(self) -> bool:
        return bool(self.text.get("tie_word_embeddings", self.content.get("tie_word_embeddings")))

    def kept(self) -> dict[str, Any]:
        """What the planner needs of it, under the names and at the places of config.json."""
        found = {name: value for name, value in self.content.items() if name in KEPT and value is not None}
        if set(found.get("layer_types") or ()) <= {"full_attention"}:
            found.pop("layer_types", None)  # a long way to say what is so without it
        for name in ("quantization_config", "compression_config"):
            if isinstance(whole := found.get(name), dict):
                found[name] = {key: whole[key] for key in KEPT_OF_QUANTIZATION & whole.keys()}
        for name in TEXT:
            if isinstance(part := self.content.get(name), dict):
                found[name] = ModelConfig(part).kept()
        for name in ("vision_config", "audio_config"):
            if isinstance(self.content.get(name), dict):
                found[name] = {}
        return found

    def with_defaults(self) -> "ModelConfig":
        """With what transformers takes where config.json is silent, for the families that it knows. Where nothing
        of weight is missing it is not asked: importing it costs seconds, for it loads torch."""
        if all(name in (self.text or self.content) for name in TELLING):
            return self
        try:
            from transformers import CONFIG_MAPPING

            whole = CONFIG_MAPPING[self.content["model_type"]].from_dict(self.content).to_dict()
            return ModelConfig({**whole, **self.content, **{n: whole[n] for n in TEXT if n in whole}})
        except Exception:  # a family of its own code, or an older transformers: the file as it stands
            return self


def address(model: str) -> tuple[str, str]:
    """(scheme, the rest) of a path, a hub id or a URL."""
    scheme, separator, rest = model.partition("://")
    return (scheme, rest) if separator else ("file" if model.startswith("/") else "hf", model)


def file_system(scheme: str) -> Any:
    """pyarrow's, for s3 or gs."""
    from pyarrow import fs

    return fs.S3FileSystem() if scheme == "s3" else fs.GcsFileSystem()


def read_config(model: str, revision: str = "") -> ModelConfig:
    """The config.json of a model: a path, file://, a hub id, hf://, s3:// or gs://. Unreadable with a sentence if
    that cannot be."""
    scheme, rest = address(model)
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
        with file_system(scheme).open_input_stream(f"{path.rstrip('/')}/{NAME}") as file:
            return str(file.read().decode())
    except ImportError as error:
        raise Unreadable(
            "ImageIncomplete", f"The serving image has no pyarrow, which {scheme}:// needs."
        ) from error
    except FileNotFoundError as error:
        raise Unreadable("ModelNotFound", f"There is no {scheme}://{path.rstrip('/')}/{NAME}.") from error
    except Exception as error:
        raise Unreadable("ModelUnreadable", f"{scheme}://{path} cannot be read: {short(error)}.") from error


def short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
