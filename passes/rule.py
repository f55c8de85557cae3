"""Rule: an identity of algebra, written in the language.

    Rule("x + 0", lambda x: x + 0, lambda x: x)

`before` is traced once for each dtype on placeholders without axes, and the trace is the pattern:
its placeholders match any node (the same one each time), its constants match that number repeated
over any shape, its operators match themselves, commutative ones both ways round. All of them work
element by element, so what matches a pattern has one shape. `after` is called with the matched
nodes. So each rule is tested by evaluating its two sides, without a test written for it.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from graphc.ir.literal import Literal
from graphc.ir.node import Node, apply, build
from graphc.ir.types import REAL_NUMBERS, DType, TensorType, bool_
from graphc.lang.operands import as_node
from graphc.ops.kinds import Elementwise
from graphc.passes.splat import fill, splat

BOOL = ("bool",)
FLOATS = ("float",)

COMMUTATIVE = frozenset({
    "add", "multiply", "maximum", "minimum", "equal", "not_equal", "logical_and", "logical_or",
    "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor",
})  # fmt: skip
"""Operators whose operands may change places: only the sign of a zero may depend on the order."""


def always(*nodes: Node) -> bool:
    """The guard that lets everything through."""
    return True


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """An identity: where `before` is found, `after` may stand.

    `where` is a guard on the matched nodes, `kinds` the kinds of dtype that the identity holds
    for. Parameters named in `conditions` are bool; all others have the one dtype. `after` may
    return a plain number.
    """

    name: str
    before: Callable[..., Node]
    after: Callable[..., Any]
    where: Callable[..., bool] = always
    kinds: tuple[str, ...] = REAL_NUMBERS
    conditions: tuple[str, ...] = ()

    def dtypes(self, dtype: DType) -> list[DType]:
        """The dtype of each variable, in order, where the common one is given."""
        names = inspect.signature(self.before).parameters
        return [bool_ if name in self.conditions else dtype for name in names]

    def patterns(self, dtype: DType) -> list[Pattern]:
        """What to look for among nodes of a dtype, one for each order of commutative operands."""
        if dtype.kind not in self.kinds:
            return []
        types = [TensorType(each, ()) for each in self.dtypes(dtype)]
        variables = tuple(apply("input", name=f"v{at}", type=t) for at, t in enumerate(types))
        return [Pattern(self, root, variables) for root in variants(self.before(*variables))]

    def rewrite(self, root: Node, bound: list[Node]) -> Node | None:
        """What becomes of a matched node, or None if the guard refuses."""
        if not self.where(*bound):
            return None
        return fill_like(as_node(self.after(*bound), root.dtype), root)


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """A rule's `before` for one dtype, over variables without axes."""

    rule: Rule
    root: Node
    variables: tuple[Node, ...]

    @property
    def key(self) -> tuple[str, DType]:
        """What a node must have, that this can match: see `key_of`."""
        return key_of(self.root)

    def rewrite(self, node: Node) -> Node | None:
        """What the rule makes of a node; None where it does not apply."""
        bound: dict[Node, Node] = {}
        if not match(self.root, node, bound):
            return None
        return self.rule.rewrite(node, [bound[variable] for variable in self.variables])


class RuleTable:
    """Rules, found by operator and dtype; they are traced when a dtype is first met."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Make from rules; of those that match, the first one is taken."""
        self.rules = tuple(rules)
        self.patterns: dict[tuple[str, DType], list[Pattern]] = {}
        self.traced: set[DType] = set()

    def rewrite(self, node: Node) -> Node | None:
        """What the first rule that applies makes of a node; None where none does.

        Nodes must come operands before users: a comparison is looked up by dtypes met before.
        """
        if not isinstance(node.type, TensorType):
            return None
        if node.type.dtype not in self.traced:
            self.trace(node.type.dtype)
        if not isinstance(node.op, Elementwise):
            return None
        for pattern in self.patterns.get(key_of(node), ()):
            found = pattern.rewrite(node)
            if found is not None and found is not node:
                return found
        return None

    def trace(self, dtype: DType) -> None:
        """Add the patterns of all rules for one more dtype."""
        self.traced.add(dtype)
        for rule in self.rules:
            for pattern in rule.patterns(dtype):
                self.patterns.setdefault(pattern.key, []).append(pattern)


def key_of(node: Node) -> tuple[str, DType]:
    """Its operator and the dtype of its last operand (its first may be a condition)."""
    return (node.op.name, node.inputs[-1].dtype)


def match(pattern: Node, node: Node, bound: dict[Node, Node]) -> bool:
    """Whether a node fits a pattern, given what its variables are bound to; binds the others.

    Recursion is no deeper than the pattern, a few operators.
    """
    if pattern.op.name == "input":
        return node.dtype == pattern.dtype and bound.setdefault(pattern, node) is node
    if pattern.op.name == "constant":
        value: Literal = pattern.attrs["value"]
        return splat(node) == value
    return (
        pattern.op is node.op
        and pattern.attrs == node.attrs
        and all(map(match, pattern.inputs, node.inputs, itertools.repeat(bound)))
    )


def variants(pattern: Node) -> list[Node]:
    """The pattern with the operands of commutative operators in every order."""
    if not pattern.inputs:
        return [pattern]
    found: dict[Node, None] = {}  # equal is identical, so the same pattern counts once
    for operands in itertools.product(*map(variants, pattern.inputs)):
        for order in orders(pattern.op.name, operands):
            found[build(pattern.op, order, pattern.attrs)] = None
    return list(found)


def orders(name: str, operands: tuple[Node, ...]) -> Iterator[tuple[Node, ...]]:
    """The operands as they are and, for a commutative operator, exchanged."""
    yield operands
    if name in COMMUTATIVE:
        yield operands[::-1]


def fill_like(node: Node, root: Node) -> Node:
    """The node over the root's shape: a result without axes is repeated."""
    return node if node.type == root.type else fill(node, root.shape)
