"""The picture of a report: a row for each workload, with its ratio and its part of the roof."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

ROW, TOP, WIDTH = 15, 46, 760
NAMES = 190  # the right edge of the workloads' names
RATIO, ROOF = (200, 470), (500, 740)  # from where to where each half reaches
LOWEST, HIGHEST = 0.25, 4.0  # of the ratios that have a place of their own
COLOURS = ("#1f6f8b", "#e08a1e", "#7a4fa3", "#3b8f3b")
STYLE = "text{font:11px sans-serif;fill:#222}.n{text-anchor:end}.m{text-anchor:middle}"


def picture(lines):
    """The SVG of lines (see `report.lines`) by number of threads."""
    names = list(dict.fromkeys(line[0] for rows in lines.values() for line in rows))
    height = TOP + ROW * len(names) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        *axes(height - 8),
        *legend(list(lines)),
    ]
    places = {name: TOP + ROW * (at + 0.5) for at, name in enumerate(names)}
    for name, y in places.items():
        parts.append(f'<text class="n" x="{NAMES}" y="{y + 4:g}">{escape(name)}</text>')
    for at, rows in enumerate(lines.values()):
        for name, ours, _, theirs, floor in rows:
            shift = (at - (len(lines) - 1) / 2) * 5
            parts += marks(places[name] + shift, ours, theirs, floor, COLOURS[at % len(COLOURS)])
    return "\n".join([*parts, "</svg>\n"])


def ratio_place(ratio):
    """Where a ratio stands, on a logarithmic axis; beyond its ends, at them."""
    part = math.log(ratio / LOWEST) / math.log(HIGHEST / LOWEST)
    return RATIO[0] + min(max(part, 0), 1) * (RATIO[1] - RATIO[0])


def roof_place(part):
    """Where a part of the roof stands."""
    return ROOF[0] + min(part, 1) * (ROOF[1] - ROOF[0])


def axes(bottom):
    """The scales, with a heavy line at the ratio 1: left of it graphc is faster."""
    drawn = [
        f'<text class="m" x="{sum(RATIO) / 2:g}" y="14">time / best peer</text>',
        f'<text class="m" x="{sum(ROOF) / 2:g}" y="14">part of the roof</text>',
    ]
    for ratio in (0.25, 0.5, 1, 2, 4):
        drawn += scale(ratio_place(ratio), f"{ratio:g}", bottom, ratio == 1)
    for percent in (0, 25, 50, 75, 100):
        drawn += scale(roof_place(percent / 100), f"{percent} %", bottom, False)
    return drawn


def scale(x, label, bottom, heavy):
    """One line of a scale with its label."""
    colour = "#444" if heavy else "#ddd"
    return [
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 10}" y2="{bottom}" stroke="{colour}"/>',
        f'<text class="m" x="{x:.1f}" y="{TOP - 14}">{label}</text>',
    ]


def legend(threads):
    """What the colours mean, and the hollow marks."""
    drawn = []
    for at, count in enumerate(threads):
        y, colour = 12 + 13 * at, COLOURS[at % len(COLOURS)]
        drawn.append(f'<circle cx="12" cy="{y - 4}" r="3" fill="{colour}"/>')
        drawn.append(f'<text x="20" y="{y}">{count} thread{"s" * (count > 1)}</text>')
    drawn.append('<circle cx="102" cy="8" r="2.5" fill="none" stroke="#888"/>')
    drawn.append('<text x="110" y="12">best peer</text>')
    return drawn


def marks(y, ours, theirs, floor, colour):
    """The marks of a workload: its ratio, and both parts of the roof."""
    spots = [
        (ratio_place(ours["ratio"]), f'r="3" fill="{colour}"'),
        (roof_place(floor / ours["step"]), f'r="3" fill="{colour}"'),
        (roof_place(floor / theirs["step"]), f'r="2.5" fill="none" stroke="{colour}"'),
    ]
    one = ratio_place(1)
    bar = f'x="{min(one, spots[0][0]):.1f}" width="{abs(one - spots[0][0]):.1f}"'
    return [
        f'<rect {bar} y="{y - 1:g}" height="2" fill="{colour}" opacity="0.4"/>',
        *(f'<circle cx="{x:.1f}" cy="{y:g}" {look}/>' for x, look in spots),
    ]
