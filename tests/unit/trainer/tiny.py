"""A model that trains in milliseconds: two layers of 32, random weights, a tokenizer of bytes; and rows for it."""

from pathlib import Path

from schemas import ids
from schemas.events import InstructionAnswered, InstructionKept

CHAT = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_SPECIAL = ["<|end|>", "<|pad|>", "<|user|>", "<|assistant|>"]


def tokenizer(chat: bool = True):
    """A tokenizer of bytes with an end and a padding token, with or without a chat template."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE(vocab={byte: index for index, byte in enumerate(alphabet)}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([AddedToken(token, special=True) for token in _SPECIAL])
    made = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|end|>", pad_token="<|pad|>")
    if chat:
        made.chat_template = CHAT
    return made


def model(layers: int = 2, seed: int = 0):
    """A Llama with random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=272,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=256,
            pad_token_id=257,
        )
    )


def save_tiny(folder: Path, chat: bool = True) -> Path:
    """The model and its tokenizer as a folder that transformers loads."""
    model().save_pretrained(folder)
    tokenizer(chat).save_pretrained(folder)
    return folder


def kept(number: int, cluster: int, output: str | None = None, instruction: str | None = None) -> InstructionKept:
    """The kept instruction that stands first in generation `number`."""
    generation = ids.generation_id("g0", number)
    return InstructionKept(
        id=ids.instruction_id(generation, 0),
        instruction=f"Say number {number} in another way" if instruction is None else instruction,
        input="as a word" if number % 3 == 0 else "",
        output=f"It is {number * 7}." * (1 + number % 4) if output is None else output,
        generation_id=generation,
        generated_offset=number,
        place=0,
        cluster=cluster,
        classifier_offset=0,
    )


def answered(row: InstructionKept, reason: str | None = None) -> InstructionAnswered:
    """The answer to a kept row, whose input and output it has already; `reason`: why it is not used."""
    return InstructionAnswered(
        row=row,
        style="two-step",
        backend="recorded",
        model="m",
        parameters={},
        answers=(),
        unparsed=(),
        reason=reason,
        cost_usd=None,
    )
