"""The picture as PNG, drawn with Pillow where it is installed."""

from __future__ import annotations

from pathlib import Path

from rayspan.cli.bench.picture import Box, Line, Picture

MISSING = "no PNG: it needs Pillow. Install it with: pip install 'rayspan[bench]'"
_SCALE = 2
"""Pixels per pixel of the picture, for screens that are fine."""
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


def write_png(drawn: Picture, path: Path) -> bool:
    """Write it; False: Pillow is not installed."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        return False
    image = Image.new("RGB", (drawn.width * _SCALE, drawn.height * _SCALE), "white")
    canvas = ImageDraw.Draw(image)
    for shape in drawn.shapes:
        if isinstance(shape, Box):
            far = (shape.x + shape.width, shape.y + shape.height)
            canvas.rectangle(_scaled(shape.x, shape.y, *far), fill=shape.color)
        elif isinstance(shape, Line):
            canvas.line(_scaled(shape.x1, shape.y1, shape.x2, shape.y2), fill=shape.color, width=_SCALE)
        else:
            font = ImageFont.load_default(shape.size * _SCALE)
            place = (shape.x * _SCALE, shape.y * _SCALE)
            canvas.text(place, shape.text, fill=shape.color, font=font, anchor=_ANCHORS[shape.anchor])
    image.save(path)
    return True


def _scaled(*values: float) -> tuple[float, ...]:
    return tuple(value * _SCALE for value in values)
