"""What an experiment's config stands for: its triplets, its tokenizer, the sizes of its model, its network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import logging
from ml_collections import ConfigDict

from vlsm_jax.data.text_only import WithoutPictures
from vlsm_jax.data.tokenizer import Tokenizer, batch_texts, load_tokenizer, train_bpe
from vlsm_jax.data.triplets import TripletSource, find_splits, has_split, hold_out, open_triplets, without_bad_rows
from vlsm_jax.training.config import ConfigError, build

SPLITS = ("train", "validation", "iid", "industry", "layout", "size", "timing", "test")
"""What a folder of triplets may have; the first is needed for training."""


def find_test_splits(config: ConfigDict, folder: Path, wanted: Sequence[str], must: bool) -> list[str]:
    """Returns those of the splits to be evaluated that a folder has.

    Raises:
      ConfigError: one is missing, and it `must` be there, or the data are our own.
    """
    form = config.data.format or None
    missing = [split for split in wanted if not has_split(folder, split, form)]
    if missing and (must or not config.data.directory):
        there = ", ".join(find_splits(folder, form)) or "none"
        raise ConfigError(f"evaluate.splits: {folder} has no split {missing[0]!r}; there are {there}")
    return [split for split in wanted if split not in missing]


def open_data(config: ConfigDict, folder: Path, more: Sequence[str] = ()) -> dict[str, TripletSource]:
    """Returns the rows of each split of a folder, in any format, once all of them have been looked at.

    Splits are those of `SPLITS` and `more`. A twentieth of the training triplets is held out for validation where there
    is no such split, or where it has no pictures and training does: upstream's folder has workbooks of text beside its
    JSON lines.
    """
    form = config.data.format or None
    names = [split for split in dict.fromkeys((*SPLITS, *more)) if split == "train" or has_split(folder, split, form)]
    data = open_splits(config, folder, names)
    text_only = "validation" in data and data["train"][0].image is not None and data["validation"][0].image is None
    if "validation" not in data or text_only:
        data["train"], data["validation"] = hold_out(data["train"], 0.05, config.seed)
        held, why = len(data["validation"]), "without pictures" if text_only else "missing"
        logging.info("%s: split 'validation' is %s; %d training triplets are held out for it", folder, why, held)
    return data


def open_splits(config: ConfigDict, folder: Path, splits: Sequence[str]) -> dict[str, TripletSource]:
    """Returns the rows of these splits, once all of them have been looked at."""
    most_bad = config.data.most_bad
    columns = {key: name for key, name in config.data.columns.items() if name}
    data = {}
    for split in splits:
        rows = open_triplets(folder, columns, split=split, form=config.data.format or None)
        if not config.data.pictures:
            rows = WithoutPictures(rows)
        if most_bad:
            rows = without_bad_rows(rows, most_bad)
        else:
            rows.check()
        data[split] = rows
    return data


def find_tokenizer(config: ConfigDict, workdir: Path, rows: TripletSource) -> Tokenizer:
    """Returns the tokenizer the config names, that of the model it starts from, or one trained on its triplets."""
    from vlsm_jax.training.start import copy_tokenizer

    directory, placeholders = workdir / "tokenizer", config.data.get("placeholders", False)
    if config.data.tokenizer:
        tokenizer = load_tokenizer(config.data.tokenizer)
    elif directory.exists():
        tokenizer = load_tokenizer(directory)
    elif source := config.model.get("init", {}).get("model"):
        tokenizer = load_tokenizer(copy_tokenizer(source, directory))
    else:
        # A few thousand triplets show a tokenizer all the words there are.
        tokenizer = train_bpe(
            batch_texts(list(rows), limit=4000, placeholders=placeholders), config.data.vocab_size, directory
        )
    return tokenizer.as_trained(beginning=config.data.beginning, placeholders=placeholders)


def vlsm_config(config: ConfigDict, tokenizer: Tokenizer | None) -> Any:
    """Returns the model's sizes: those of the pretrained parts it starts from, or those of the config.

    Where the config leaves the vocabulary open it is the tokenizer's, rounded up so that it divides over devices. For a
    plan there is no tokenizer, nothing is looked up, and the config's own sizes count.
    """
    from vlsm_jax.models import ConnectorConfig, DecoderConfig, UnsupportedConfigError, VisionConfig, VlsmConfig
    from vlsm_jax.training.start import read_decoder_config, read_encoder_config, read_model_config

    init = config.model.get("init", {}) if tokenizer is not None else {}
    if init.get("model"):
        whole = read_model_config(init["model"])
        if whole.image_token_id != tokenizer.image_id:
            raise ConfigError(
                f"model.init.model={init['model']!r} has its image token at {whole.image_token_id}, and the tokenizer "
                f"{tokenizer.directory} at {tokenizer.image_id}; leave data.tokenizer empty to take the model's own"
            )
        return dataclasses.replace(whole, vision=_with_features(whole.vision, config))
    described = config.model.decoder.to_dict()
    size = config.data.vocab_size if tokenizer is None else tokenizer.size
    described.setdefault("vocab_size", -(-size // 64) * 64)
    vision = config.model.vision
    try:
        decoder = read_decoder_config(init["decoder"]) if init.get("decoder") else None
        decoder = decoder or DecoderConfig.from_hf_config(described)
        if tokenizer is not None:
            # The image token is never embedded and may lie behind the last row.
            needed = tokenizer.size - (tokenizer.image_id == tokenizer.size - 1)
            if decoder.vocabulary < needed:
                raise ConfigError(
                    f"model.decoder.vocab_size={decoder.vocabulary} is below the tokenizer's {tokenizer.size} ids"
                )
            decoder = dataclasses.replace(
                decoder, eos_token_ids=(tokenizer.eos_id,), pad_token_id=tokenizer.pad_id, bos_token_id=None
            )
        if vision is not None:
            vision = (
                read_encoder_config(init["vision"])
                if init.get("vision")
                else VisionConfig.from_hf_config(vision.to_dict())
            )
        connector = ConnectorConfig(
            kind=config.model.connector, sizes=dict(config.model.get("connector_sizes", {})) or None
        )
        return VlsmConfig(
            vision=_with_features(vision, config),
            connector=None if vision is None else connector,
            decoder=decoder,
            image_token_id=decoder.vocabulary if tokenizer is None else tokenizer.image_id,
        )
    except UnsupportedConfigError:
        raise
    except KeyError as error:
        raise ConfigError(f"model: the config lacks {error}") from error
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, ConfigError) else ConfigError(f"model: {error}") from error


def _with_features(vision: Any, config: ConfigDict) -> Any:
    """Returns the encoder's sizes with what `model.feature_layer` and `model.seen_patches` ask for."""
    asked = {name: config.model.get(name, 0) for name in ("feature_layer", "seen_patches")}
    asked = {name: value for name, value in asked.items() if value}
    if not asked:
        return vision
    if vision is None:
        name, value = next(iter(asked.items()))
        raise ConfigError(f"model.{name}={value} is one of an encoder's, and this model has none; set it to 0")
    try:
        return dataclasses.replace(vision, **asked)
    except ValueError as error:
        raise ConfigError(f"model: {error}") from error


