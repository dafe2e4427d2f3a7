"""Which Hugging Face tensor is which of our parameters: one table per architecture, read in both directions.

`{layer}` in a name runs over the layers, whose tensors are the slices of one stacked parameter here. A table may name
parameters that a config leaves out (biases, a tied head); those entries then do not apply.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from convert.operations import BATCH_OF_ONE, COPY, FLATTEN, LINEAR, LINEAR_FROM_HEADS, PATCH, Operation, PadRows
from vlsm_jax.models.connector import ConnectorConfig
from vlsm_jax.models.decoder_config import DecoderConfig
from vlsm_jax.models.vlsm import VlsmConfig


@dataclasses.dataclass(frozen=True)
class Entry:
    """A tensor there, a parameter here.

    Attributes:
      hf: Hugging Face's name; `{layer}` stands for the layer's number.
      ours: path of the parameter, with slashes.
      operation: from one layout to the other.
      duplicate: the parameter has another entry too; read only to check that both tensors are the same.
      part: (i, n) when the tensor there holds n parameters of one shape, one after another along its first axis, and
        this is number i.
      every: only every so many layers has one, from the first on.
    """

    hf: str
    ours: str
    operation: Operation
    duplicate: bool = False
    part: tuple[int, int] | None = None
    every: int = 1

    @property
    def stacked(self) -> bool:
        """Whether the parameter has a leading "layers" axis."""
        return "{layer}" in self.hf


class Constant(NamedTuple):
    """A tensor that Hugging Face's model has and ours has not, since its value is fixed."""

    hf: str
    value: np.ndarray


class Rename(NamedTuple):
    """Brings a name of another layout to the one in the tables: a regular expression and its replacement."""

    pattern: str
    replacement: str


class Layout(NamedTuple):
    """All there is to know of one checkpoint's names.

    Attributes:
      entries: tensors that hold parameters.
      constants: tensors whose value is fixed.
      renames: applied in order to every name in a file, before anything else.
      ignored: regular expressions of names, after renaming, that hold no parameter of ours.
    """

    entries: tuple[Entry, ...]
    constants: tuple[Constant, ...] = ()
    renames: tuple[Rename, ...] = ()
    ignored: tuple[str, ...] = ()


_ATTENTION = (
    Entry("model.layers.{layer}.self_attn.q_proj.weight", "layers/attention/q/kernel", LINEAR),
    Entry("model.layers.{layer}.self_attn.q_proj.bias", "layers/attention/q/bias", FLATTEN),
    Entry("model.layers.{layer}.self_attn.k_proj.weight", "layers/attention/k/kernel", LINEAR),
    Entry("model.layers.{layer}.self_attn.k_proj.bias", "layers/attention/k/bias", FLATTEN),
    Entry("model.layers.{layer}.self_attn.v_proj.weight", "layers/attention/v/kernel", LINEAR),
    Entry("model.layers.{layer}.self_attn.v_proj.bias", "layers/attention/v/bias", FLATTEN),
    Entry("model.layers.{layer}.self_attn.o_proj.weight", "layers/attention/o/kernel", LINEAR_FROM_HEADS),
    Entry("model.layers.{layer}.self_attn.o_proj.bias", "layers/attention/o/bias", COPY),
)

_NORMS_AND_ENDS = (
    Entry("model.embed_tokens.weight", "embedding/table", COPY),
    Entry("model.layers.{layer}.input_layernorm.weight", "layers/attention_norm/scale", COPY),
    Entry("model.layers.{layer}.input_layernorm.bias", "layers/attention_norm/bias", COPY),
    Entry("model.layers.{layer}.post_attention_layernorm.weight", "layers/mlp_norm/scale", COPY),
    Entry("model.layers.{layer}.post_attention_layernorm.bias", "layers/mlp_norm/bias", COPY),
    Entry("model.norm.weight", "norm/scale", COPY),
    Entry("model.norm.bias", "norm/bias", COPY),
    Entry("lm_head.weight", "head", LINEAR),
)

LLAMA = (
    *_NORMS_AND_ENDS,
    *_ATTENTION,
    Entry("model.layers.{layer}.mlp.gate_proj.weight", "layers/mlp/gate/kernel", LINEAR),
    Entry("model.layers.{layer}.mlp.gate_proj.bias", "layers/mlp/gate/bias", COPY),
    Entry("model.layers.{layer}.mlp.up_proj.weight", "layers/mlp/up/kernel", LINEAR),
    Entry("model.layers.{layer}.mlp.up_proj.bias", "layers/mlp/up/bias", COPY),
    Entry("model.layers.{layer}.mlp.down_proj.weight", "layers/mlp/down/kernel", LINEAR),
    Entry("model.layers.{layer}.mlp.down_proj.bias", "layers/mlp/down/bias", COPY),
)

