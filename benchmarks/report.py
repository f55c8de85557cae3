"""What a run found, as a table in Markdown and a picture in SVG.

python benchmarks/report.py benchmarks/results.json
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

from measure import best_peer
from picture import picture
from workloads import table

OURS = "graphc"
SHOWN = 4
LEGEND = """\
A time is the median of a step's over rounds; ratio is graphc's time over that of the best peer in
the same round, so less than 1 is faster. Of the roof: the least time that the machine allows
(operations at its peak, exponentials at their rate, or bytes at its bandwidth, whichever takes
longest) as a part of the time taken, graphc's and the best peer's. `~` marks a row that other work
on the machine disturbed.
"""


def told(seconds):
    """A time in three digits."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.3g} us"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def lines(data, threads):
    """(workload, row of graphc, best peer, row of it, floor) for what both have been timed on."""
    found = []
    for name in table():
        entry = data["workloads"].get(name, {}).get(str(threads))
        rows = entry["rows"] if entry else {}
        peer = best_peer(rows)
        if peer and "step" in rows.get(OURS, {}):
            found.append((name, rows[OURS], peer, rows[peer], entry["floor"]))
    return found


def compared(data, threads):
    """The table for so many threads."""
    rows = [
        "| workload | graphc | best peer | its time | ratio | of the roof | compiled in |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, ours, peer, theirs, floor in lines(data, threads):
        mark = "~" if ours["disturbed"] or theirs["disturbed"] else ""
        roof = f"{floor / ours['step']:.0%}, {floor / theirs['step']:.0%}"
        rows.append(
            f"| {name} | {told(ours['step'])} | {peer} | {told(theirs['step'])} "
            f"| {mark}{ours['ratio']:.2f} | {roof} | {told(ours['build'])} |"
        )
    return [*rows, "", means(data, threads)]


def means(data, threads):
    """One line on all ratios."""
    ratios = [ours["ratio"] for _, ours, *_ in lines(data, threads)]
    mean = math.exp(sum(map(math.log, ratios)) / max(len(ratios), 1))
    ahead = sum(ratio <= 1 for ratio in ratios)
    return f"Geometric mean of the ratio {mean:.2f}; at most 1 in {ahead} of {len(ratios)} rows."


def everyone(data, threads):
    """The times of all contenders for so many threads."""
    names = list(dict.fromkeys(n for w in data["workloads"].values() if str(threads) in w
                               for n in w[str(threads)]["rows"]))  # fmt: skip
    rows = [f"| workload | {' | '.join(names)} |", "| --- |" + " --- |" * len(names)]
    for name in table():
        timed = data["workloads"].get(name, {}).get(str(threads), {}).get("rows", {})
        if timed:
            cells = [cell(timed.get(contender, {})) for contender in names]
            rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows


def cell(row):
    """The time of a row, or what became of it."""
    if "step" in row:
        return told(row["step"])
    return "wrong" if "wrong" in row else "failed" if "failed" in row else "-"


def reasons(data):
    """What was left out, wrong or failed, each reason once."""
    found = {}
    for name, threads in data["workloads"].items():
        for entry in threads.values():
            for contender, row in entry["rows"].items():
                said = row.get("wrong") or row.get("failed") or row.get("missing")
                if said:
                    found.setdefault(f"{contender}: {said.splitlines()[0]}", {})[name] = None
    return [f"- {reason} ({some(list(names))})" for reason, names in found.items()]


def some(names):
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def write_report(data, output):
    """Write the table and the picture beside `output`, a path without a suffix."""
    threads = sorted({int(count) for entry in data["workloads"].values() for count in entry})
    versions = ", ".join(f"{name} {number}" for name, number in data["versions"].items())
    text = ["# Times against peers", "", f"{data['machine']}. {versions}.", "", LEGEND]
    shown = [count for count in threads if lines(data, count)]
    if shown:
        text += [f"![ratio to the best peer and part of the roof]({output.name}.svg)", ""]
        pictured = {count: lines(data, count) for count in shown}
        output.with_suffix(".svg").write_text(picture(pictured))
    for count in shown:
        text += [f"## {count} thread{'s' * (count > 1)}", "", *compared(data, count), ""]
    for count in threads:
        text += [f"## All contenders, {count} thread{'s' * (count > 1)}", ""]
        text += [*everyone(data, count), ""]
    if left_out := reasons(data):
        text += ["## Left out", "", *left_out, ""]
    output.with_suffix(".md").write_text("\n".join(text))


def main():
    """Write the report of a file again."""
    path = Path(sys.argv[1])
    write_report(json.loads(path.read_text()), path.with_suffix(""))


if __name__ == "__main__":
    main()
