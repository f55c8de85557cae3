"""Pictures: valid, complete, without boxes on boxes, and quick for the sizes people look at."""

import itertools
import json
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

import graphc as gx
from graphc.draw import draw, to_dot
from graphc.draw_layout import Layout, Neighbours, Size, crossings, layout
from graphc.draw_model import COLOURS, model
from graphc.draw_svg import to_svg
from graphc.errors import GraphError
from graphc.ir.graph import Graph
from graphc.ir.parser import parse

SVG = "{http://www.w3.org/2000/svg}"
HERE = Path(__file__).parent
TEXTS = sorted((HERE / "ir").glob("[!r]*.gc"))


def network(depth: int) -> Graph:
    x = y = gx.input("x", ("batch", 8), "float32")
    weights = [gx.variable(np.ones((8, 8), np.float32), name=f"w{k}") for k in range(depth)]
    for w in weights:
        y = gx.tanh(y @ w) + x
    loss = gx.mean(y)
    updates = zip(weights, gx.grad(loss, weights), strict=True)
    return Graph((x,), (loss,), tuple((w, w - 0.1 * d) for w, d in updates))


def boxes(picture: ET.Element) -> list[tuple[float, float, float, float]]:
    return [
        tuple(float(rect.attrib[name]) for name in ("x", "y", "width", "height"))  # type: ignore[misc]
        for group in picture.iter(f"{SVG}g")
        if group.attrib.get("class") == "box"
        for rect in group.iter(f"{SVG}rect")
    ]


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(
        one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2]
        for axis in (0, 1)
    )


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("suffix", [".svg", ".dot"])
def test_every_level_draws(path: Path, suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"picture{suffix}"
    draw(parse(path.read_text()), out)
    if suffix == ".svg":
        ET.fromstring(out.read_text())
    else:
        assert out.read_text().startswith("digraph {")


@pytest.mark.parametrize("depth", [1, 4, 16])
def test_every_node_has_a_box_and_none_overlap(depth: int) -> None:
    graph = network(depth)
    picture = ET.fromstring(to_svg(model(graph)))
    found = boxes(picture)
    assert len(found) == len(graph.walk()) + len(graph.outputs) + len(graph.updates)
    assert not any(overlap(*pair) for pair in itertools.combinations(found, 2))
    width, height = float(picture.attrib["width"]), float(picture.attrib["height"])
    assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in found)


def test_a_box_names_the_users_line() -> None:
    titles = [
        title.text or "" for title in ET.fromstring(to_svg(model(network(1)))).iter(f"{SVG}title")
    ]
    assert any("test_draw.py" in title and "y @ w" in title for title in titles)


def test_a_fusion_is_one_box_that_lists_its_operators() -> None:
    picture = model(parse((HERE / "ir" / "fusion.gc").read_text()))
    lines = [box.lines for _, box in picture.nodes(data="box")]
    assert ("fusion", "add, exp", "(f32[batch, 8], f32[batch, 8])") in lines
    assert ("fusion", "sum", "f32[batch]") in lines


def test_a_program_alternates_between_buffers_and_calls() -> None:
    picture = model(parse((HERE / "ir" / "program.gc").read_text()))
    calls = {number for number, box in picture.nodes(data="box") if box.kind == "call"}
    assert len(calls) == 3
    assert all((start in calls) != (end in calls) for start, end in picture.edges)


def test_a_state_updated_in_place_stands_above_and_below() -> None:
    text = """program {
      state %w: f32[8]
      call @k(%w)
      return
    }
    kernel @k(write %w: f32[8]) {
      for serial %i < 8 { store %w[%i] = add(load %w[%i], 1.0: f32) }
    }"""
    lines = [box.lines[0] for _, box in model(parse(text)).nodes(data="box")]
    assert lines == ["%w", "@k", "%w"]


def named(name: str) -> nx.DiGraph:
    return model(parse(f"graph (%{json.dumps(name)}: f32[2]) {{ return }}"))


def test_dot_quotes_what_it_writes() -> None:
    assert r'label="say \"x\"\nf32[2]"' in to_dot(named('say "x"'))


def test_svg_escapes_what_it_writes() -> None:
    texts = [text.text for text in ET.fromstring(to_svg(named("a<b&c"))).iter(f"{SVG}text")]
    assert "a<b&c" in texts


def test_an_empty_graph_draws() -> None:
    assert not boxes(ET.fromstring(to_svg(model(Graph((), ())))))


def test_every_kind_of_box_has_a_colour() -> None:
    pictures = [model(parse(path.read_text())) for path in TEXTS]
    kinds = {box.kind for picture in pictures for _, box in picture.nodes(data="box")}
    assert kinds <= COLOURS.keys()


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        GraphError, match=r"cannot draw a.png: a picture's name ends in .svg or .dot"
    ):
        draw(Graph((), ()), tmp_path / "a.png")


# --- layout --------------------------------------------------------------------------------------


def laid_out(graph: nx.DiGraph) -> Layout:
    return layout(graph, dict.fromkeys(graph, Size(40, 20)))


def test_edges_go_down() -> None:
    places = laid_out(nx.DiGraph([(0, 1), (1, 2), (0, 2), (2, 3), (0, 3)]))
    assert all(places.centres[a][1] < places.centres[b][1] for a, b in places.lines)


def test_a_chain_stands_straight() -> None:
    places = laid_out(nx.path_graph(6, create_using=nx.DiGraph))
    assert len({round(x, 3) for x, _ in places.centres.values()}) == 1


def test_a_tree_has_no_crossings() -> None:
    tree = nx.balanced_tree(3, 3, create_using=nx.DiGraph)
    shuffled = nx.relabel_nodes(
        tree, dict(enumerate(np.random.default_rng(0).permutation(40).tolist()))
    )
    places = laid_out(shuffled)
    rows: dict[float, list[tuple[float, int]]] = {}
    for vertex, (x, y) in places.centres.items():
        assert isinstance(vertex, int)
        rows.setdefault(y, []).append((x, vertex))
    layers = [[vertex for _, vertex in sorted(row)] for _, row in sorted(rows.items())]
    assert crossings([list(row) for row in layers], Neighbours(places.lines)) == 0


def test_hundreds_of_nodes_are_laid_out_in_seconds() -> None:
    graph = network(24)
    assert len(graph.walk()) > 250
    start = time.perf_counter()
    to_svg(model(graph))
    assert time.perf_counter() - start < 10
