"""vlsm-nano: a VLSM small enough to lie beside its code, trained from scratch on triplets of every kind.

    python launch.py --config=configs/nano.py --workdir=runs/nano

Its scripts are in one style, `dictated`: object by object in the order of the prompt, connected by name. A small model
copies names well and counts badly, and there everything that a line needs stands in the prompt or right before it.

The weights in vlsm_jax/nano (docs/nano.md has their scores) come from the seeds 7 to 11, 250,000 triplets, with the
tokenizer that lies there: on one H200 with 16 cores 7,130 steps of 64 samples took 15 minutes, 0.098 s a step, 650
samples a second, 15 GiB (2026-11-26). Training was stopped there, its rate on the way down. The first 3,368 steps had
the seeds 7 to 9 alone, with a sample of reading for two triplets, and the others three for ten. They had neither
`data.placeholders`, `synth.open_names` nor `synth.unordered`, and CLIP's encoder, and show why all of these should be
others. To add a set:

    python launch.py --config=configs/nano.py --workdir=runs/nano-8 --mode=data --config.seed=8
    ... --config.data.mixture=runs/nano-8/data=1,runs/nano-8/data/reading=0.5

`configs/nano.py:text` trains the decoder alone, without sketches; `configs/nano.py` goes on from a decoder of that kind
(`--config.model.init.decoder=runs/nano-text/export`, with its tokenizer as `--config.data.tokenizer`) or from nothing.

`configs/nano.py:names` is a decoder that learns placeholders for names (`data.placeholders`), on two CPU cores. It goes
on from the decoder of vlsm_jax/nano; docs/nano.md has how far that came:

    vlsm convert from-hf vlsm_jax/nano runs/nano-native
    vlsm convert to-hf runs/nano-native runs/nano-decoder --as decoder
    python launch.py --config=configs/nano.py:names --workdir=runs/nano-names \\
        --config.model.init.decoder=runs/nano-decoder --config.data.tokenizer=runs/nano-decoder

`configs/nano.py:letters`, `:sight` and `:lines` teach an encoder to read before a decoder stands behind it, on two CPU
cores too: letters first, then names and icons, then what lines join, in factories of up to 10 objects. What its visual
tokens are to be like are embeddings, which learn with it: the decoder has to begin anew behind them, and does so with
`:small`, in factories of up to 6 objects, where the encoder learns on. docs/nano.md has how far they came:

    python launch.py --config=configs/nano.py:letters --workdir=runs/nano-letters \\
        --config.model.init.decoder=runs/nano-decoder --config.data.tokenizer=runs/nano-decoder
    python launch.py --config=configs/nano.py:sight --workdir=runs/nano-sight \\
        --config.data.directory=runs/nano-letters/data --config.data.tokenizer=runs/nano-decoder \\
        --config.model.init.model=runs/nano-letters/export
    python launch.py --config=configs/nano.py:lines --workdir=runs/nano-lines \\
        --config.data.tokenizer=runs/nano-decoder --config.model.init.model=runs/nano-sight/export
    python launch.py --config=configs/nano.py:small --workdir=runs/nano-small \\
        --config.data.tokenizer=runs/nano-decoder --config.model.init.model=runs/nano-lines/export
"""

from ml_collections import ConfigDict

from configs import optimizing, quickstart, reading

# Of the encoder's experiments: what is learnt, from how many patches of how many pictures a step, for how many steps.
_LESSONS = {
    "letters": ("letters", 64, 8, 3500),
    "sight": ("names", 96, 4, 3000),
    "lines": ("lines", 192, 8, 2600),
}
_EXPERIMENTS = ("full", "text", "names", "small", *_LESSONS)


