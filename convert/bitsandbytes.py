"""Decoders with quantised weights: 4-bit checkpoints of bitsandbytes in and out, and plain ones quantised on the way.

A 4-bit weight of bitsandbytes is its kernel [out, in] in one line of bytes, inputs 2j and 2j + 1 in a byte; beside it
stand the statistics of its blocks and a JSON text. Here the bytes are in another order (see `vlsm_jax.models.nf4`), and
nothing else differs: what comes in goes out with the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from convert.checkpoint_reader import CheckpointError, CheckpointReader, read_json
from convert.checkpoint_writer import MAX_SHARD_BYTES, PendingTensor, check_no_weights, write_checkpoint, write_json
from convert.mapping import Source, flatten_params, pending_tensors, read_params
from convert.operations import Linear, Shape
from convert.tables import Entry, Layout, decoder_layout
from vlsm_jax.models import nf4
from vlsm_jax.models.adaptation import Adaptation, adapt
from vlsm_jax.models.decoder import Decoder
from vlsm_jax.models.decoder_config import DecoderConfig
from vlsm_jax.models.quantised import FORMATS
from vlsm_jax.sharding import DEFAULT_RULES, Rules

STATE = ".quant_state.bitsandbytes__nf4"
# What stands beside a 4-bit weight, by what follows its name.
STATISTICS = (".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", STATE)


@dataclasses.dataclass(frozen=True)
class _Folded:
    """An array of a quantised kernel: all outputs are one axis there, and a single number is an axis of length 1."""

    def hf_shape(self, ours: Shape) -> Shape:
        return (ours[0], math.prod(ours[1:])) if len(ours) > 1 else (math.prod(ours),)

    def to_ours(self, tensor: np.ndarray, ours: Shape) -> np.ndarray:
        return tensor.reshape(ours)

    def to_hf(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(self.hf_shape(array.shape))


class QuantisedReader:
    """A checkpoint in which some weights appear as the arrays of `vlsm_jax.models.quantised`, by name "<weight>.codes".

    Args:
      reader: the files.
      weights: names of the weights [out, in] that are to appear so, stored in 4 bits or plainly.
      format: what plain ones are quantised to, one weight at a time.
    """

    def __init__(self, reader: CheckpointReader, weights: frozenset[str], format: str):
        self.reader, self.weights, self.format = reader, weights, format
        self.directory = reader.directory
        self._made: dict[str, np.ndarray] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all tensors, as they appear."""
        hidden = {weight + suffix for weight in self.weights for suffix in STATISTICS}
        shown = [name for name in self.reader.names if name not in hidden and name not in self.weights]
        return (*shown, *(f"{w}.{array}" for w in self.reader.names if w in self.weights for array in self._shapes(w)))

    def where(self, name: str) -> str:
        """Returns file and tensor name, for messages."""
        return self.reader.where(self._split(name)[0])

    def shape(self, name: str) -> Shape:
        """Returns the shape of a tensor as it appears."""
        weight, array = self._split(name)
        return self.reader.shape(name) if array is None else self._shapes(weight)[array]

    def read(self, name: str) -> np.ndarray:
        """Returns one tensor."""
        weight, array = self._split(name)
        if array is None:
            return self.reader.read(name)
        if name not in self._made:
            made = self._unpacked(weight) if weight + STATE in self.reader.names else self._quantised(weight)
            if not np.isfinite(made["nested" if "nested" in made else "absmax"]).all():
                raise CheckpointError(f"{self.reader.where(weight)} holds values that are not finite")
            self._made |= {f"{weight}.{key}": value for key, value in made.items()}
        # The codes of a stack are asked for first; only the small statistics wait for their turn.
        return self._made.pop(name)

    def _split(self, name: str) -> tuple[str, str | None]:
        weight, _, array = name.rpartition(".")
        return (weight, array) if weight in self.weights else (name, None)

    def _shapes(self, weight: str) -> dict[str, Shape]:
        if weight + STATE in self.reader.names:
            shape = tuple(read_state(self.reader, weight)["shape"])
        else:
            shape = self.reader.shape(weight)
        if len(shape) != 2 or shape[1] % nf4.BLOCK:
            raise CheckpointError(
                f"{self.reader.where(weight)} is {list(shape)}; a weight is quantised in blocks of {nf4.BLOCK} inputs, "
                "which its last axis has to be a multiple of"
            )
        kernel = jax.ShapeDtypeStruct(shape[::-1], jnp.float32)
        arrays = jax.eval_shape(FORMATS[self.format].quantise, kernel)
        return {name: array.shape or (1,) for name, array in arrays.items()}

    def _quantised(self, weight: str) -> dict[str, np.ndarray]:
        made = _quantise(self.format, self.reader.read(weight))
        return {name: np.asarray(array).reshape(array.shape or (1,)) for name, array in made.items()}

    def _unpacked(self, weight: str) -> dict[str, np.ndarray]:
        state, read = read_state(self.reader, weight), self.reader.read
        outputs, inputs = state["shape"]
        absmax = read(weight + ".absmax").reshape(outputs, inputs // nf4.BLOCK).T
        made = {"codes": from_bytes(read(weight), inputs, outputs), "absmax": absmax}
        if "nested_offset" in state:
            self._check_map(weight)
            made |= {
                "nested": read(weight + ".nested_absmax"),
                "offset": np.array([state["nested_offset"]], np.float32),
            }
        return made

    def _check_map(self, weight: str) -> None:
        found = self.reader.read(weight + ".nested_quant_map")
        if not np.array_equal(found, nf4.dynamic_map()):
            raise CheckpointError(
                f"{self.reader.where(weight)}.nested_quant_map is not the map of 256 values that bitsandbytes makes; "
                "statistics on another map are not supported"
            )


@jax.jit(static_argnums=0)
def _quantise(format: str, weight: jax.Array) -> dict[str, jax.Array]:
    return FORMATS[format].quantise(weight.T)


def read_state(reader: CheckpointReader, weight: str) -> dict[str, Any]:
    """Returns what the JSON text beside a 4-bit weight says.

    Raises:
      CheckpointError: it is no such text, or the weight is quantised in another way than here.
    """
    try:
        state = json.loads(reader.read(weight + STATE).tobytes())
        found = {key: state[key] for key in ("quant_type", "blocksize")} | {
            "nested_blocksize": state.get("nested_blocksize", nf4.NESTED_BLOCK)
        }
        outputs, inputs = state["shape"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{reader.where(weight + STATE)}: not the state of a 4-bit weight: {error!r}") from error
    wanted = {"quant_type": "nf4", "blocksize": nf4.BLOCK, "nested_blocksize": nf4.NESTED_BLOCK}
    if found != wanted:
        raise CheckpointError(f"{reader.where(weight)} is quantised with {found}; only {wanted} is read")
    bytes_there = reader.read(weight).nbytes
    if bytes_there * 2 != outputs * inputs:
        raise CheckpointError(f"{reader.where(weight)} holds {bytes_there} bytes, not those of [{outputs}, {inputs}]")
    return state


def from_bytes(packed: np.ndarray, inputs: int, outputs: int) -> np.ndarray:
    """Maps the bytes of a 4-bit weight to `codes` [in/2, out]."""
    packed = packed.reshape(outputs, inputs // 2)
    codes = np.stack([packed >> 4, packed & 15], axis=-1).reshape(outputs, inputs).T
    codes = codes.reshape(-1, nf4.BLOCK, outputs)
    half = nf4.BLOCK // 2
    return (codes[:, :half] << 4 | codes[:, half:]).reshape(inputs // 2, outputs)


def to_bytes(codes: np.ndarray) -> np.ndarray:
    """Maps `codes` [in/2, out] to the bytes of a 4-bit weight, [in * out / 2, 1]; undoes `from_bytes`."""
    packed = codes.reshape(-1, nf4.BLOCK // 2, codes.shape[-1])
    codes = np.concatenate([packed >> 4, packed & 15], axis=1).reshape(-1, codes.shape[-1]).T
    return (codes[:, ::2] << 4 | codes[:, 1::2]).reshape(-1, 1)


def read_quantised_decoder(
    directory: str | os.PathLike,
    quantise: str | None = None,
    *,
    param_dtype: jnp.dtype = jnp.float32,
    mesh: Mesh | None = None,
    rules: Rules = DEFAULT_RULES,
) -> tuple[DecoderConfig, Adaptation, nnx.State]:
    """Reads a decoder with quantised layers: a 4-bit checkpoint as it is, or a plain one, quantised weight by weight.

    At no time is more than one weight in memory in full precision.

    Args:
      directory: holds `config.json` and safetensors files.
      quantise: a format; None is what the checkpoint has.
      param_dtype: of what is not quantised: embedding, head, norms and biases.
      mesh, rules: as for `read_hf_decoder`.

    Returns:
      (config, how it is adapted, parameters of a `Decoder` adapted so).

    Raises:
      CheckpointError: files, tensors or shapes that do not fit, a plain checkpoint without `quantise`, or a 4-bit
        checkpoint in another format than `quantise`.
    """
    config, adaptation, source = open_quantised_decoder(directory, quantise, param_dtype=param_dtype)
    return config, adaptation, read_params(*source, mesh=mesh, rules=rules)


def open_quantised_decoder(
    directory: str | os.PathLike, quantise: str | None = None, *, param_dtype: jnp.dtype = jnp.float32
) -> tuple[DecoderConfig, Adaptation, Source]:
    """Returns what `read_quantised_decoder` does, with the parameters still in their files."""
    directory = Path(directory)
    hf = {key: value for key, value in read_json(directory / "config.json").items() if key != "quantization_config"}
    config = DecoderConfig.from_hf_config(hf)
    reader = CheckpointReader(directory)
    entries = _kernels(config)
    names = {e.ours: [e.hf.format(layer=layer) for layer in range(config.layers)] for e in entries}
    in_4_bits = {name.removesuffix(STATE) for name in reader.names if name.endswith(STATE)}
    stored = [e for e in entries if in_4_bits.intersection(names[e.ours])]
    if stored:
        first = read_state(reader, min(in_4_bits))
        found = "nf4-double" if "nested_offset" in first else "nf4"
        if quantise not in (None, found):
            raise CheckpointError(f"{directory} is quantised already, as {found!r}, and cannot become {quantise!r}")
        quantise, entries = found, stored
    elif quantise is None:
        raise CheckpointError(f"{directory} holds no 4-bit weights; say which of {', '.join(FORMATS)} to make of them")
    paths = [re.escape(e.ours.removesuffix("/kernel")) for e in entries]
    adaptation = Adaptation(quantise, quantised="|".join(paths))
    abstract = nnx.eval_shape(
        lambda: nnx.state(adapt(Decoder(config, rngs=nnx.Rngs(0), param_dtype=param_dtype), adaptation, nnx.Rngs(0)))
    )
    weights = frozenset(name for e in entries for name in names[e.ours])
    view = QuantisedReader(reader, weights, quantise)
    return config, adaptation, Source(view, _quantised_layout(config, entries, abstract), abstract)


def write_quantised_decoder(
    directory: str | os.PathLike,
    config: DecoderConfig,
    adaptation: Adaptation,
    params: nnx.State | Mapping[str, Any],
    *,
    dtype: jnp.dtype | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Writes a decoder quantised as NF4 as a 4-bit checkpoint that transformers loads with bitsandbytes.

    Args:
      directory: made where it does not exist; must not hold weights.
      config, adaptation, params: of an adapted `Decoder`.
      dtype: what bitsandbytes dequantises to; None is the dtype of the embedding. What is not quantised keeps its own.
      max_shard_bytes: a larger checkpoint is cut into shards.

    Raises:
      FileExistsError: the folder holds weights.
      CheckpointError: another format than NF4, adapters that are not merged, or a parameter without a name there.
    """
    directory = Path(directory)
    if adaptation.quantise not in ("nf4", "nf4-double"):
        raise CheckpointError(
            f"bitsandbytes has no format for {adaptation.quantise!r}; write a plain checkpoint instead"
        )
    check_no_weights(directory)
    flat = flatten_params(params)
    adapters = sorted({path.rsplit("/lora/", 1)[0] for path in flat if "/lora/" in path})
    if adapters:
        raise CheckpointError(
            f"there are adapters on {', '.join(adapters)}; write them with write_peft, and leave them out"
        )
    dtype_name = str(np.dtype(dtype or flat["embedding/table"].dtype))
    quantised = [e for e in _kernels(config) if f"{e.ours}/codes" in flat]
    layout = decoder_layout(config)
    rest = layout._replace(entries=tuple(e for e in layout.entries if e not in quantised))
    tensors = list(pending_tensors(rest, {path: a for path, a in flat.items() if "/kernel/" not in path}))
    for entry in quantised:
        for layer in range(config.layers):
            tensors += _pending_weight(entry.hf.format(layer=layer), entry.ours, flat, layer, dtype_name)
    directory.mkdir(parents=True, exist_ok=True)
    hf = config.to_hf_config(dtype=dtype_name)
    hf["quantization_config"] = {
        "quant_method": "bitsandbytes",
        "load_in_4bit": True,
        "load_in_8bit": False,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": adaptation.quantise == "nf4-double",
        "bnb_4bit_compute_dtype": dtype_name,
        "bnb_4bit_quant_storage": "uint8",
    }
    write_json(directory / "config.json", hf)
    write_checkpoint(directory, tensors, max_shard_bytes=max_shard_bytes)


def _pending_weight(
    name: str, path: str, flat: Mapping[str, jax.Array], layer: int, dtype: str
) -> Iterator[PendingTensor]:
    """Yields the tensors of one 4-bit weight."""

    def array(key: str) -> np.ndarray:
        value = np.asarray(flat[f"{path}/{key}"][layer])
        return value.reshape(value.shape[0], -1) if value.ndim > 1 else value

    half_inputs, *outputs = flat[f"{path}/codes"].shape[1:]
    inputs, outputs = 2 * half_inputs, math.prod(outputs)
    blocks = inputs * outputs // nf4.BLOCK
    state = {"quant_type": "nf4", "blocksize": nf4.BLOCK, "dtype": dtype, "shape": [outputs, inputs]}
    yield PendingTensor(name, (inputs * outputs // 2, 1), np.dtype(np.uint8), lambda: to_bytes(array("codes")))
    absmax_dtype = np.dtype(flat[f"{path}/absmax"].dtype)
    yield PendingTensor(name + ".absmax", (blocks,), absmax_dtype, lambda: array("absmax").T.reshape(-1))
    yield PendingTensor(name + ".quant_map", (16,), np.dtype(np.float32), lambda: nf4.CODEBOOK)
    if f"{path}/nested" in flat:
        nested = array("nested")
        state |= {
            "nested_blocksize": nf4.NESTED_BLOCK,
            "nested_dtype": "float32",
            "nested_offset": float(array("offset")),
        }
        yield PendingTensor(name + ".nested_absmax", nested.shape, nested.dtype, lambda: nested)
        yield PendingTensor(name + ".nested_quant_map", (256,), np.dtype(np.float32), nf4.dynamic_map)
    text = np.frombuffer(json.dumps(state).encode(), np.uint8)
    yield PendingTensor(name + STATE, text.shape, text.dtype, lambda: text)


def _kernels(config: DecoderConfig) -> list[Entry]:
    """Returns the entries of the layers' kernels; those that share a tensor with others cannot be quantised apart."""
    entries = [e for e in decoder_layout(config).entries if e.stacked and e.ours.endswith("/kernel")]
    joined = [e.hf for e in entries if e.part is not None or not isinstance(e.operation, Linear)]
    if joined:
        raise CheckpointError(
            f"{config.family!r}: {joined[0]} holds several of our kernels; quantised checkpoints of this family are "
            "not supported"
        )
    return entries


def _quantised_layout(config: DecoderConfig, kernels: list[Entry], abstract: nnx.State) -> Layout:
    """Returns the decoder's layout with an entry for each array of a quantised kernel."""
    layout = decoder_layout(config)
    paths = ["/".join(map(str, path)) for path, _ in nnx.to_flat_state(abstract)]
    arrays = []
    for entry in kernels:
        names = [path.rsplit("/", 1)[1] for path in paths if path.startswith(entry.ours + "/")]
        # The codes first: see `QuantisedReader.read`.
        for name in sorted(names, key=lambda name: name != "codes"):
            arrays.append(Entry(f"{entry.hf}.{name}", f"{entry.ours}/{name}", _Folded()))
    return layout._replace(entries=(*(e for e in layout.entries if e not in kernels), *arrays))
