"""The models: vision encoder, connector, decoder, and the VLSM made of the three (Flax NNX)."""

from vlsm_jax.models.cache import KVCache
from vlsm_jax.models.connector import Connector, ConnectorConfig
from vlsm_jax.models.decoder import Decoder
from vlsm_jax.models.decoder_config import DecoderConfig, UnsupportedConfigError
from vlsm_jax.models.perceiver import PerceiverSizes
from vlsm_jax.models.qformer import QFormerSizes
from vlsm_jax.models.vision import VisionConfig, VisionEncoder
from vlsm_jax.models.vlsm import Vlsm, VlsmConfig, abstract_model, init_params

__all__ = [
    "Connector",
    "ConnectorConfig",
    "Decoder",
    "DecoderConfig",
    "KVCache",
    "PerceiverSizes",
    "QFormerSizes",
    "UnsupportedConfigError",
    "VisionConfig",
    "VisionEncoder",
    "Vlsm",
    "VlsmConfig",
    "abstract_model",
    "init_params",
]
