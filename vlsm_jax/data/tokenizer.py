"""Tokenizers: a small BPE trained on triplets, and those of Hugging Face checkpoints, behind one class."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from vlsm_jax.data.known_names import KnownNames, KnownNamesError, find_known_names
from vlsm_jax.data.placeholders import Placeholders

# What precedes every prompt (the paper's own input, [prefix][prompt][response] without a separator).
PROMPT_PREFIX = "Give me a Flexscript. "

# In tokenizer_config.json of an export, whose tokenizer adds nothing by itself: the ids of `Tokenizer.beginning`.
BEGINNING_KEY = "prompt_beginning_ids"
# There, too: whether names have placeholders, `Tokenizer.placeholders`.
PLACEHOLDERS_KEY = "name_placeholders"

# What no token may grow beyond: a digit, or a word that begins with a capital. Between them, merges are free.
_KEPT_APART = r"\p{N}|(?<!\p{L})\p{Lu}\p{L}*"

PAD, EOS, IMAGE = "<pad>", "</s>", "<image>"


class TokenizerError(ValueError):
    """A tokenizer that cannot be loaded or lacks a token; the message says which."""


@dataclasses.dataclass(frozen=True)
class Tokenizer:
    """Text to token ids and back.

    Attributes:
      backend: the `tokenizers` object that does the work.
      eos_id: ends every response.
      pad_id: fills rows; never a target.
      image_id: stands at the positions of visual tokens.
      size: number of ids, image token included.
      beginning: ids before every prompt's text, such as Llama's beginning-of-text; they stand behind the sketch.
      directory: where it was loaded from.
      placeholders: whether the model reads and writes placeholders for names, see `data.placeholders`.
      known: the names that the model knows by heart, which are lent to prompts with others; not beside placeholders.
    """

    backend: tokenizers.Tokenizer
    eos_id: int
    pad_id: int
    image_id: int
    size: int
    beginning: tuple[int, ...]
    directory: str
    placeholders: bool = False
    known: KnownNames | None = None

    def as_trained(self, *, beginning: bool, placeholders: bool) -> Tokenizer:
        """Returns it as a run's `config.data` has it; who goes on from a model with placeholders has them, too."""
        return dataclasses.replace(
            self,
            beginning=self.beginning if beginning else (),
            placeholders=placeholders or self.placeholders,
        )

    def read(self, prompt: str) -> Placeholders:
        """Returns a prompt as the model reads it, and what it will write in the place of names."""
        if self.placeholders:
            return Placeholders.of(prompt)
        return Placeholders(prompt, {}) if self.known is None else self.known.lend(prompt)

    def texts(self, prompt: str, response: str) -> tuple[str, str]:
        """Returns a prompt and its script as the model reads and writes them."""
        named = self.read(prompt)
        return named.prompt, named.shorten(response)

    def encode_prompt(self, prompt: str) -> list[int]:
        """Returns the ids of beginning, prefix and prompt."""
        return [*self.beginning, *self.backend.encode(PROMPT_PREFIX + prompt, add_special_tokens=False).ids]

    def encode_response(self, response: str) -> list[int]:
        """Returns the ids of a script and the end-of-text id.

        Prompt and response are encoded apart, always: so generation sees the same ids as training did.
        """
        return [*self.backend.encode(response, add_special_tokens=False).ids, self.eos_id]

    def decode(self, ids: Iterable[int]) -> str:
        """Returns the text of `ids` up to the first end-of-text id, special tokens left out."""
        text = []
        for token in ids:
            if token == self.eos_id:
                break
            text.append(int(token))
        return self.backend.decode(text, skip_special_tokens=True)


