"""Annotations: where everything is in a picture, for models that are to learn to read sketches.

Coordinates are whole pixels of the picture, x to the right and y downwards, as it was taken: on a photograph with
perspective, where the camera sees them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from vlsm_jax.synth.sketches.lettering import Lettering, advance, offsets
from vlsm_jax.synth.sketches.pages import Label, Page
from vlsm_jax.twin import Twin


class Drawn(NamedTuple):
    """What a picture was made from.

    Attributes:
      page: what lies where on the page.
      lettering: of the names.
      view: [3, 3], from the page to the picture; None when it is seen straight.
    """

    page: Page
    lettering: Lettering
    view: np.ndarray | None


def annotate(twin: Twin, drawn: Drawn) -> dict[str, Any]:
    """Returns what can be seen of a Twin, and where, as JSON.

        {"size": [width, height],
         "objects": [{"name", "class", "icon": [x, y], "words": [[text, x, y, x, y], ...]}, ...],
         "connections": [{"source", "target", "port", "path": [[x, y], ...]}, ...]}

    Objects and connections are in the Twin's order. `icon` is its middle. A word goes from the first point to the
    second, at half the height of its line, and is written as it is in the picture, misspelt or not. A path goes from
    source to target. The height is that of the picture.
    """
    page, view = drawn.page, drawn.view

    def seen(points: Any) -> list[list[int]]:
        points = np.asarray(points, float).reshape(-1, 2)
        if view is not None:
            mapped = points @ view[:, :2].T + view[:, 2]
            points = mapped[:, :2] / mapped[:, 2:]
        return np.rint(points).astype(int).tolist()

    objects = []
    for item in twin.objects:
        box, words = page.icons[item.name], _words(page.labels[item.name], drawn.lettering)
        ends = seen([end for _, *ends in words for end in ends])
        objects.append(
            {
                "name": item.name,
                "class": item.cls,
                "icon": seen([((box.left + box.right) / 2, (box.top + box.bottom) / 2)])[0],
                "words": [[words[i][0], *ends[2 * i], *ends[2 * i + 1]] for i in range(len(words))],
            }
        )
    connections = [
        {"source": wire.source, "target": wire.target, "port": wire.port, "path": seen(arrow.path)}
        for wire, arrow in zip(twin.connections, page.arrows, strict=True)
    ]
    return {"size": list(page.size), "objects": objects, "connections": connections}


def _words(label: Label, lettering: Lettering) -> list[tuple[str, tuple[float, float], tuple[float, float]]]:
    """Returns each word of a name with its two ends on the page."""
    middle = (label.box.left + label.box.right) / 2
    height = (label.box.bottom - label.box.top) / max(len(label.lines), 1)
    out = []
    for number, line in enumerate(label.lines):
        y = label.box.top + (number + 0.5) * height
        for text, offset in zip(line, offsets(lettering, line), strict=True):
            left = middle + offset * label.font_size
            out.append((text, (left, y), (left + advance(lettering, text) * label.font_size, y)))
    return out
