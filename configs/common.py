"""The one factory behind `vlsm_1b.py`, `vlsm_7b.py` and `text_only.py`: every row of the paper's tables, and more.

A config's argument is a list of `name=value`, such as `configs/vlsm_7b.py:encoder=clip,connector=qformer,stage=2`:

  stage      1: the decoder alone learns to write scripts from prompts. 2: sketches join, through encoder and connector.
  encoder    openclip (ViT-H/14 of the paper's code), openclip-g (ViT-g/14 of its text), clip (ViT-B/16), random
             (openclip, not pretrained: what pretraining is worth).
  connector  linear, mlp, perceiver or qformer.
  preset     default, or paper: the released recipe as it is, mistakes included (see `configs/paper.py`).
  split      what is evaluated: iid, or held out: industry, layout, size, timing.
  tiny       no value: the same structure in a size that trains a step in seconds.

Every evaluation also reports SVR under the weights 0.8/0.2 and 0.4/0.6 beside the paper's 0.6/0.4.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from configs import optimizing, paper, reading, recording
from vlsm_jax.models.connector import ConnectorConfig
from vlsm_jax.models.presets import DECODER_PRESETS, vision_preset

ENCODERS = {
    "openclip": "openclip-vit-h-14",
    "openclip-g": "openclip-vit-g-14",
    "clip": "clip-vit-b-16",
    "random": "openclip-vit-h-14",
}
CONNECTORS = ("linear", "mlp", "perceiver", "qformer")
SPLITS = ("iid", "industry", "layout", "size", "timing")
PRESETS = ("default", "paper")

# Decoders that start from random values and train whole; the others start from weights, with adapters on 4-bit layers.
TRAINED_WHOLE = ("tinyllama-1.1b", "gemma3-270m")

# Decoders that upstream released a script for.
RELEASED = ("tinyllama-1.1b", "starcoder2-7b")

# Where weights and tokenizers come from; `--config.model.init.decoder=` and `--config.data.tokenizer=` change them.
DECODER_SOURCES: Mapping[str, str] = {
    "gemma3-270m": "google/gemma-3-270m",
    "tinyllama-1.1b": "TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T",
    "mistral-7b": "mistralai/Mistral-7B-v0.1",
    "llama2-7b": "meta-llama/Llama-2-7b-hf",
    "codellama-7b": "codellama/CodeLlama-7b-hf",
    "starcoder2-7b": "bigcode/starcoder2-7b",
    "llama3-8b": "meta-llama/Meta-Llama-3-8B",
}
ENCODER_SOURCES: Mapping[str, str] = {
    "openclip": "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
    "openclip-g": "laion/CLIP-ViT-g-14-laion2B-s34B-b88K",
    "clip": "openai/clip-vit-base-patch16",
    "random": "",
}


@dataclasses.dataclass(frozen=True)
class Choice:
    """What a config's argument chooses.

    Attributes:
      decoder: a name in `DECODER_PRESETS`.
      stage, encoder, connector, preset, split, tiny: see the module.
    """

    decoder: str
    stage: int = 2
    encoder: str = "openclip"
    connector: str = "linear"
    preset: str = "default"
    split: str = "iid"
    tiny: bool = False

    @property
    def whole(self) -> bool:
        """Whether the decoder is trained whole, or by adapters on 4-bit layers."""
        return self.decoder in TRAINED_WHOLE

    @property
    def name(self) -> str:
        """Of the run, in logs and reports."""
        parts = [self.decoder, f"stage {self.stage}"]
        if self.stage == 2:
            parts += [self.encoder, self.connector]
        return ", ".join([*parts, *([self.preset] if self.preset != "default" else [])])


def parse(arg: str, file: str, defaults: Choice, allowed: tuple[str, ...]) -> Choice:
    """Returns `defaults` with what `arg` says.

    Args:
      arg: what stands behind the colon, such as "encoder=clip,tiny"; "" changes nothing.
      file: of the config, for messages.
      defaults: of this config.
      allowed: the names that this config knows.

    Raises:
      ValueError: an unknown name or value, or a name that is there twice.
    """
    values: dict[str, Any] = {
        "stage": {"1": 1, "2": 2},
        "encoder": {name: name for name in ENCODERS},
        "connector": {name: name for name in CONNECTORS},
        "preset": {name: name for name in PRESETS},
        "split": {name: name for name in SPLITS},
        "decoder": {name: name for name in DECODER_SOURCES},
        "tiny": {"": True},
    }
    chosen: dict[str, Any] = {}
    for part in filter(None, arg.split(",")):
        name, _, value = part.partition("=")
        if name not in allowed:
            raise ValueError(f"configs/{file}:{arg}: no argument {name!r}; there are {', '.join(allowed)}")
        if name in chosen:
            raise ValueError(f"configs/{file}:{arg}: {name} is there twice")
        if value not in values[name]:
            choices = ", ".join(values[name]) or "nothing, as in ':tiny'"
            raise ValueError(f"configs/{file}:{arg}: {name}={value}; choose {choices}")
        chosen[name] = values[name][value]
    choice = dataclasses.replace(defaults, **chosen)
    if choice.stage == 1 and {"encoder", "connector"} & chosen.keys():
        raise ValueError(f"configs/{file}:{arg}: stage 1 has no sketches, and so neither encoder nor connector")
    return choice


def make(choice: Choice) -> ConfigDict:
    """Returns the experiment."""
    config = ConfigDict()
    config.name = choice.name
    config.seed = 0

    # An empty directory: as many triplets as the paper has are made in <workdir>/data, and what it never tested.
    config.data = reading.data(tokenizer=DECODER_SOURCES[choice.decoder], vocab_size=4096, pictures=choice.stage == 2)
    config.synth = ConfigDict({"train": 108_256, "validation": 6_014} | dict.fromkeys(SPLITS, 500))

    # 4,096 text positions and 257 visual ones, up to the next multiple of what attention kernels take at a time.
    config.pipeline = reading.pipeline(sequence_length=4608, batch_size=64)

    config.model = ConfigDict()
    config.model.decoder = ConfigDict(dict(DECODER_PRESETS[choice.decoder]))
    config.model.vision = None
    config.model.feature_layer = 0  # the last, or that of model.init.model; LLaVA takes the one before, -2
    config.model.seen_patches = 0  # all, or as many as that of model.init.model; else those whose pixels differ most
    config.model.connector = choice.connector
    config.model.connector_sizes = ConfigDict()  # fields of PerceiverSizes or QFormerSizes; empty is their defaults
    # Where parameters start: a Hugging Face folder or hub name, or "" for random values.
    config.model.init = ConfigDict({"decoder": "", "vision": ""})
    config.model.remat = "full"
    config.model.attention = "auto"
    config.model.compute_dtype = "bfloat16"
    config.model.quantise = "none"
    config.model.lora = ConfigDict({"rank": 0, "alpha": 64.0, "dropout": 0.05, "rslora": False})
    config.model.lora.targets = (r"decoder/layers/(attention|mlp)/\w+",)

    config.train = ConfigDict()
    config.train.steps = 4000
    config.train.accumulation = 1
    config.train.trainable = ((r".*", True),)
    config.train.frozen_dtype = "bfloat16"
    config.train.log_every = 20
    config.train.validate_every = 500
    config.train.validation_batches = 16
    config.train.checkpoint_every = 500
    config.train.keep_checkpoints = 2
    config.train.most_skipped = 5  # updates in a row that are not finite: then the run ends
    config.train.features = ""  # folder for the features of a frozen encoder, computed once
    config.train.visual_targets = 0.0  # weight of what patches are to say, of annotated sketches (synth.annotated)
    config.train.responses = True  # False: the encoder alone, on what patches are to say

    config.optimizer = optimizing.optimizer(learning_rate=2e-4)

    config.log = recording.log()

    # Eight devices hold one copy of the parameters; every further eight read other rows. One device: mesh.fsdp=1.
    config.mesh = ConfigDict({"data": -1, "fsdp": 8, "tensor": 1})

    # What a plan cannot read in the data: places for pictures in a row, of which a packed row has several. Quick plans
    # for TPUs take a third of the time; training may take a tenth more or less of temporary memory than they say.
    config.plan = ConfigDict({"pictures": 4, "quick": False})

    config.evaluate = ConfigDict({"samples": 500, "batch_size": 32, "max_tokens": 2048})
    # Each split in each way: greedy, constrained, named, best-of-8, mended, or joined: constrained-best-of-8-mended.
    config.evaluate.splits = (choice.split,)
    config.evaluate.ways = ("greedy",)
    config.evaluate.model = ""  # or a folder in Hugging Face layout, in place of the run's own checkpoint
    config.evaluate.checkpoint = "last"  # or "best", by validation loss; also exported
    config.evaluate.quantised_product = "auto"  # of layers in NF4 in decoding; or "xla", "pallas"
    config.evaluate.until = 28800.0  # simulated seconds: one shift
    config.evaluate.svr_weights = ((0.6, 0.4), (0.8, 0.2), (0.4, 0.6))
    config.export = True

    # What a preset cannot reproduce, a sentence each; said when a run starts.
    config.departures = ()

    (_stage_1 if choice.stage == 1 else _stage_2)(config, choice)
    if choice.preset == "paper":
        _paper(config, choice)
    if choice.tiny:
        _tiny(config, choice)
    return config


def _adapters(config: ConfigDict) -> None:
    """The decoder's layers in 4 bits, frozen, and adapters beside them."""
    config.model.quantise = "nf4-double"
    config.model.lora.rank = 32
    config.train.trainable = ((r"/lora/", True), (r"^decoder/", False))


