"""The small files beside the weights: image processor, tokenizer, chat template, generation settings.

They are written as transformers 4 writes them, which both majors read; version 5's own are not read by version 4.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tokenizers

from convert.checkpoint_writer import write_json, write_text
from vlsm_jax.data.images import Fit
from vlsm_jax.data.known_names import FILE as KNOWN_NAMES
from vlsm_jax.data.tokenizer import BEGINNING_KEY, IMAGE, PLACEHOLDERS_KEY, PROMPT_PREFIX, Tokenizer
from vlsm_jax.models.decoder_config import DecoderConfig
from vlsm_jax.models.vision import VisionConfig

BICUBIC = 3  # PIL.Image.Resampling.BICUBIC, as preprocessor files number it


def write_preprocessor(directory: Path, vision: VisionConfig, fit: Fit) -> None:
    """Writes `preprocessor_config.json`: the same squares as in training."""
    side = {"height": vision.image_size, "width": vision.image_size}
    settings: dict[str, Any] = {
        "image_processor_type": "LlavaImageProcessor" if fit is Fit.PAD else "CLIPImageProcessor",
        "processor_class": "LlavaProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        # Squashing gives both sides; else the short side, which after padding is both.
        "size": side if fit is Fit.SQUASH else {"shortest_edge": vision.image_size},
        "do_center_crop": fit is Fit.CROP,
        "crop_size": side,
        "resample": BICUBIC,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(vision.image_mean),
        "image_std": list(vision.image_std),
    }
    if fit is Fit.PAD:
        settings["do_pad"] = True
    write_json(directory / "preprocessor_config.json", settings)


def write_processor(directory: Path, vision: VisionConfig, tokenizer: Tokenizer) -> None:
    """Writes the tokenizer, the chat template and `processor_config.json`; errors are those of `write_tokenizer`."""
    write_tokenizer(directory, tokenizer)
    write_json(
        directory / "processor_config.json",
        {
            "processor_class": "LlavaProcessor",
            "image_token": IMAGE,
            "patch_size": vision.patch_size,
            "num_additional_image_tokens": 1,
            "vision_feature_select_strategy": "default" if vision.drop_cls else "full",
        },
    )


def write_tokenizer(directory: Path, tokenizer: Tokenizer) -> None:
    """Writes the tokenizer and the chat template.

    The exported tokenizer adds no beginning-of-text token by itself: training puts it between the visual tokens and the
    prompt, and so does the chat template.

    Raises:
      ValueError: no template makes transformers tokenise a prompt as training did.
    """
    backend = json.loads(tokenizer.backend.to_str())
    backend["post_processor"] = backend["truncation"] = backend["padding"] = None
    exported = json.dumps(backend, ensure_ascii=False)
    template = chat_template(tokenizer, tokenizers.Tokenizer.from_str(exported))
    special = {
        "eos_token": tokenizer.backend.id_to_token(tokenizer.eos_id),
        "pad_token": tokenizer.backend.id_to_token(tokenizer.pad_id),
    }
    if tokenizer.beginning:
        special["bos_token"] = tokenizer.backend.id_to_token(tokenizer.beginning[0])
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "processor_class": "LlavaProcessor",
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 10**30,
        "padding_side": "left",
        "image_token": IMAGE,
        BEGINNING_KEY: list(tokenizer.beginning),
        **({PLACEHOLDERS_KEY: True} if tokenizer.placeholders else {}),
        "extra_special_tokens": {"image_token": IMAGE},
        "added_tokens_decoder": {
            str(token["id"]): {key: value for key, value in token.items() if key != "id"}
            for token in backend["added_tokens"]
        },
        **special,
    }
    if tokenizer.known is not None and not tokenizer.placeholders:
        write_json(directory / KNOWN_NAMES, tokenizer.known.to_json())
    write_text(directory / "tokenizer.json", exported)
    write_json(directory / "tokenizer_config.json", settings)
    write_json(directory / "special_tokens_map.json", {**special, "image_token": IMAGE})
    write_text(directory / "chat_template.jinja", template)


def chat_template(tokenizer: Tokenizer, exported: tokenizers.Tokenizer) -> str:
    """Returns the jinja template of the one kind of conversation there is: a sketch, a prompt, then the script.

    Args:
      tokenizer: as in training.
      exported: the same without its post-processor, which is what will tokenise the template's text.
    """
    alone, after_image = _opening(tokenizer, exported, ""), _opening(tokenizer, exported, IMAGE)
    return (
        "{%- if messages | length != 1 or messages[0]['role'] != 'user' -%}"
        "{{- raise_exception('one user message is expected: a sketch and a prompt') -}}"
        "{%- endif -%}"
        "{%- set content = messages[0]['content'] -%}"
        "{%- if content is string -%}"
        f"{{{{- {json.dumps(alone)} + content -}}}}"
        "{%- else -%}"
        "{%- set images = content | selectattr('type', 'equalto', 'image') | list -%}"
        f"{{{{- {json.dumps(IMAGE)} * (images | length) -}}}}"
        f"{{{{- {json.dumps(after_image)} if images else {json.dumps(alone)} -}}}}"
        "{%- for part in content if part['type'] == 'text' -%}{{- part['text'] -}}{%- endfor -%}"
        "{%- endif -%}"
    )


def _opening(tokenizer: Tokenizer, exported: tokenizers.Tokenizer, before: str) -> str:
    """Returns what stands between `before` and a prompt, so that the prompt's tokens are those of training.

    Some tokenizers put a space before a text, but only at the very beginning of it; after an image token it has to be
    written out.
    """
    probe = "Three machines,  one sink.\n exponential(10)"
    expected = tokenizer.encode_prompt(probe)
    lead = exported.encode(before).ids if before else []
    beginning = "".join(map(tokenizer.backend.id_to_token, tokenizer.beginning))
    for space in ("", " "):
        opening = beginning + space + PROMPT_PREFIX
        if exported.encode(before + opening + probe).ids == [*lead, *expected]:
            return opening
    raise ValueError(
        f"the tokenizer at {tokenizer.directory} splits a prompt differently after {before or 'nothing'}; "
        "its prompts cannot be exported as a chat template. Export without the tokenizer"
    )


def write_generation_config(directory: Path, decoder: DecoderConfig, rows: int) -> None:
    """Writes `generation_config.json`: greedy by default, never a token that only pads the vocabulary."""
    settings: dict[str, Any] = {"do_sample": False}
    if decoder.bos_token_id is not None:
        settings["bos_token_id"] = decoder.bos_token_id
    if decoder.eos_token_ids:
        settings["eos_token_id"] = list(decoder.eos_token_ids)
    if decoder.pad_token_id is not None or decoder.eos_token_ids:
        fallback = decoder.eos_token_ids[0] if decoder.eos_token_ids else None
        settings["pad_token_id"] = fallback if decoder.pad_token_id is None else decoder.pad_token_id
    if rows > decoder.vocabulary:
        settings["suppress_tokens"] = list(range(decoder.vocabulary, rows))
    write_json(directory / "generation_config.json", settings)
