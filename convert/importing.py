"""A checkpoint of Hugging Face as one of this package: read tensor by tensor, written as a whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from convert.checkpoint_reader import CheckpointError, CheckpointReader
from convert.conversion_report import ConversionReport, Meter, size_of
from convert.drafts import whole_folder
from convert.hub import find_source
from convert.huggingface import read_vision_config
from convert.llava import read_fit
from convert.mapping import Source, read_pieces
from convert.native import FILES_FOLDER, PARAMS_FOLDER, Config, Description, write_description
from convert.opening import of_whole_model, open_checkpoint, stored_dtype
from convert.peft import CONFIG_FILE as ADAPTER_CONFIG
from convert.peft import WEIGHTS_FILE as ADAPTER_FILE
from convert.peft import open_peft
from convert.pieces import Piece
from convert.torch_reader import open_stage_two
from vlsm_jax.data.images import Fit
from vlsm_jax.data.known_names import FILE as KNOWN_NAMES
from vlsm_jax.generation.draft_examples import FILE as EXAMPLES_FILE
from vlsm_jax.models.adaptation import Adaptation
from vlsm_jax.models.decoder_config import DecoderConfig
from vlsm_jax.models.vlsm import VlsmConfig

# What a checkpoint holds beside weights and config.json, and what an export gives back unchanged.
KEPT_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    EXAMPLES_FILE,
    KNOWN_NAMES,
)


def import_checkpoint(
    source: str | os.PathLike,
    out: str | os.PathLike,
    *,
    quantise: str | None = None,
    dtype: str | None = None,
    adapter: str | os.PathLike | None = None,
    upstream: str | os.PathLike | None = None,
    vision: str | os.PathLike | None = None,
) -> ConversionReport:
    """Converts a checkpoint of a decoder, a CLIP vision tower, a LLaVA model or its parts into one of this package.

    Args:
      source: its folder, or its name on the Hugging Face hub.
      out: a folder that does not exist, or is empty; it is there when the whole checkpoint is.
      quantise: a format for the layers' kernels of a plain decoder; a 4-bit checkpoint keeps its own.
      dtype: of the parameters, those of quantised kernels apart; None is what a file has, float32 for several. An
        adapter then keeps its own.
      adapter: folder of a PEFT adapter that goes with the decoder.
      upstream: the paper's `best_model.pt`, an encoder and a connector that go with the decoder: a whole VLSM.
      vision: folder or name of the CLIP checkpoint that its encoder was, for the sizes alone.

    Raises:
      CheckpointError, UnsupportedConfigError: naming file and tensor, or the field of the config.
      FileExistsError: `out` holds something.
    """
    meter = Meter()
    folder = find_source(source)
    if (folder / ADAPTER_CONFIG).is_file() and not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} is a PEFT adapter; give its decoder as the source, and this as the adapter")
    with whole_folder(out) as draft, jax.default_device(jax.devices("cpu")[0]):
        config, adaptation, sources, readers, param_dtype = open_checkpoint(folder, quantise=quantise, dtype=dtype)
        aside = tuple(name for _, source in sources for name in source.left_aside)
        if adapter is not None:
            if not isinstance(config, DecoderConfig):
                raise CheckpointError(f"{folder} is no decoder alone, and {adapter} is read for one")
            reader = CheckpointReader(adapter, ADAPTER_FILE)
            # Adapters are often finer than the decoder that they go with, and keep what they have.
            lora, factors = open_peft(adapter, config, param_dtype=jnp.dtype(dtype or stored_dtype([reader])))
            sources.append(("", factors))
            adaptation = Adaptation(adaptation.quantise, lora, adaptation.quantised)
            readers = [*readers, reader]
        facts = {"dtype": param_dtype.name, "source": os.fspath(source)}
        if upstream is not None:
            config, adaptation, joined = _with_upstream(
                config, adaptation, upstream, vision, None if dtype is None else param_dtype
            )
            sources = [(f"decoder/{prefix}", one) for prefix, one in sources] + [("", joined)]
            readers = [*readers, joined.reader]
            facts["fit"] = Fit.CROP.value  # CLIP's own processor made the pictures
        elif isinstance(config, VlsmConfig):
            facts["fit"] = read_fit(folder).value
        announced = {prefix + path: a for prefix, source in sources for path, a in source.announced.items()}
        from convert.native_arrays import write_arrays  # Orbax: it takes half a second to import

        write_arrays(draft / PARAMS_FOLDER, announced, _pieces(sources))
        description = Description(config, adaptation, facts)
        write_description(draft, description)
        (draft / FILES_FOLDER).mkdir()
        for name in KEPT_FILES:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, draft / FILES_FOLDER / name)
        bytes_out = size_of(draft / PARAMS_FOLDER)
    return meter.report(
        verb="from-hf",
        source=os.fspath(source),
        out=os.fspath(out),
        layout=description.kind,
        quantise=adaptation.quantise,
        dtype=param_dtype.name,
        tensors_in=sum(len(reader.names) for reader in readers),
        tensors_out=len(announced),
        left_aside=aside,
        bytes_in=sum(reader.nbytes for reader in readers),
        bytes_out=bytes_out,
        bytes_of_params=sum(array.nbytes for array in announced.values()),
    )


def _with_upstream(
    decoder: Config,
    adaptation: Adaptation,
    upstream: str | os.PathLike,
    vision: str | os.PathLike | None,
    dtype: jnp.dtype | None,
) -> tuple[VlsmConfig, Adaptation, Source]:
    """Returns the VLSM that a decoder and the paper's file are, with the file's parameters."""
    if not isinstance(decoder, DecoderConfig):
        raise CheckpointError(f"{upstream} goes with a decoder alone, and the source is more than that")
    if vision is None:
        raise CheckpointError(f"{upstream} does not say its encoder's sizes; give the CLIP checkpoint that it was")
    encoder = read_vision_config(find_source(vision))
    connector, source = open_stage_two(upstream, encoder, decoder.width, param_dtype=dtype)
    # As of an assembled model, the first id past the decoder's vocabulary.
    config = VlsmConfig(encoder, connector, decoder, decoder.vocabulary)
    return config, of_whole_model(adaptation), source


def _pieces(sources: list[tuple[str, Source]]) -> Iterator[Piece]:
    for prefix, source in sources:
        for piece in read_pieces(*source):
            yield piece._replace(path=prefix + piece.path)