def get_config(arg: str = "full") -> ConfigDict:
    """Returns the experiment; `arg` is "full", "text", "names", "small", "letters", "sight" or "lines"."""
    if arg not in _EXPERIMENTS:
        raise ValueError(f"configs/nano.py:{arg}: choose {', '.join(_EXPERIMENTS)}")
    text = arg in ("text", "names")
    config = quickstart.get_config()
    config.name = "nano-text" if text else "nano"
    config.seed = 7

    # Of every 16 prompts, nine leave the connections to the sketch: those of style "sketch", and half of the last six.
    styles = (*("sketch",) * 6, *("complete",) * 4, *("terse", "intent", "units") * 2)
    if text:
        styles = tuple(style for style in styles if style != "sketch")

    # What something is called is then all the same to it.
    config.data = reading.data(tokenizer="", vocab_size=4096, pictures=not text, placeholders=True)
    config.synth = ConfigDict(
        {
            "train": 50_000,
            "validation": 400,
            "iid": 1000,
            "industry": 1000,
            "layout": 1000,
            "size": 1000,
            "timing": 1000,
            "prompt_styles": styles,
            "self_contained": text,
            "script_styles": ("dictated",),
            "most_objects": 40,  # of one factory; below 25 there can be none in split `size`
            "plain_scripts": True,
            # Else the names of ten industries are learnt by heart, and not to copy what a prompt says.
            "open_names": 0.7,
            # Else the order of the objects in a prompt tells most of what the sketch is for.
            "unordered": not text,
            # What is where in the sketch, for `train.visual_targets`.
            "annotated": not text,
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
        # What an encoder that starts from nothing needs to learn to read soon, and CLIP's lacks (docs/nano.md).
        config.model.vision.update(
            model_type="vlsm_vision_model",
            stem_channels=(32, 64, 128, 256),
            rope_theta=100.0,
            seen_patches=512,  # of 1,024; in factories of up to 40 objects nothing is on the others
        )
    config.model.compute_dtype = "bfloat16"
    config.model.attention = "auto"
    config.model.init = ConfigDict({"decoder": "", "vision": "", "model": ""})

    # An encoder that starts from nothing learns its letters from what each patch is to say, and hardly from scripts.
    config.train.visual_targets = 0.0 if text else 1.0
    config.train.steps = 7_785
    config.train.log_every = 20
    config.train.validate_every = 500
    config.train.validation_batches = 16
    config.train.checkpoint_every = 500

    config.optimizer = optimizing.optimizer(learning_rate=1.5e-3, schedule="stable", warmup_steps=300, decay_share=0.45)

    config.evaluate.samples = 1000
    config.evaluate.batch_size = 16
    config.evaluate.max_tokens = 1536
    if arg in _LESSONS:
        return _for_encoder(config, arg)
    smaller = {"names": _for_names, "small": _for_small}
    return smaller[arg](config) if arg in smaller else config


def _for_names(config: ConfigDict) -> ConfigDict:
    """Returns the decoder's experiment on a CPU: less of everything, in float32."""
    config.name = "nano-names"
    config.seed = 101
    config.synth.update(train=24_000, validation=200, iid=200, industry=200, layout=0, size=0, timing=0)
    config.synth.most_objects = 8
    config.synth.open_names = 0.8
    config.synth.unordered = True
    config.synth.prompt_styles = ("complete", "complete", "terse", "intent", "units")
    config.pipeline = reading.pipeline(sequence_length=1536, batch_size=16, pack=False, buckets=8)
    config.model.compute_dtype = "float32"
    config.model.remat = "none"
    config.train.update(steps=600, log_every=10, validate_every=100, validation_batches=6, checkpoint_every=50)
    config.optimizer = optimizing.optimizer(
        name="muon", learning_rate=2e-3, schedule="stable", warmup_steps=20, decay_share=0.5
    )
    config.evaluate.splits = ("iid", "industry")
    config.evaluate.samples = 200
    config.evaluate.max_tokens = 768
    return config


def _draw_seen(config: ConfigDict, most_objects: int, train: int) -> None:
    """Makes triplets those of factories of up to so many objects, of which half leave the connections to the sketch."""
    config.seed = 61
    config.synth.update(train=train, validation=200, iid=200, industry=200, layout=0, size=0, timing=0)
    config.synth.most_objects = most_objects
    config.synth.open_names = 0.8
    config.synth.prompt_styles = ("sketch", "sketch", "sketch", "complete", "terse", "units")
    config.synth.readings = 0.0


def _for_small(config: ConfigDict) -> ConfigDict:
    """Returns the experiment of a decoder on a CPU, behind an encoder that has learnt `:lines`."""
    config = _for_names(config)
    config.name = "nano-small"
    _draw_seen(config, most_objects=6, train=12_000)
    config.pipeline = reading.pipeline(sequence_length=1100, batch_size=16, pack=False, buckets=4)
    config.model.seen_patches = 256  # hardly anything stands on the others
    config.train.update(steps=500, log_every=10, validate_every=100, validation_batches=6, checkpoint_every=50)
    # Layers of a decoder that do not know these embeddings learn fast, and what they learn to read stays nearly where
    # it is: at the same rate embeddings would move away from the visual tokens that are to be like them.
    config.optimizer = optimizing.optimizer(
        name="muon",
        learning_rate=4e-3,
        schedule="stable",
        warmup_steps=20,
        decay_share=0.4,
        rate_factors=((r"^(vision|connector)/", 0.1), (r"^decoder/embedding/", 0.25)),
    )
    return config


def _for_encoder(config: ConfigDict, arg: str) -> ConfigDict:
    """Returns the encoder's experiment on a CPU: small steps, of the patches alone that have something to say."""
    letters = arg == "letters"
    lesson, kept_patches, batch_size, steps = _LESSONS[arg]
    config.name = f"nano-{arg}"
    if arg == "lines":
        _draw_seen(config, most_objects=10, train=24_000)
    else:
        config.seed = 91
        config.synth.update(train=30_000, validation=400, iid=200, industry=200, layout=0, size=0, timing=0)
        config.synth.most_objects = 16
        config.synth.readings = 0.0
    config.pipeline = reading.pipeline(
        sequence_length=3072,
        batch_size=batch_size,
        pack=False,
        lesson=lesson,
        kept_patches=kept_patches,
    )
    config.model.compute_dtype = "float32"
    config.model.remat = "none"
    # Letters are told by the first two layers, so that there are others to join them.
    config.model.feature_layer = -5 if letters else -1
    config.train.responses = False
    # A letter of a decoder that never spells has an embedding like other letters': they have to come apart.
    config.train.trainable = ((r"^decoder/embedding/", True), (r"^decoder/", False), (r"", True))
    config.train.update(steps=steps, log_every=50, validate_every=500, validation_batches=100)
    config.train.checkpoint_every = 500
    config.optimizer = optimizing.optimizer(
        learning_rate=1e-3 if letters else 5e-4,
        schedule="stable",
        warmup_steps=100,
        # Names and lines gain hardly anything before the rate falls.
        decay_share=0.45 if letters else 0.9,
    )
    return config