def _stage_1(config: ConfigDict, choice: Choice) -> None:
    config.plan.pictures = 0
    if choice.whole:
        return
    config.model.init.decoder = DECODER_SOURCES[choice.decoder]
    _adapters(config)


def _stage_2(config: ConfigDict, choice: Choice) -> None:
    config.model.vision = ConfigDict(vision_preset(ENCODERS[choice.encoder]).to_hf_config())
    config.model.init.vision = ENCODER_SOURCES[choice.encoder]
    # The decoder goes on from stage 1: --config.model.init.decoder=<workdir of stage 1>/export
    config.model.init.decoder = DECODER_SOURCES[choice.decoder]
    rest = ((r"^connector/", True), (r"^vision/", choice.encoder == "random"))
    if choice.whole:
        config.train.trainable = (*rest, (r"^decoder/", True))
        config.optimizer.learning_rate = 1e-4
        return
    _adapters(config)
    config.train.trainable += rest


def _paper(config: ConfigDict, choice: Choice) -> None:
    """The released recipe, mistakes included: see `configs/paper.py`."""
    config.plan.pictures = min(config.plan.pictures, 1)
    if choice.stage == 1:
        paper.stage_1(config, choice.whole)
    else:
        connector = ConnectorConfig(choice.connector)
        paper.stage_2(config, choice.whole, connector.tokens(vision_preset(ENCODERS[choice.encoder]).tokens))
    unreleased = [] if choice.decoder in RELEASED else [choice.decoder]
    if choice.stage == 2 and choice.encoder != "openclip":
        unreleased.append({"random": "a random encoder"}.get(choice.encoder, f"the encoder {choice.encoder}"))
    if choice.stage == 2 and choice.connector not in ("linear", "mlp"):
        unreleased.append(f"the connector {choice.connector}")
    if unreleased:
        config.departures += (paper.UNRELEASED.format(" and ".join(unreleased)),)


