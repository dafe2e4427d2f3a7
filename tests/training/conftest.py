import jax.numpy as jnp
import numpy as np
import pytest

from vlsm_jax.data.pipeline import Batch
from vlsm_jax.models import ConnectorConfig, DecoderConfig, VisionConfig, VlsmConfig
from vlsm_jax.training.network import Network

VISUAL = 5  # four patches and the class token


@pytest.fixture(scope="session")
def network():
    vision = VisionConfig(width=16, layers=1, heads=2, mlp_width=32, patch_size=4, image_size=8)
    decoder = DecoderConfig(
        family="llama", vocabulary=64, width=32, layers=2, heads=4, kv_heads=2, head_dim=8, mlp_width=48, tied=True
    )
    return Network.create(VlsmConfig(vision, ConnectorConfig("mlp"), decoder, image_token_id=63))


@pytest.fixture(scope="session")
def make_batch():
    def make(rows, length=24, seed=0):
        """One sample a row, each of another length, with half of its text under the loss."""
        rng = np.random.default_rng(seed)
        lengths = rng.integers(VISUAL + 6, length + 1, rows)
        place = np.broadcast_to(np.arange(length), (rows, length))
        filled = place < lengths[:, None]
        return Batch(
            tokens=jnp.asarray(rng.integers(0, 60, (rows, length)), jnp.int32),
            targets=jnp.asarray(rng.integers(0, 60, (rows, length)), jnp.int32),
            weights=jnp.asarray(filled & (place >= lengths[:, None] // 2), jnp.float32),
            segment_ids=jnp.asarray(filled, jnp.int32),
            positions=jnp.asarray(np.where(filled, place, -1), jnp.int32),
            visual_index=jnp.asarray(np.where(place < VISUAL, place, -1), jnp.int32),
            images=jnp.asarray(rng.integers(0, 256, (rows, 1, 8, 8, 3)), jnp.uint8),
        )

    return make