STARCODER2 = (
    *_NORMS_AND_ENDS,
    *_ATTENTION,
    Entry("model.layers.{layer}.mlp.c_fc.weight", "layers/mlp/up/kernel", LINEAR),
    Entry("model.layers.{layer}.mlp.c_fc.bias", "layers/mlp/up/bias", COPY),
    Entry("model.layers.{layer}.mlp.c_proj.weight", "layers/mlp/down/kernel", LINEAR),
    Entry("model.layers.{layer}.mlp.c_proj.bias", "layers/mlp/down/bias", COPY),
)

# Four norms a layer: `post_attention_layernorm` is another one than in Llama.
GEMMA3 = (
    *(e for e in LLAMA if "post_attention_layernorm" not in e.hf),
    Entry("model.layers.{layer}.self_attn.q_norm.weight", "layers/attention/q_norm/scale", COPY),
    Entry("model.layers.{layer}.self_attn.k_norm.weight", "layers/attention/k_norm/scale", COPY),
    Entry("model.layers.{layer}.post_attention_layernorm.weight", "layers/attention_post_norm/scale", COPY),
    Entry("model.layers.{layer}.pre_feedforward_layernorm.weight", "layers/mlp_norm/scale", COPY),
    Entry("model.layers.{layer}.post_feedforward_layernorm.weight", "layers/mlp_post_norm/scale", COPY),
)

DECODERS = {"llama": LLAMA, "mistral": LLAMA, "starcoder2": STARCODER2, "gemma3_text": GEMMA3}

# Of our own encoder, which is CLIP's but for these; as many as halve a patch of 256 pixels.
STEM = tuple(
    Entry(f"vision_model.embeddings.stem.{i}.{theirs}", f"stem/convolution_{i}/{ours}", operation)
    for i in range(8)
    for theirs, ours, operation in (
        ("convolution.weight", "kernel", PATCH),
        ("norm.weight", "norm/scale", COPY),
        ("norm.bias", "norm/bias", COPY),
    )
)

# `pre_layrnorm` is spelt so in every CLIP checkpoint.
CLIP_VISION = (
    *STEM,
    Entry("vision_model.embeddings.class_embedding", "cls", COPY),
    Entry("vision_model.embeddings.patch_embedding.weight", "patch/kernel", PATCH),
    Entry("vision_model.embeddings.position_embedding.weight", "position/table", COPY),
    Entry("vision_model.pre_layrnorm.weight", "pre_norm/scale", COPY),
    Entry("vision_model.pre_layrnorm.bias", "pre_norm/bias", COPY),
    Entry("vision_model.encoder.layers.{layer}.layer_norm1.weight", "layers/attention_norm/scale", COPY),
    Entry("vision_model.encoder.layers.{layer}.layer_norm1.bias", "layers/attention_norm/bias", COPY),
    Entry("vision_model.encoder.layers.{layer}.self_attn.q_proj.weight", "layers/q/kernel", LINEAR),
    Entry("vision_model.encoder.layers.{layer}.self_attn.q_proj.bias", "layers/q/bias", FLATTEN),
    Entry("vision_model.encoder.layers.{layer}.self_attn.k_proj.weight", "layers/k/kernel", LINEAR),
    Entry("vision_model.encoder.layers.{layer}.self_attn.k_proj.bias", "layers/k/bias", FLATTEN),
    Entry("vision_model.encoder.layers.{layer}.self_attn.v_proj.weight", "layers/v/kernel", LINEAR),
    Entry("vision_model.encoder.layers.{layer}.self_attn.v_proj.bias", "layers/v/bias", FLATTEN),
    Entry("vision_model.encoder.layers.{layer}.self_attn.out_proj.weight", "layers/o/kernel", LINEAR_FROM_HEADS),
    Entry("vision_model.encoder.layers.{layer}.self_attn.out_proj.bias", "layers/o/bias", COPY),
    Entry("vision_model.encoder.layers.{layer}.layer_norm2.weight", "layers/mlp_norm/scale", COPY),
    Entry("vision_model.encoder.layers.{layer}.layer_norm2.bias", "layers/mlp_norm/bias", COPY),
    Entry("vision_model.encoder.layers.{layer}.mlp.fc1.weight", "layers/up/kernel", LINEAR),
    Entry("vision_model.encoder.layers.{layer}.mlp.fc1.bias", "layers/up/bias", COPY),
    Entry("vision_model.encoder.layers.{layer}.mlp.fc2.weight", "layers/down/kernel", LINEAR),
    Entry("vision_model.encoder.layers.{layer}.mlp.fc2.bias", "layers/down/bias", COPY),
    Entry("vision_model.post_layernorm.weight", "post_norm/scale", COPY),
    Entry("vision_model.post_layernorm.bias", "post_norm/bias", COPY),
)

