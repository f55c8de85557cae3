"""Op: the questions that every operator answers, and the table of all operators."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from graphc.ir.dim import Dim, Size
from graphc.ir.scalar import Scalar
from graphc.ir.types import Type

if TYPE_CHECKING:
    from graphc.ir.node import Node


class Read(Protocol):
    """How a formula reaches its operands; lowering gives one to `Op.element`."""

    def __call__(self, position: int, index: Sequence[Size], guard: Scalar | None = None) -> Scalar:
        """The element at an index of the operand at a position.

        Where the guard is false nothing is read, and the value is unspecified but harmless:
        the formula must not let it through.
        """

    def bind(self, value: Scalar) -> Dim:
        """Name an int64 value so that it can stand in an index."""

    def variable(self, limit: Size) -> Dim:
        """A new loop variable for a `Reduce`, 0 <= it < limit."""


class Op:
    """An operator: its type rule, formula, derivatives and reference, in one class.

    A subclass sets `name` (the text form's word for it) and answers the methods below. Operators
    have no state: one instance stands in the table.
    """

    name: ClassVar[str]
    #: False for nodes that are themselves wherever they stand, such as an input.
    interned: ClassVar[bool] = True
    #: True where symbolic sizes may turn out not to fit: each new binding infers the type again.
    depends_on_sizes: ClassVar[bool] = False

    def infer(self, *types: Any, **attrs: Any) -> Type:
        """The result's type for operand types; raises TypeRuleError where they don't fit."""
        raise NotImplementedError(f"{type(self).__name__}.infer")

    def equalities(self, node: Node) -> Sequence[tuple[Size, Size]]:
        """Sizes that the node takes to be equal though their forms differ: each call checks it."""
        return ()

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The formula of the result's element at an index."""
        raise NotImplementedError(f"{type(self).__name__}.element")

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """For each operand, its part of the gradient, in the language; None where there is none.

        `gradient` has the node's type and is the gradient of some scalar by the node.
        """
        raise NotImplementedError(f"{type(self).__name__}.vjp")

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The derivative of the node along tangents of its operands; None stands for zero."""
        raise NotImplementedError(f"{type(self).__name__}.jvp")

    def vjp_results(self, node: Node, gradients: Sequence[Node | None]) -> Sequence[Node | None]:
        """What `vjp` is to an operator with several results: a gradient, or None, for each."""
        raise NotImplementedError(f"{type(self).__name__}.vjp_results")

    def jvp_results(self, node: Node, tangents: Sequence[Node | None]) -> Sequence[Node | None]:
        """What `jvp` is to an operator with several results: a tangent, or None, for each."""
        raise NotImplementedError(f"{type(self).__name__}.jvp_results")

    def batch(self, node: Node, operands: Sequence[Node], batched: Sequence[bool]) -> Node:
        """The results for a whole batch, along a new axis in front.

        `operands` stand for the node's inputs. Those that are `batched`, at least one, have the
        batch axis in front; the others are the same for the whole batch.
        """
        raise NotImplementedError(f"{type(self).__name__}.batch")

    def split(self, node: Node) -> Node:
        """The node written over the real and imaginary parts of complex operands.

        A complex result is a node of operator "complex" over its own parts. It is asked where an
        operand or the result is complex, so an operator that takes no complex numbers needs none.
        """
        raise NotImplementedError(f"{type(self).__name__}.split")

    def reference(self, *arrays: Any, **attrs: Any) -> Any:
        """The result in plain NumPy: the oracle that devices are tested against."""
        raise NotImplementedError(f"{type(self).__name__}.reference")


OPS: dict[str, Op] = {}

Kind = TypeVar("Kind", bound=type[Op])


def register(kind: Kind) -> Kind:
    """Class decorator: puts an operator into the table under its name."""
    assert kind.name not in OPS, f"operator {kind.name} is registered twice"
    OPS[kind.name] = kind()
    return kind


def misfit(op: Op, count: int, attrs: Mapping[str, Any]) -> str | None:
    """How so many operands and attributes do not fit what a type rule takes; None if they do."""
    try:
        inspect.signature(op.infer).bind(*range(count), **attrs)
    except TypeError as error:
        return str(error)
    return None