def _tiny(config: ConfigDict, choice: Choice) -> None:
    """Keeps every switch and makes every size small; nothing is downloaded."""
    decoder = config.model.decoder
    heads = 4 if decoder.num_key_value_heads < decoder.num_attention_heads else 2
    decoder.update(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=heads)
    decoder.num_key_value_heads = min(decoder.num_key_value_heads, 2)
    decoder.vocab_size = 512
    if "head_dim" in decoder:
        decoder.head_dim = 32
    if "sliding_window_pattern" in decoder:
        decoder.sliding_window_pattern = 2
    if decoder.get("sliding_window"):
        decoder.sliding_window = 64
    if config.model.vision is not None:
        config.model.vision.update(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=32,
            patch_size=8,
        )
    sizes = {
        "perceiver": {"queries": 8, "depth": 2, "heads": 2, "kv_heads": 1, "head_dim": 16},
        "qformer": {"queries": 8, "depth": 2, "width": 32, "heads": 2, "mlp_width": 64},
    }
    config.model.connector_sizes = ConfigDict(sizes.get(choice.connector, {}))
    config.model.init = ConfigDict({"decoder": "", "vision": ""})
    if config.model.lora.rank:
        config.model.lora.rank = 4
    config.data.tokenizer, config.data.vocab_size = "", 384
    config.synth = ConfigDict({"train": 24, "validation": 8, "iid": 2, "most_objects": 6, "plain": True})
    config.synth.update(prompt_styles=("complete",), script_styles=("loop",), features=("merge", "split"))
    config.synth.update(layouts=("linear",), automation=("manual",))
    config.pipeline.batch_size = 2 * config.train.accumulation
    config.pipeline.sequence_length = 640
    config.plan.pictures = min(config.plan.pictures, 2)
    config.train.update(steps=2, log_every=1, validate_every=2, validation_batches=1, checkpoint_every=2)
    config.optimizer.warmup_steps = 1
    config.mesh = ConfigDict({"data": -1, "fsdp": 1, "tensor": 1})
    config.evaluate.update(samples=2, batch_size=2, max_tokens=16)
