"""Node: one value of the user's graph, immutable, and the same object wherever it is equal.

A node is what the user's expression is: there is no wrapper and no tracer. Its operators and
methods look their function up in `LANGUAGE` by name, which keeps imports free of cycles.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from graphc.errors import GraphError, TypeRuleError, Where, user_line
from graphc.ir.dim import Size
from graphc.ir.interning import InternTable, identity
from graphc.ir.op import OPS, Op, misfit
from graphc.ir.types import DType, TensorType, Type

LANGUAGE: dict[str, Callable[..., Any]] = {}

Function = TypeVar("Function", bound=Callable[..., Any])


def word(function: Function) -> Function:
    """Decorator: makes a function a word of the language, which nodes find by its name."""
    assert function.__name__ not in LANGUAGE, f"{function.__name__} is defined twice"
    LANGUAGE[function.__name__] = function
    return function


Axes: TypeAlias = int | tuple[int, ...] | None


def say(name: str, *arguments: Any, **options: Any) -> Node:
    """Calls a word of the language by name."""
    node: Node = LANGUAGE[name](*arguments, **options)
    return node


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True, repr=False)
class Node:
    """A value: an operator, its operands, attributes, type, and the user's line.

    Python's operators and NumPy's methods work on it: `a + b`, `x @ w`, `x[1:, ::2]`, `x.T`,
    `x.sum(axis=0)`. Comparison is elementwise as in NumPy; a node has no truth value.
    """

    op: Op
    inputs: tuple[Node, ...]
    attrs: Mapping[str, Any]
    type: Type
    where: Where | None

    # NumPy leaves `array + node` to the node instead of looping over the array.
    __array_ufunc__ = None

    @property
    def tensor(self) -> TensorType:
        """Its type as an array; GraphError if it has several results."""
        if not isinstance(self.type, TensorType):
            raise GraphError(f"{self.op.name} has several results {self.type}: take one of them")
        return self.type

    @property
    def shape(self) -> tuple[Size, ...]:
        """Its sizes, integers or symbolic."""
        return self.tensor.shape

    @property
    def dtype(self) -> DType:
        """Its element type."""
        return self.tensor.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.tensor.rank

    @property
    def size(self) -> Size:
        """The number of elements."""
        return self.tensor.size

    @property
    def T(self) -> Node:  # noqa: N802 (the Array API's name)
        """The matrix transposed; GraphError unless it has two axes."""
        if self.ndim != 2:
            raise GraphError(f".T needs two axes, this has {self.ndim}: use .mT or permute_dims")
        return say("permute_dims", self, (1, 0))

    @property
    def mT(self) -> Node:  # noqa: N802 (the Array API's name)
        """The last two axes exchanged."""
        return say("matrix_transpose", self)

    @property
    def at(self) -> At:
        """For results that differ at some places: `x.at[key].set(values)`, see `At`."""
        return At(self)

    def __repr__(self) -> str:
        name = f" {self.attrs['name']!r}" if "name" in self.attrs else ""
        return f"<{self.op.name}{name} {self.type}>"

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise GraphError(
            "a node has no truth value while the graph is built: "
            "use gx.where, gx.logical_and or the Python value that decides"
        )

    def __array__(self, *_: Any, **__: Any) -> Any:
        """Refused: NumPy would take a node apart into nodes of its elements."""
        raise GraphError(
            "a node has no value while the graph is built: "
            "use functions of graphc on it, or compile it and call the result"
        )

    def __len__(self) -> int:
        if not self.shape:
            raise GraphError("a node without axes has no length")
        if not isinstance(self.shape[0], int):
            raise GraphError(f"the length of this node is symbolic: {self.shape[0]}")
        return self.shape[0]

    def __iter__(self) -> Iterator[Node]:
        return iter([self[position] for position in range(len(self))])

    def __getitem__(self, key: Any) -> Node:
        return say("getitem", self, key)

    def __add__(self, other: Any) -> Node:
        return say("add", self, other)

    def __radd__(self, other: Any) -> Node:
        return say("add", other, self)

    def __sub__(self, other: Any) -> Node:
        return say("subtract", self, other)

    def __rsub__(self, other: Any) -> Node:
        return say("subtract", other, self)

    def __mul__(self, other: Any) -> Node:
        return say("multiply", self, other)

    def __rmul__(self, other: Any) -> Node:
        return say("multiply", other, self)

    def __truediv__(self, other: Any) -> Node:
        return say("divide", self, other)

    def __rtruediv__(self, other: Any) -> Node:
        return say("divide", other, self)

    def __floordiv__(self, other: Any) -> Node:
        return say("floor_divide", self, other)

    def __rfloordiv__(self, other: Any) -> Node:
        return say("floor_divide", other, self)

    def __mod__(self, other: Any) -> Node:
        return say("remainder", self, other)

    def __rmod__(self, other: Any) -> Node:
        return say("remainder", other, self)

    def __pow__(self, other: Any) -> Node:
        return say("power", self, other)

    def __rpow__(self, other: Any) -> Node:
        return say("power", other, self)

    def __matmul__(self, other: Any) -> Node:
        return say("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Node:
        return say("matmul", other, self)

    def __and__(self, other: Any) -> Node:
        return say("bitwise_and", self, other)

    def __rand__(self, other: Any) -> Node:
        return say("bitwise_and", other, self)

    def __or__(self, other: Any) -> Node:
        return say("bitwise_or", self, other)

    def __ror__(self, other: Any) -> Node:
        return say("bitwise_or", other, self)

    def __xor__(self, other: Any) -> Node:
        return say("bitwise_xor", self, other)

    def __rxor__(self, other: Any) -> Node:
        return say("bitwise_xor", other, self)

    def __lshift__(self, other: Any) -> Node:
        return say("bitwise_left_shift", self, other)

    def __rlshift__(self, other: Any) -> Node:
        return say("bitwise_left_shift", other, self)

    def __rshift__(self, other: Any) -> Node:
        return say("bitwise_right_shift", self, other)

    def __rrshift__(self, other: Any) -> Node:
        return say("bitwise_right_shift", other, self)

    def __neg__(self) -> Node:
        return say("negative", self)

    def __pos__(self) -> Node:
        return self

    def __abs__(self) -> Node:
        return say("abs", self)

    def __invert__(self) -> Node:
        return say("bitwise_invert", self)

    def __eq__(self, other: Any) -> Node:  # type: ignore[override]
        return say("equal", self, other)

    def __ne__(self, other: Any) -> Node:  # type: ignore[override]
        return say("not_equal", self, other)

    def __lt__(self, other: Any) -> Node:
        return say("less", self, other)

    def __le__(self, other: Any) -> Node:
        return say("less_equal", self, other)

    def __gt__(self, other: Any) -> Node:
        return say("greater", self, other)

    def __ge__(self, other: Any) -> Node:
        return say("greater_equal", self, other)

    def sum(self, axis: Axes = None, keepdims: bool = False) -> Node:
        """See `graphc.sum`."""
        return say("sum", self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Axes = None, keepdims: bool = False) -> Node:
        """See `graphc.mean`."""
        return say("mean", self, axis=axis, keepdims=keepdims)

    def prod(self, axis: Axes = None, keepdims: bool = False) -> Node:
        """See `graphc.prod`."""
        return say("prod", self, axis=axis, keepdims=keepdims)

    def max(self, axis: Axes = None, keepdims: bool = False) -> Node:
        """See `graphc.max`."""
        return say("max", self, axis=axis, keepdims=keepdims)

    def min(self, axis: Axes = None, keepdims: bool = False) -> Node:
        """See `graphc.min`."""
        return say("min", self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Node:
        """See `graphc.argmax`."""
        return say("argmax", self, axis=axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, keepdims: bool = False) -> Node:
        """See `graphc.argmin`."""
        return say("argmin", self, axis=axis, keepdims=keepdims)

    def any(self, axis: Axes = None, keepdims: bool = False) -> Node:
        """See `graphc.any`."""
        return say("any", self, axis=axis, keepdims=keepdims)

    def all(self, axis: Axes = None, keepdims: bool = False) -> Node:
        """See `graphc.all`."""
        return say("all", self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: Any) -> Node:
        """See `graphc.reshape`; takes the sizes or one tuple of them."""
        return say("reshape", self, shape[0] if len(shape) == 1 else shape)

    def astype(self, dtype: Any) -> Node:
        """See `graphc.cast`."""
        return say("cast", self, dtype)


@dataclass(frozen=True, slots=True)
class At:
    """x.at: `x.at[key]` are the places of x that a key of `x[key]` says.

    Its methods give x with values there, which broadcast to x[key]; x itself stays as it is.
    Where an array of indices meets a place again, `set` keeps the last value and the others
    combine all in order. An index out of range is dropped.
    """

    node: Node
    key: Any = ...

    def __getitem__(self, key: Any) -> At:
        return At(self.node, key)

    def get(self) -> Node:
        """The elements at the places."""
        return self.node[self.key]

    def set(self, values: Any) -> Node:
        """x with the values in place of what was there."""
        return say("updated", self.node, self.key, values, "set")

    def add(self, values: Any) -> Node:
        """x with the values added."""
        return say("updated", self.node, self.key, values, "add")

    def multiply(self, values: Any) -> Node:
        """x multiplied by the values."""
        return say("updated", self.node, self.key, values, "multiply")

    def max(self, values: Any) -> Node:
        """x with the larger of what was there and the values."""
        return say("updated", self.node, self.key, values, "max")

    def min(self, values: Any) -> Node:
        """x with the smaller of what was there and the values."""
        return say("updated", self.node, self.key, values, "min")


TABLE: InternTable[Node] = InternTable()
PLACE: contextvars.ContextVar[Where | None] = contextvars.ContextVar("place", default=None)


class standing_at:  # noqa: N801 (used as a word; a generator would take four times as long)
    """Nodes made inside stand at this line of the user's, not at the caller's."""

    def __init__(self, where: Where | None) -> None:
        self.where = where

    def __enter__(self) -> None:
        self.token: contextvars.Token[Where | None] = PLACE.set(self.where)

    def __exit__(self, *error: object) -> None:
        PLACE.reset(self.token)


def apply(name: str, /, *inputs: Node, **attrs: Any) -> Node:
    """A node of an operator over operands; its type rule speaks up at the user's line."""
    return build(OPS[name], inputs, attrs)