# open_clip's own names. Queries, keys and values are one tensor.
OPEN_CLIP_VISION = (
    Entry("visual.class_embedding", "cls", COPY),
    Entry("visual.conv1.weight", "patch/kernel", PATCH),
    Entry("visual.positional_embedding", "position/table", COPY),
    Entry("visual.ln_pre.weight", "pre_norm/scale", COPY),
    Entry("visual.ln_pre.bias", "pre_norm/bias", COPY),
    Entry("visual.transformer.resblocks.{layer}.ln_1.weight", "layers/attention_norm/scale", COPY),
    Entry("visual.transformer.resblocks.{layer}.ln_1.bias", "layers/attention_norm/bias", COPY),
    *(
        Entry("visual.transformer.resblocks.{layer}.attn.in_proj_weight", f"layers/{name}/kernel", LINEAR, part=(i, 3))
        for i, name in enumerate("qkv")
    ),
    *(
        Entry("visual.transformer.resblocks.{layer}.attn.in_proj_bias", f"layers/{name}/bias", FLATTEN, part=(i, 3))
        for i, name in enumerate("qkv")
    ),
    Entry("visual.transformer.resblocks.{layer}.attn.out_proj.weight", "layers/o/kernel", LINEAR_FROM_HEADS),
    Entry("visual.transformer.resblocks.{layer}.attn.out_proj.bias", "layers/o/bias", COPY),
    Entry("visual.transformer.resblocks.{layer}.ln_2.weight", "layers/mlp_norm/scale", COPY),
    Entry("visual.transformer.resblocks.{layer}.ln_2.bias", "layers/mlp_norm/bias", COPY),
    Entry("visual.transformer.resblocks.{layer}.mlp.c_fc.weight", "layers/up/kernel", LINEAR),
    Entry("visual.transformer.resblocks.{layer}.mlp.c_fc.bias", "layers/up/bias", COPY),
    Entry("visual.transformer.resblocks.{layer}.mlp.c_proj.weight", "layers/down/kernel", LINEAR),
    Entry("visual.transformer.resblocks.{layer}.mlp.c_proj.bias", "layers/down/bias", COPY),
    Entry("visual.ln_post.weight", "post_norm/scale", COPY),
    Entry("visual.ln_post.bias", "post_norm/bias", COPY),
)

LINEAR_CONNECTOR = (
    Entry("multi_modal_projector.linear_1.weight", "linear/kernel", LINEAR),
    Entry("multi_modal_projector.linear_1.bias", "linear/bias", COPY),
)

MLP_CONNECTOR = (
    Entry("multi_modal_projector.linear_1.weight", "linear_1/kernel", LINEAR),
    Entry("multi_modal_projector.linear_1.bias", "linear_1/bias", COPY),
    Entry("multi_modal_projector.linear_2.weight", "linear_2/kernel", LINEAR),
    Entry("multi_modal_projector.linear_2.bias", "linear_2/bias", COPY),
)

# As transformers names them in Idefics2's connector.
PERCEIVER_CONNECTOR = (
    Entry("modality_projection.gate_proj.weight", "projection/gate/kernel", LINEAR),
    Entry("modality_projection.up_proj.weight", "projection/up/kernel", LINEAR),
    Entry("modality_projection.down_proj.weight", "projection/down/kernel", LINEAR),
    Entry("perceiver_resampler.latents", "latents", COPY),
    Entry("perceiver_resampler.layers.{layer}.input_latents_norm.weight", "layers/latents_norm/scale", COPY),
    Entry("perceiver_resampler.layers.{layer}.input_context_norm.weight", "layers/visual_norm/scale", COPY),
    Entry("perceiver_resampler.layers.{layer}.self_attn.q_proj.weight", "layers/q/kernel", LINEAR),
    Entry("perceiver_resampler.layers.{layer}.self_attn.k_proj.weight", "layers/k/kernel", LINEAR),
    Entry("perceiver_resampler.layers.{layer}.self_attn.v_proj.weight", "layers/v/kernel", LINEAR),
    Entry("perceiver_resampler.layers.{layer}.self_attn.o_proj.weight", "layers/o/kernel", LINEAR_FROM_HEADS),
    Entry("perceiver_resampler.layers.{layer}.post_attention_layernorm.weight", "layers/mlp_norm/scale", COPY),
    Entry("perceiver_resampler.layers.{layer}.mlp.gate_proj.weight", "layers/mlp/gate/kernel", LINEAR),
    Entry("perceiver_resampler.layers.{layer}.mlp.up_proj.weight", "layers/mlp/up/kernel", LINEAR),
    Entry("perceiver_resampler.layers.{layer}.mlp.down_proj.weight", "layers/mlp/down/kernel", LINEAR),
    Entry("perceiver_resampler.norm.weight", "norm/scale", COPY),
)


