"""A picture as a self-contained SVG file: rounded boxes, smooth edges, a legend of colours."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import networkx as nx

from graphc.draw_layout import Layout, Size, layout
from graphc.draw_model import COLOURS, Box

LETTER = 7.3  # the width of a letter of a monospaced font of 12 pixels, rounded up
LINE = 16.0
PADDING = 9.0
MARGIN = 20.0
LEGEND = 34.0

STYLE = """
text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #1f2328 }
.first { font-weight: 600 }
.rest { fill: #57606a }
rect { stroke: #8c959f; stroke-width: 1 }
path { fill: none; stroke: #8c959f; stroke-width: 1.2 }
g:hover > rect { stroke: #1f2328; stroke-width: 2 }
"""
ARROW = (
    '<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><polygon points="0,0.5 8,4 0,7.5" fill="#8c959f"/></marker>'
)


def to_svg(graph: nx.DiGraph) -> str:
    """The text of an SVG file."""
    boxes: dict[int, Box] = dict(graph.nodes(data="box"))
    sizes = {number: box_size(box) for number, box in boxes.items()}
    places = layout(graph, sizes)
    kinds = [kind for kind in COLOURS if any(box.kind == kind for box in boxes.values())]
    width = max(places.width, legend_width(kinds)) + 2 * MARGIN
    height = places.height + 2 * MARGIN + LEGEND
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}">'
    )
    body = [
        f"<style>{STYLE}</style>",
        f"<defs>{ARROW}</defs>",
        '<rect width="100%" height="100%" style="fill: #ffffff; stroke: none"/>',
        *draw_legend(kinds),
        f'<g transform="translate({MARGIN:.0f} {MARGIN + LEGEND:.0f})">',
        *draw_edges(places),
        *(draw_box(box, sizes[number], places.centres[number]) for number, box in boxes.items()),
        "</g>",
    ]
    return "\n".join([head, *body, "</svg>"]) + "\n"


def box_size(box: Box) -> Size:
    """The size of a box that holds its lines."""
    longest = max(map(len, box.lines), default=0)
    return Size(longest * LETTER + 2 * PADDING, len(box.lines) * LINE + PADDING)


def draw_box(box: Box, size: Size, centre: tuple[float, float]) -> str:
    """A rounded box with its lines, the first one bold."""
    left, top = centre[0] - size.width / 2, centre[1] - size.height / 2
    lines = [
        f'<text x="{centre[0]:.1f}" y="{top + PADDING / 2 + 12 + number * LINE:.1f}" '
        f'text-anchor="middle" class="{"rest" if number else "first"}">{escape(line)}</text>'
        for number, line in enumerate(box.lines)
    ]
    return (
        f'<g class="box"><title>{escape(box.title)}</title>'
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{size.width:.1f}" height="{size.height:.1f}" '
        f'rx="6" fill="{COLOURS[box.kind]}"/>{"".join(lines)}</g>'
    )


def draw_edges(places: Layout) -> Iterator[str]:
    """A curve for each piece of an edge, with an arrow where it meets a box."""
    for upper, lower in places.lines:
        (x, y), (to_x, to_y) = places.centres[upper], places.centres[lower]
        line = curve(x, y + places.heights[upper] / 2, to_x, to_y - places.heights[lower] / 2)
        if isinstance(lower, int):
            yield f'<path d="{line}" marker-end="url(#arrow)"/>'
        else:
            yield f'<path d="{line} V{to_y + places.heights[lower] / 2:.1f}"/>'


def curve(x: float, y: float, to_x: float, to_y: float) -> str:
    """A cubic curve that leaves and arrives vertically, so that pieces join smoothly."""
    middle = (y + to_y) / 2
    return f"M{x:.1f},{y:.1f} C{x:.1f},{middle:.1f} {to_x:.1f},{middle:.1f} {to_x:.1f},{to_y:.1f}"


def draw_legend(kinds: list[str]) -> Iterator[str]:
    """The colours of the kinds of box, in a row at the top."""
    x = MARGIN
    for kind in kinds:
        yield (
            f'<g class="legend"><rect x="{x:.1f}" y="{MARGIN - 8:.1f}" width="12" height="12" '
            f'rx="3" fill="{COLOURS[kind]}"/>'
            f'<text x="{x + 18:.1f}" y="{MARGIN + 2:.1f}" class="rest">{kind}</text></g>'
        )
        x += legend_entry(kind)


def legend_entry(kind: str) -> float:
    """The width of a kind's entry in the legend."""
    return len(kind) * LETTER + 36


def legend_width(kinds: list[str]) -> float:
    """The width of the legend."""
    return sum(map(legend_entry, kinds))