def build_network(config: ConfigDict, model_config: Any, platform: str) -> tuple[Any, Any]:
    """Returns the network and the pipeline's config; `platform` is where the network will run."""
    from vlsm_jax.data.pipeline import PipelineConfig
    from vlsm_jax.training.network import Network, adaptation_of, attention_for

    network = Network.create(
        model_config,
        dtype=config.model.compute_dtype,
        remat=config.model.remat,
        attention=attention_for(config.model.get("attention", "xla"), platform),
        adaptation=adaptation_of(config.model),
    )
    vision = model_config.vision
    annotated = bool(config.train.get("visual_targets", 0)) and vision is not None
    if annotated and model_config.visual_tokens != vision.tokens:
        raise ConfigError(
            f"train.visual_targets is for visual tokens that stand for patches, and model.connector="
            f"{config.model.connector!r} makes others of them; choose 'linear' or 'mlp'"
        )
    pipeline = build(
        PipelineConfig,
        config.pipeline,
        "pipeline",
        patch_size=vision.patch_size if annotated else 0,
        seen_patches=vision.seen_patches if annotated else 0,
        image_size=1 if vision is None else vision.image_size,  # without an encoder no picture is read
        visual_tokens=model_config.visual_tokens,
        seed=config.seed,
    )
    return network, pipeline