def _bert_attention(hf: str, ours: str, every: int) -> tuple[Entry, ...]:
    return (
        *(
            entry
            for theirs, name in (("query", "q"), ("key", "k"), ("value", "v"))
            for entry in (
                Entry(f"{hf}.attention.{theirs}.weight", f"{ours}/{name}/kernel", LINEAR, every=every),
                Entry(f"{hf}.attention.{theirs}.bias", f"{ours}/{name}/bias", FLATTEN, every=every),
            )
        ),
        Entry(f"{hf}.output.dense.weight", f"{ours}/o/kernel", LINEAR_FROM_HEADS, every=every),
        Entry(f"{hf}.output.dense.bias", f"{ours}/o/bias", COPY, every=every),
        Entry(f"{hf}.output.LayerNorm.weight", f"{ours}/norm/scale", COPY, every=every),
        Entry(f"{hf}.output.LayerNorm.bias", f"{ours}/norm/bias", COPY, every=every),
    )


def qformer_connector(cross_every: int) -> tuple[Entry, ...]:
    """As transformers names them in BLIP-2."""
    layer = "qformer.encoder.layer.{layer}"
    return (
        Entry("query_tokens", "queries", BATCH_OF_ONE),
        Entry("qformer.layernorm.weight", "norm/scale", COPY),
        Entry("qformer.layernorm.bias", "norm/bias", COPY),
        *_bert_attention(f"{layer}.attention", "layers/attention", 1),
        *_bert_attention(f"{layer}.crossattention", "cross", cross_every),
        Entry(f"{layer}.intermediate_query.dense.weight", "layers/up/kernel", LINEAR),
        Entry(f"{layer}.intermediate_query.dense.bias", "layers/up/bias", COPY),
        Entry(f"{layer}.output_query.dense.weight", "layers/down/kernel", LINEAR),
        Entry(f"{layer}.output_query.dense.bias", "layers/down/bias", COPY),
        Entry(f"{layer}.output_query.LayerNorm.weight", "layers/norm/scale", COPY),
        Entry(f"{layer}.output_query.LayerNorm.bias", "layers/norm/bias", COPY),
        Entry("language_projection.weight", "output/kernel", LINEAR),
        Entry("language_projection.bias", "output/bias", COPY),
    )


# Buffers that older checkpoints stored beside the parameters.
_BUFFERS = (r"\.rotary_emb\.inv_freq$", r"\.embeddings\.position_ids$")


def decoder_layout(config: DecoderConfig) -> Layout:
    """The layout of a decoder on its own (`LlamaForCausalLM`, `Starcoder2ForCausalLM`)."""
    entries = DECODERS[config.family]
    if config.tied:
        # Some writers store the tied head as well.
        entries = (*(e for e in entries if e.ours != "head"), Entry("lm_head.weight", "embedding/table", COPY, True))
    return Layout(entries, ignored=_BUFFERS)


def clip_vision_layout() -> Layout:
    """The layout of a CLIP vision tower, on its own or within a whole CLIP model.

    transformers 5 left out the `vision_model.` prefix of a tower on its own.
    """
    return Layout(
        CLIP_VISION,
        renames=(Rename(r"^(embeddings|encoder|pre_layrnorm|post_layernorm)\.", r"vision_model.\1."),),
        ignored=(*_BUFFERS, r"^text_model\.", r"^logit_scale$", r"^text_projection\.", r"^visual_projection\."),
    )


def open_clip_layout() -> Layout:
    """The layout of open_clip's own checkpoints; the text tower and the two projections are left aside."""
    return Layout(
        OPEN_CLIP_VISION,
        ignored=(
            r"^(text\.|transformer\.|ln_final\.|token_embedding\.)",
            r"^(visual\.proj|positional_embedding|text_projection|logit_scale|logit_bias|attn_mask)$",
        ),
    )


