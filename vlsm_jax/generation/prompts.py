"""Prompts as a batch of tokens, and how a model reads them.

Letters: B prompts, P prompt positions (visual tokens included).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vlsm_jax.data.tokenizer import Tokenizer

# Prompt lengths are rounded up to a multiple, so that few shapes are compiled.
PROMPT_BUCKET = 64


class Prompts(NamedTuple):
    """A batch of prompts, each `[visual tokens][text]` and padded behind.

    Attributes:
      tokens: int32 [B, P].
      positions: int32 [B, P]; -1 is padding.
      visual_index: int32 [B, P]; -1 where text stands.
      images: uint8 [B, H, W, 3]; [B, 0] for a model of text alone.
      digests: uint32 [B]; of text and image, so that what is drawn for a prompt does not hang on its place in a batch.
    """

    tokens: np.ndarray
    positions: np.ndarray
    visual_index: np.ndarray
    images: np.ndarray
    digests: np.ndarray


def make_prompts(
    tokenizer: Tokenizer, prompts: Sequence[str], images: Sequence[np.ndarray], visual_tokens: int
) -> Prompts:
    """Returns a batch; the text is encoded exactly as in training.

    Raises:
      ValueError: an empty prompt.
    """
    for i, prompt in enumerate(prompts):
        if not prompt.strip():
            raise ValueError(f"prompt {i} is empty; describe the factory in words, the sketch alone is not enough")
    rows = [[tokenizer.image_id] * visual_tokens + tokenizer.encode_prompt(p) for p in prompts]
    width = -(-max(map(len, rows)) // PROMPT_BUCKET) * PROMPT_BUCKET
    tokens = np.full((len(rows), width), tokenizer.pad_id, np.int32)
    positions = np.full((len(rows), width), -1, np.int32)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = row
        positions[i, : len(row)] = np.arange(len(row))
    visual_index = np.where((positions >= 0) & (positions < visual_tokens), positions, -1).astype(np.int32)
    digests = [_digest(prompt, image) for prompt, image in zip(prompts, images, strict=True)]
    return Prompts(tokens, positions, visual_index, np.stack(images), np.array(digests, np.uint32))


def _digest(prompt: str, image: np.ndarray) -> int:
    digest = hashlib.blake2b(prompt.encode(errors="surrogatepass"), digest_size=4)
    digest.update(image.tobytes())
    return int.from_bytes(digest.digest(), "little")
