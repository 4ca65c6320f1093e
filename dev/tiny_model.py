"""Makes a tiny Llama with random weights, its own tokenizer and a chat template, for machines without a network.

    python dev/tiny_model.py FOLDER [--layers 8] [--seed 0]

Runs with the serving environment's Python. The same arguments give the same files; a folder that already holds
them is left alone. What it says is nonsense, but it is a real model: safetensors, real attention, real logits.
"""

import argparse
import json
import random
from pathlib import Path
from typing import Any

HIDDEN, HEADS, KV_HEADS, INTERMEDIATE, POSITIONS = 128, 2, 1, 256, 2048
VOCABULARY = 512  # and a head of 64: vLLM on CPU has attention for 32 and up only
SPECIAL = ["<|pad|>", "<|bos|>", "<|eos|>", "<|system|>", "<|user|>", "<|assistant|>"]
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}{{ eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
WORDS = """
the a of to and in is it you that he was for on are with as his they at be this from have or by one had not but what
all were when we there can an your which their said if do will each about how up out them then she many some so these
would other into has more her two like him see time could no make than first been its who now people my made over did
down only way find use may water long little very after words called just where most know get through back much before
go good new write our used me man too any day same right look think also around another came come work three word must
because does part even place well such here take
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    recipe = {
        "layers": wanted.layers,
        "seed": wanted.seed,
        "hidden": HIDDEN,
        "vocabulary": VOCABULARY,
        "version": 2,
    }
    stamp = wanted.folder / "recipe.json"
    if stamp.exists() and json.loads(stamp.read_text()) == recipe:
        print(f"tiny model: already in {wanted.folder}")
        return
    wanted.folder.mkdir(parents=True, exist_ok=True)
    tokenizer(wanted.folder, wanted.seed)
    weights(wanted.folder, wanted.layers, wanted.seed)
    for file in wanted.folder.iterdir():
        file.chmod(0o644)  # safetensors writes 0600; pods read it as another user
    stamp.write_text(json.dumps(recipe))
    print(f"tiny model: {wanted.layers} layers in {wanted.folder}")


def tokenizer(folder: Path, seed: int) -> None:
    """Byte-level BPE over a made-up text, so that any input can be encoded."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    chance = random.Random(seed)
    text = [" ".join(chance.choices(WORDS.split(), k=12)) for _ in range(400)]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(text, trainer)
    fast: Any = PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<|pad|>",
        bos_token="<|bos|>",
        eos_token="<|eos|>",
        additional_special_tokens=SPECIAL[3:],
        model_max_length=POSITIONS,
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)


def weights(folder: Path, layers: int, seed: int) -> None:
    """The output layer leans towards tokens that are whole ASCII text, so that every token can be shown."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    known = AutoTokenizer.from_pretrained(folder)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=INTERMEDIATE,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        max_position_embeddings=POSITIONS,
        pad_token_id=known.pad_token_id,
        bos_token_id=known.bos_token_id,
        eos_token_id=known.eos_token_id,
        tie_word_embeddings=False,
        initializer_range=0.2,
    )
    model: Any = LlamaForCausalLM(config)
    model.float()
    with torch.no_grad():
        shown = [str(known.decode([token])) for token in range(VOCABULARY)]
        mute = [n for n, text in enumerate(shown) if n in known.all_special_ids or not text.isascii()]
        model.lm_head.weight[mute] = 0.0
    model.save_pretrained(folder, safe_serialization=True)


if __name__ == "__main__":
    main()