def connector_layout(config: ConnectorConfig, d_text: int) -> Layout:
    """The layout of a connector as LLaVA's projector.

    LLaVA always has two layers, so a linear connector is one, an activation named "linear", and an identity.

    Raises:
      ValueError: the projector cannot hold this connector.
    """
    if config.kind == "linear":
        identity = Constant("multi_modal_projector.linear_2.weight", np.eye(d_text, dtype=np.float32))
        return Layout(
            LINEAR_CONNECTOR,
            (identity, Constant("multi_modal_projector.linear_2.bias", np.zeros(d_text, np.float32))),
        )
    if config.kind == "mlp" and config.hidden in (None, d_text):
        return Layout(MLP_CONNECTOR)
    raise ValueError(
        f"LLaVA's projector cannot hold a connector of kind {config.kind!r} with hidden={config.hidden}; it holds "
        f"'linear', and 'mlp' with the decoder's width ({d_text}) in between"
    )


def connector_parts_layout(config: ConnectorConfig) -> Layout:
    """The layout of a connector in a file of its own: names as in the model of transformers that has such a one."""
    if config.kind == "perceiver":
        return Layout(PERCEIVER_CONNECTOR)
    if config.kind == "qformer":
        return Layout(qformer_connector(config.sizes.cross_every))
    return Layout(LINEAR_CONNECTOR if config.kind == "linear" else MLP_CONNECTOR)


def stage_two_layout(config: ConnectorConfig) -> Layout:
    """The layout of the paper's `best_model.pt`: an encoder, and a connector of one or two linear layers."""
    if config.kind not in ("linear", "mlp"):
        raise ValueError(f"the names of a {config.kind} connector in the paper's files are not known")
    connector = LINEAR_CONNECTOR if config.kind == "linear" else MLP_CONNECTOR
    return Layout(
        entries=(
            *(_prefixed(e, "vision_encoder.", "vision/") for e in CLIP_VISION),
            *(_prefixed(e, "", "connector/") for e in connector),
        ),
        renames=(
            Rename(r"^vision_encoder\.(?!vision_model\.)", "vision_encoder.vision_model."),
            Rename(r"^(?:proj|connector)\.(?=weight$|bias$)", "multi_modal_projector.linear_1."),
            Rename(r"^(?:proj|connector)\.(?:\w+\.)?0\.", "multi_modal_projector.linear_1."),
            Rename(r"^(?:proj|connector)\.(?:\w+\.)?2\.", "multi_modal_projector.linear_2."),
        ),
        ignored=_BUFFERS,
    )


def fits_llava(config: VlsmConfig) -> bool:
    """Whether a LLaVA model can hold it: its projector the connector, its plain head the decoder's scores."""
    connector, decoder = config.connector, config.decoder
    plain = connector.kind == "linear" or (connector.kind == "mlp" and connector.hidden in (None, decoder.width))
    return plain and decoder.logit_softcap is None


def llava_layout(config: VlsmConfig, rows: int) -> Layout:
    """The classic LLaVA layout, which transformers 4 and 5 both load; newer layouts are renamed to it.

    Args:
      config: of the whole model.
      rows: rows of embedding and head there; more than the decoder's vocabulary when padded.
    """
    connector = connector_layout(config.connector, config.decoder.width)
    decoder = [_prefixed(e, "language_model.", "decoder/") for e in decoder_layout(config.decoder).entries]
    if rows > config.decoder.vocabulary:
        decoder = [
            dataclasses.replace(e, operation=PadRows(e.operation, rows))
            if e.ours in ("decoder/embedding/table", "decoder/head")
            else e
            for e in decoder
        ]
    return Layout(
        entries=(
            *(_prefixed(e, "vision_tower.", "vision/") for e in CLIP_VISION),
            *(_prefixed(e, "", "connector/") for e in connector.entries),
            *decoder,
        ),
        constants=connector.constants,
        renames=(
            Rename(r"^model\.language_model\.", "language_model.model."),
            Rename(r"^lm_head\.", "language_model.lm_head."),
            Rename(r"^model\.(multi_modal_projector|vision_tower)\.", r"\1."),
            Rename(r"^vision_tower\.(?!vision_model\.)", "vision_tower.vision_model."),
        ),
        ignored=_BUFFERS,
    )


def _prefixed(entry: Entry, hf: str, ours: str) -> Entry:
    return dataclasses.replace(entry, hf=hf + entry.hf, ours=ours + entry.ours)
