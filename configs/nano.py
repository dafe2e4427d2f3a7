"""vlsm-nano: a VLSM small enough to lie beside its code, trained from scratch on triplets of every kind.

    python launch.py --config=configs/nano.py --workdir=runs/nano

Its scripts are in one style, `dictated`: object by object in the order of the prompt, connected by name. A small model
copies names well and counts badly, and there everything that a line needs stands in the prompt or right before it.

`configs/nano.py:text` trains the decoder alone, without sketches; `configs/nano.py` goes on from a decoder of that kind
(`--config.model.init.decoder=runs/nano-text/export`, with its tokenizer as `--config.data.tokenizer`) or from nothing.

Neither has been trained to its end yet, and no weights lie here. After 793 steps of `text` (5 million tokens) on two
CPU cores the loss on validation triplets was 0.5 nats, and of 48 scripts for `iid` prompts two ran.
"""

from ml_collections import ConfigDict

from configs import optimizing, quickstart, reading


def get_config(arg: str = "full") -> ConfigDict:
    """Returns the experiment; `arg` is "full" or "text"."""
    if arg not in ("full", "text"):
        raise ValueError(f"configs/nano.py:{arg}: choose full or text")
    text = arg == "text"
    config = quickstart.get_config()
    config.name = "nano-text" if text else "nano"
    config.seed = 7

    config.data = reading.data(tokenizer="", vocab_size=4096, pictures=not text)
    config.synth = ConfigDict(
        {
            "train": 60_000,
            "validation": 400,
            "iid": 1000,
            "industry": 1000,
            "layout": 1000,
            "size": 1000,
            "timing": 1000,
            # Of every 16 prompts, six leave the connections to the sketch.
            "prompt_styles": (*("sketch",) * 6, *("complete",) * 4, *("terse", "intent", "units") * 2),
            "script_styles": ("dictated",),
            "plain_scripts": True,
            # Samples of reading for each training triplet.
            "readings": 0.0 if text else 0.5,
        }
    )
    # A row for each sample: in rows of several, attention looks at, and leaves out, what belongs to others.
    config.pipeline = reading.pipeline(sequence_length=3072, batch_size=64, pack=False, buckets=3)

    config.model.decoder.update(
        hidden_size=384,
        intermediate_size=1024,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=2,
    )
    if text:
        config.model.vision = None
    else:
        config.model.vision.update(
            hidden_size=320,
            intermediate_size=1280,
            num_hidden_layers=6,
            num_attention_heads=5,
            image_size=512,  # no sketch is wider
            patch_size=16,
        )
    config.model.compute_dtype = "bfloat16"
    config.model.attention = "auto"

    config.model.init = ConfigDict({"decoder": "", "vision": ""})

    config.train.steps = 20_000
    config.train.log_every = 20
    config.train.validate_every = 500
    config.train.validation_batches = 16
    config.train.checkpoint_every = 100

    config.optimizer = optimizing.optimizer(learning_rate=2e-3, schedule="stable", warmup_steps=200)

    config.evaluate.samples = 1000
    config.evaluate.batch_size = 16
    config.evaluate.max_tokens = 1536
    return config
