"""Pictures that a page can hold inside itself: sketches as data URIs, the loss curve as SVG."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Sequence

import numpy as np
import PIL.Image
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

MAX_SIDE = 760
"""Pixels of the longer side of an embedded sketch."""

Curve = Sequence[tuple[int, float]]

# Colours that stand for the page's own: the page decides what ink is, by day and by night.
_INK, _MUTED, _TRAIN, _VALIDATION = "#010203", "#020304", "#030405", "#040506"
_VARIABLES = {_INK: "--ink", _MUTED: "--muted", _TRAIN: "--series-1", _VALIDATION: "--series-2"}


def data_uri(image: PIL.Image.Image) -> str:
    """Returns a picture as a data URI, made smaller where it is large: PNG or JPEG, whichever takes less."""
    image = image.convert("RGB")
    image.thumbnail((MAX_SIDE, MAX_SIDE), PIL.Image.Resampling.LANCZOS)
    encoded = []
    for kind, options in (("png", {"optimize": True}), ("jpeg", {"quality": 82, "optimize": True})):
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        encoded.append((len(buffer.getvalue()), kind, buffer.getvalue()))
    _, kind, data = min(encoded)
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def loss_figure(train: Curve, validation: Curve, size: tuple[float, float] = (6.6, 3.5)) -> Markup:
    """Draws the loss in nats per token over the optimizer steps, as SVG that takes its colours from the page.

    Args:
      train: (step, loss) of the training set; drawn pale, with a running mean over it.
      validation: (step, loss) of the validation set.
      size: inches, at 72 SVG points each.
    """
    train, validation = _finite(train), _finite(validation)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasSVG(figure)
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    if train:
        steps, losses = zip(*train, strict=True)
        long = len(train) > 60
        axes.plot(steps, losses, color=_TRAIN, linewidth=1 if long else 2, alpha=0.35 if long else 1,
                  label=None if long else "training")  # fmt: skip
        if long:
            axes.plot(steps, _running_mean(losses), color=_TRAIN, linewidth=2, label="training, running mean")
    if validation:
        steps, losses = zip(*validation, strict=True)
        axes.plot(steps, losses, color=_VALIDATION, linewidth=2, marker="o", markersize=5, label="validation")
    values = [loss for _, loss in (*train, *validation)]
    if values and min(values) > 0 and max(values) / min(values) > 30:
        axes.set_yscale("log")
    axes.set_xlabel("optimizer step", color=_MUTED)
    axes.set_ylabel("loss (nats per token)", color=_MUTED)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_MUTED)
    axes.tick_params(colors=_MUTED, which="both")
    axes.grid(axis="y", color=_MUTED, alpha=0.2, linewidth=0.8)
    if values:
        axes.legend(frameon=False, labelcolor=_INK)
    return _inline_svg(figure)


def _finite(curve: Curve) -> list[tuple[int, float]]:
    return [(step, float(loss)) for step, loss in curve if math.isfinite(loss)]


def _running_mean(losses: Sequence[float]) -> list[float]:
    # Centred, so that it does not lag behind a falling loss; the window shrinks evenly towards both ends.
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    n = len(losses)
    at = np.arange(n)
    half = np.minimum(max(n // 40, 1), np.minimum(at, n - 1 - at))
    return ((sums[at + half + 1] - sums[at - half]) / (2 * half + 1)).tolist()


def _inline_svg(figure: Figure) -> Markup:
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for color, variable in _VARIABLES.items():
        text = text.replace(color, f"var({variable})")
    # A style element inside would style the whole page around it.
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    # The page scales the picture; the size in points is only its shape.
    text = re.sub(r'<svg ([^>]*?)\s*width="[^"]*"', r"<svg \1", text, count=1)
    text = re.sub(r'(<svg [^>]*?)\s*height="[^"]*"', r"\1", text, count=1)
    return Markup(text.replace("<svg ", '<svg class="loss" role="img" aria-label="Loss over the steps" ', 1))