def build(op: Op, inputs: Iterable[Node], attrs: Mapping[str, Any]) -> Node:
    """The node for an operator, operands and attributes: the one there is, or a new one."""
    operands = tuple(inputs)
    # A node holds its operands, so that their ids are not given to others while it is in the table.
    items = sorted(attrs.items())
    key = (op.name, *map(id, operands), *((k, identity(v)) for k, v in items))
    found = TABLE.find(key) if op.interned else None
    if found is not None:
        return found
    node = Node(op, operands, MappingProxyType(dict(attrs)), infer(op, operands, attrs), place())
    return TABLE.enter(key, node) if op.interned else node


def place() -> Where | None:
    """The user's line that a new node stands at."""
    return PLACE.get() or user_line()


def infer(op: Op, operands: tuple[Node, ...], attrs: Mapping[str, Any]) -> Type:
    """The operator's type rule, with its refusal turned into a message for the user."""
    try:
        return op.infer(*(operand.type for operand in operands), **attrs)
    except TypeRuleError as error:
        raise GraphError(f"{op.name}: {error}{describe(operands)}", place()) from None
    except TypeError:
        fault = misfit(op, len(operands), attrs)
        if fault is None:
            raise
        raise GraphError(f"{op.name}: {fault}{describe(operands)}", place()) from None


def describe(operands: Iterable[Node]) -> str:
    """Each operand's type and where it was made, a line each, for a message."""
    return "".join(
        f"\n  operand {position}: {operand.type}{made_at(operand, ', ')}"
        for position, operand in enumerate(operands)
    )


def made_at(node: Node, before: str = "\n  ") -> str:
    """Where a node was made, for a message.

    Nothing where that is the line which the message names anyway, or where the node is a plain
    number: equal numbers are one node, and it stands at the line of the first.
    """
    here, where = place(), node.where
    if where is None or (node.op.name == "constant" and not node.shape):
        return ""
    same = here is not None and (here.file, here.line) == (where.file, where.line)
    return "" if same else f"{before}made at {where.describe()}"