def load_tokenizer(name: str | os.PathLike) -> Tokenizer:
    """Loads a tokenizer from a folder, or by hub name through transformers.

    Checkpoints without a padding token pad with their end-of-text id, which is masked in the loss. One without an image
    token gets `<image>` as a new id behind the last; the decoder's embedding must then have that row.

    Raises:
      TokenizerError: nothing is there, or there is no end-of-text token.
    """
    path = Path(name)
    special: dict[str, str] = {}
    beginning: list[int] | None = None
    placeholders = False
    if (path / "tokenizer.json").is_file():
        backend = tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
        for file in ("tokenizer_config.json", "special_tokens_map.json"):
            if (path / file).is_file():
                settings = json.loads((path / file).read_text())
                beginning = settings.get(BEGINNING_KEY, beginning)
                placeholders = settings.get(PLACEHOLDERS_KEY, placeholders)
                for key in ("eos_token", "pad_token"):
                    value = settings.get(key)
                    if value is not None and key not in special:
                        special[key] = value["content"] if isinstance(value, dict) else value
    else:
        from transformers import AutoTokenizer  # slow to import, and only needed for files of other kinds

        try:
            loaded = AutoTokenizer.from_pretrained(str(name))
        except (OSError, ValueError) as error:
            raise TokenizerError(f"no tokenizer at {name}: {error}") from error
        backend = loaded.backend_tokenizer
        special = {"eos_token": loaded.eos_token, "pad_token": loaded.pad_token}
    if backend.token_to_id(IMAGE) is None:
        backend.add_special_tokens([IMAGE])
    eos_id = backend.token_to_id(special.get("eos_token") or "")
    if eos_id is None:
        raise TokenizerError(f"the tokenizer at {name} names no end-of-text token (eos_token in tokenizer_config.json)")
    pad_id = backend.token_to_id(special.get("pad_token") or "")
    try:
        known = find_known_names(path)
    except KnownNamesError as error:
        raise TokenizerError(str(error)) from error
    return Tokenizer(
        backend=backend,
        eos_id=eos_id,
        pad_id=eos_id if pad_id is None else pad_id,
        image_id=backend.token_to_id(IMAGE),
        size=backend.get_vocab_size(),
        beginning=tuple(_beginning(backend, name) if beginning is None else beginning),
        directory=str(name),
        placeholders=placeholders,
        known=known,
    )


def _beginning(backend: tokenizers.Tokenizer, name: str | os.PathLike) -> list[int]:
    """Returns the ids that the tokenizer puts before a text by itself."""
    with_special = backend.encode(PROMPT_PREFIX).ids
    without = backend.encode(PROMPT_PREFIX, add_special_tokens=False).ids
    start = len(with_special) - len(without)
    if with_special[start:] != without:
        raise TokenizerError(
            f"the tokenizer at {name} puts tokens behind a text by itself; only before it is supported"
        )
    return with_special[:start]


def train_bpe(texts: Iterable[str], vocab_size: int, directory: str | os.PathLike) -> Tokenizer:
    """Trains a byte-level BPE on `texts` and writes it as a Hugging Face tokenizer folder.

    Made for copying from prompt to script. A word with a capital is a piece of its own, so a name is spelt with the
    same ids in a sentence and between quotes; digits are tokens of their own, so a number never seen is spelt like one
    that was. Between these, tokens may grow over words and signs: turns of phrase and of code that return become one
    token each. Any text can be encoded.

    Args:
      texts: prompts and scripts.
      vocab_size: number of ids, the three special ones included; at least 259.
      directory: written as a whole or not at all.
    """
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(_KEPT_APART), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, EOS, IMAGE],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    # The layout that transformers 4 and 5 both read.
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": EOS,
        "pad_token": PAD,
        "image_token": IMAGE,
        "model_max_length": 1_000_000,
        "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": {
            str(backend.token_to_id(token)): {
                "content": token,
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": True,
            }
            for token in (PAD, EOS, IMAGE)
        },
    }
    directory = Path(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as scratch:
        new = Path(scratch, "tokenizer")
        new.mkdir()
        backend.save(str(new / "tokenizer.json"))
        (new / "tokenizer_config.json").write_text(json.dumps(config, indent=2))
        (new / "special_tokens_map.json").write_text(json.dumps({"eos_token": EOS, "pad_token": PAD}, indent=2))
        new.rename(directory)
    return load_tokenizer(directory)


def batch_texts(rows: Sequence, limit: int | None = None, *, placeholders: bool = False) -> Iterable[str]:
    """Yields the texts a tokenizer learns from: prompts and scripts, as the model reads and writes them."""
    for row in rows[:limit] if limit is not None else rows:
        named = Placeholders.of(row.prompt) if placeholders else Placeholders(row.prompt, {})
        yield PROMPT_PREFIX + named.prompt
        yield named.shorten(row.response)
