"""vlsm_jax: a layout sketch and a prompt in, a FlexScript that runs out."""

from vlsm_jax.version import __version__

__all__ = ["__version__"]
