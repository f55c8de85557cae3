"""Reading a graph: parameters, then a node a line, each made as the language makes it.

So the type of a node is inferred, and the one in the text must agree. Variables start as zeros.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from graphc.errors import GraphError
from graphc.ir.graph import BESIDE_BODY, Graph
from graphc.ir.lexer import Reader, Token, unquote_name
from graphc.ir.literal import Literal
from graphc.ir.node import Node, build, standing_at
from graphc.ir.op import OPS
from graphc.ir.parse_value import parse_attribute, parse_data, parse_tensor_type, parse_type
from graphc.ir.placement import spread_copy
from graphc.ir.state import State, Variable
from graphc.ir.types import TensorType, Type

Scope = dict[str, Node]


def parse_graph(reader: Reader) -> Graph:
    """A graph from the word `graph` to its closing brace."""
    reader.expect("graph")
    scope: Scope = {}
    inputs = parse_parameters(reader, scope, make_input)
    if reader.accept("state"):
        parse_parameters(reader, scope, make_variable)
    outputs = parse_block(reader, scope)
    updates = []
    while reader.accept("update"):
        updates.append(parse_update(reader, scope))
    reader.expect("}")
    return Graph(inputs, outputs, tuple(updates))


def parse_parameters(
    reader: Reader, scope: Scope, make: Callable[[Reader, Token, TensorType], Node]
) -> tuple[Node, ...]:
    """`(%x: f32[2], ...)`: a node for each, put into the scope."""

    def parameter() -> Node:
        token = reader.name()
        reader.expect(":")
        node = make(reader, token, parse_tensor_type(reader))
        define(reader, scope, token, node)
        return node

    return tuple(reader.list_of(parameter, "(", ")"))


def make_input(reader: Reader, token: Token, tensor: TensorType) -> Node:
    """An input of the graph."""
    with standing_at(reader.place(token)):
        return build(OPS["input"], (), {"name": unquote_name(token.text), "type": tensor})


def make_variable(reader: Reader, token: Token, tensor: TensorType) -> Node:
    """A variable of zeros."""
    shape = tuple(size for size in tensor.shape if isinstance(size, int))
    if len(shape) != tensor.rank:
        raise reader.error(f"state cannot have the symbolic type {tensor}", token)
    state = State(spread_copy(np.zeros(shape, tensor.dtype.numpy)))
    attrs = {"name": unquote_name(token.text), "type": tensor, "state": state}
    return Variable(OPS["variable"], (), MappingProxyType(attrs), tensor, reader.place(token))


def define(reader: Reader, scope: Scope, token: Token, node: Node) -> None:
    """Gives a node its name in the text."""
    if token.text in scope:
        raise reader.error(f"{token.text} is defined twice", token)
    scope[token.text] = node


def look_up(reader: Reader, scope: Scope, token: Token) -> Node:
    """The node that a name stands for."""
    if token.text not in scope:
        raise reader.error(f"{token.text} is not defined above", token)
    return scope[token.text]


def parse_block(reader: Reader, scope: Scope) -> tuple[Node, ...]:
    """`{`, nodes, and the `return` that names the outputs."""
    reader.expect("{")
    while not reader.accept("return"):
        if reader.next.kind != "name":
            raise reader.expected("a node such as `%0 = exp %x : f32[2]`, or return")
        parse_node(reader, scope)
    return tuple(look_up(reader, scope, token) for token in reader.names())


def parse_update(reader: Reader, scope: Scope) -> tuple[Node, Node]:
    """The rest of `update %w = %9`."""
    target = reader.name()
    reader.expect("=")
    return look_up(reader, scope, target), look_up(reader, scope, reader.name())


def parse_node(reader: Reader, scope: Scope) -> None:
    """`%0 = sum %x {axes = [0]} : f32[]`."""
    label = reader.name()
    reader.expect("=")
    op = parse_op(reader)
    if reader.is_next("("):
        operands, attrs = parse_body(reader, scope)
    else:
        operands = tuple(look_up(reader, scope, token) for token in reader.names())
        attrs = parse_constant(reader) if op.text == "constant" else parse_attributes(reader)
    node = make_node(reader, op, operands, attrs)
    reader.expect(":")
    check_type(reader, node, reader.next, parse_type(reader))
    define(reader, scope, label, node)


def parse_op(reader: Reader) -> Token:
    """The name of an operator."""
    token = reader.expect_word("an operator")
    if token.text not in OPS:
        close = difflib.get_close_matches(token.text, OPS)
        hint = f": did you mean {' or '.join(close)}?" if close else ""
        raise reader.error(f"there is no operator {token.text!r}{hint}", token)
    return token


def parse_attributes(reader: Reader) -> dict[str, Any]:
    """`{key = value, ...}`, or nothing."""
    if not reader.is_next("{"):
        return {}

    def pair() -> tuple[str, Any]:
        key = reader.expect_word("an attribute's name").text
        reader.expect("=")
        return key, parse_attribute(reader)

    return dict(reader.list_of(pair, "{", "}"))


def parse_constant(reader: Reader) -> dict[str, Literal]:
    """`{value = ...}` of a constant, whose type stands after it, where it stays to be read."""
    for text in ("{", "value", "="):
        reader.expect(text)
    make = parse_data(reader)
    reader.expect("}")
    before = reader.at
    reader.expect(":")
    value = make(parse_tensor_type(reader))
    reader.at = before
    return {"value": value}


def parse_body(reader: Reader, scope: Scope) -> tuple[tuple[Node, ...], dict[str, Any]]:
    """`(%a = %x, ...) {attributes} { nodes }` of an operator that holds a graph.

    The inputs of the graph inside have the types of the operands that they are bound to, or the
    type that stands behind their names.
    """
    inner: Scope = {}

    def binding() -> tuple[Node, Node]:
        token = reader.name()
        written = parse_tensor_type(reader) if reader.accept(":") else None
        reader.expect("=")
        operand = look_up(reader, scope, reader.name())
        node = make_input(reader, token, written or operand.tensor)
        define(reader, inner, token, node)
        return node, operand

    bound = reader.list_of(binding, "(", ")")
    # A node's name tells the brace of the graph inside from that of attributes.
    has_attributes = reader.peek(1).kind == "word" and reader.peek(2).text == "="
    attrs = parse_attributes(reader) if has_attributes else {}
    inputs = tuple(node for node, _ in bound)
    graphs = {"body": parse_inside(reader, inputs, inner)}
    for word, key in BESIDE_BODY.items():
        if reader.accept(word):
            graphs[key] = parse_inside(reader, inputs, inner)
    return tuple(operand for _, operand in bound), {**graphs, **attrs}


def parse_inside(reader: Reader, inputs: tuple[Node, ...], names: Scope) -> Graph:
    """`{ nodes }` over inputs by their names."""
    outputs = parse_block(reader, dict(names))
    reader.expect("}")
    return Graph(inputs, outputs)


def make_node(
    reader: Reader, op: Token, operands: tuple[Node, ...], attrs: Mapping[str, Any]
) -> Node:
    """The node, or an error at the operator that says why there is none."""
    with standing_at(reader.place(op)):
        try:
            return build(OPS[op.text], operands, attrs)
        except GraphError:
            raise
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            # An operator's type rule trusts the language for the form of attributes.
            message = str(error).rpartition("() ")[2]
            raise reader.error(f"{op.text}: {message}", op) from None


def check_type(reader: Reader, node: Node, token: Token, written: Type) -> None:
    """GraphError unless the type in the text is the node's own."""
    if written != node.type:
        raise reader.error(f"{node.op.name} has type {node.type} here, not {written}", token)
