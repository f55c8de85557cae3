"""Scalar: the formula of one element, as an interned expression over loads, constants and calls.

Equal expressions are the same object, so a Scalar is a graph without repeated work, memo tables
are keyed by identity and comparison is `is`. Walk it with `walk`, never by recursion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, TypeAlias

from graphc.ir.dim import Dim, Size
from graphc.ir.interning import InternTable, identity
from graphc.ir.types import DType, bool_, int64

Number: TypeAlias = bool | int | float


class Interned(type):
    """A class whose equal instances are one object, for as long as somebody holds it."""

    table: ClassVar[InternTable[Any]] = InternTable()

    def __call__(cls, *fields: Any) -> Any:
        key = (cls, *map(identity, fields))
        found = Interned.table.find(key)
        return Interned.table.enter(key, super().__call__(*fields)) if found is None else found


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Scalar(metaclass=Interned):
    """A value of one element; Python's operators build calls, plain numbers take its dtype."""

    dtype: DType

    def __add__(self, other: Scalar | Number) -> Scalar:
        return call("add", self, other)

    def __sub__(self, other: Scalar | Number) -> Scalar:
        return call("subtract", self, other)

    def __mul__(self, other: Scalar | Number) -> Scalar:
        return call("multiply", self, other)

    def __truediv__(self, other: Scalar | Number) -> Scalar:
        return call("divide", self, other)

    def __radd__(self, other: Number) -> Scalar:
        return call("add", other, self)

    def __rsub__(self, other: Number) -> Scalar:
        return call("subtract", other, self)

    def __rmul__(self, other: Number) -> Scalar:
        return call("multiply", other, self)

    def __rtruediv__(self, other: Number) -> Scalar:
        return call("divide", other, self)

    def __neg__(self) -> Scalar:
        return call("negative", self)

    def __lt__(self, other: Scalar | Number) -> Scalar:
        return call("less", self, other)

    def __le__(self, other: Scalar | Number) -> Scalar:
        return call("less_equal", self, other)

    def __gt__(self, other: Scalar | Number) -> Scalar:
        return call("greater", self, other)

    def __ge__(self, other: Scalar | Number) -> Scalar:
        return call("greater_equal", self, other)

    def __and__(self, other: Scalar | Number) -> Scalar:
        return call("bitwise_and", self, other)

    def __or__(self, other: Scalar | Number) -> Scalar:
        return call("bitwise_or", self, other)

    def __xor__(self, other: Scalar | Number) -> Scalar:
        return call("bitwise_xor", self, other)

    def __invert__(self) -> Scalar:
        return call("bitwise_invert", self)

    def __lshift__(self, other: Scalar | Number) -> Scalar:
        return call("bitwise_left_shift", self, other)

    def __rshift__(self, other: Scalar | Number) -> Scalar:
        return call("bitwise_right_shift", self, other)


@dataclass(frozen=True, slots=True, eq=False)
class Const(Scalar):
    """A number."""

    value: Number


@dataclass(frozen=True, slots=True, eq=False)
class Index(Scalar):
    """A size or loop variable, or a polynomial of them, as an int64 value."""

    value: Size


@dataclass(frozen=True, slots=True, eq=False)
class Load(Scalar):
    """The element of a buffer at an offset counted in elements.

    Where the guard (a bool) is false, nothing is read and the value is zero.
    """

    buffer: str
    offset: Size
    guard: Scalar | None


@dataclass(frozen=True, slots=True, eq=False)
class Ref(Scalar):
    """The value of a `let` or of an accumulator, by name."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Call(Scalar):
    """A function of `FUNCTIONS` applied to values; dtype is the type of the result."""

    function: str
    arguments: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Reduce(Scalar):
    """A reduction of body over loop variables.

    kind is a key of `REDUCTIONS`. Lowering turns it into a loop that fills an accumulator.
    """

    kind: str
    ranges: tuple[Dim, ...]
    body: Scalar


SAME, BOOL, SECOND, GIVEN = "same", "bool", "second", "given"

# What each function's result type is: that of its first argument, bool, that of its second
# argument, or the one given by `cast` and `bitcast`.
# All are defined on every value, as in NumPy: integers wrap around, and one divided by 0 gives 0
# and leaves 0; a shift by a negative count or one not below the width moves every bit out.
# ldexp is x * 2^k, rounded once, for float32 and float64; x is near one (or 0, or not finite) and k
# a whole number as a float, no larger than twice the largest exponent.
PRIMITIVES: dict[str, str] = {
    **dict.fromkeys(
        ("add", "subtract", "multiply", "divide", "floor_divide", "remainder", "negative", "abs",
         "fma", "minimum", "maximum", "sqrt", "floor", "ceil", "trunc", "round", "copysign",
         "ldexp", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_invert",
         "bitwise_left_shift", "bitwise_right_shift"), SAME),
    **dict.fromkeys(
        ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"), BOOL),
    "where": SECOND, "cast": GIVEN, "bitcast": GIVEN,
}  # fmt: skip

# Functions of floats that passes/math writes as primitives.
TRANSCENDENTAL: dict[str, str] = dict.fromkeys(
    ("exp", "expm1", "log", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh",
     "tanh", "asinh", "acosh", "atanh", "erf", "sigmoid", "softplus", "rsqrt", "power", "atan2",
     "exp2", "cbrt", "erfc", "erfcx", "ndtr", "erfinv", "erfcinv", "gammaln", "digamma"),
    SAME)  # fmt: skip

# Primitives that take longer than others.
DIVISIONS = ("divide", "floor_divide", "remainder", "sqrt")
# About how many instructions an element takes of either.
TRANSCENDENTAL_COST, DIVISION_COST = 20, 5

FUNCTIONS: dict[str, str] = PRIMITIVES | TRANSCENDENTAL

# What an accumulator starts from. argmax and argmin accumulate (value, position) and yield the
# int64 position: of the first NaN if there is one, else of the first extreme value.
REDUCTIONS = ("sum", "prod", "max", "min", "any", "all", "argmax", "argmin")


def const(dtype: DType, value: Number) -> Scalar:
    """A constant of a dtype; the value is converted to Python's bool, int or float."""
    convert: Callable[[Number], Number] = (
        float if dtype.is_float else bool if dtype is bool_ else int
    )
    return Const(dtype, convert(value))


def index(value: Size) -> Scalar:
    """A size or loop variable as an int64 value."""
    return Index(int64, value)


def call(function: str, *arguments: Scalar | Number) -> Scalar:
    """A function applied; plain numbers take the dtype of the other operands."""
    typed = next(a for a in reversed(arguments) if isinstance(a, Scalar))
    values = tuple(a if isinstance(a, Scalar) else const(typed.dtype, a) for a in arguments)
    rule = FUNCTIONS[function]
    assert rule != GIVEN, f"{function} needs a dtype: use scalar.{function}"
    dtype = bool_ if rule == BOOL else values[1 if rule == SECOND else 0].dtype
    return Call(dtype, function, values)


def cast(value: Scalar, dtype: DType) -> Scalar:
    """A value converted to another type, as NumPy's astype converts."""
    return value if value.dtype == dtype else Call(dtype, "cast", (value,))


def bitcast(value: Scalar, dtype: DType) -> Scalar:
    """The bits of a value read as another type of the same width."""
    assert value.dtype.bits == dtype.bits
    return Call(dtype, "bitcast", (value,))


def where(condition: Scalar, yes: Scalar | Number, no: Scalar | Number) -> Scalar:
    """yes where the condition holds, else no."""
    typed = yes if isinstance(yes, Scalar) else no
    assert isinstance(typed, Scalar)
    yes = yes if isinstance(yes, Scalar) else const(typed.dtype, yes)
    no = no if isinstance(no, Scalar) else const(typed.dtype, no)
    return Call(typed.dtype, "where", (condition, yes, no))


def term(value: Scalar) -> tuple[Scalar | None, Scalar]:
    """What must hold for a sum to add anything of a value, None if nothing, and what it adds."""
    if isinstance(value, Call) and value.function == "where":
        condition, added, otherwise = value.arguments
        if isinstance(otherwise, Const) and otherwise.value == 0:
            return condition, added
    return None, value


def children(value: Scalar) -> tuple[Scalar, ...]:
    """The expressions directly inside one."""
    if isinstance(value, Call):
        return value.arguments
    if isinstance(value, Load) and value.guard is not None:
        return (value.guard,)
    return (value.body,) if isinstance(value, Reduce) else ()


def walk(roots: Iterable[Scalar]) -> Iterator[Scalar]:
    """Every expression below the roots once, children before parents."""
    return iter(children_first(tuple(roots)))


@lru_cache(maxsize=4096)  # each pass walks the same formulas several times
def children_first(roots: tuple[Scalar, ...]) -> list[Scalar]:
    """The expressions that a walk meets."""
    order: list[Scalar] = []
    seen: set[Scalar] = set()
    stack: list[tuple[Scalar, bool]] = [(root, False) for root in reversed(roots)]
    while stack:
        value, ready = stack.pop()
        if ready:
            order.append(value)
        elif value not in seen:
            seen.add(value)
            if parts := children(value):
                stack.append((value, True))
                stack += [(part, False) for part in reversed(parts)]
            else:
                order.append(value)
    return order


def rebuild(value: Scalar, replace: Callable[[Scalar], Scalar | None]) -> Scalar:
    """The expression with parts replaced, from the leaves up; None keeps a part."""
    done: dict[Scalar, Scalar] = {}
    for part in children_first((value,)):
        copy = part
        if parts := children(part):
            new = tuple([done[child] for child in parts])
            copy = part if new == parts else with_children(part, new)
        changed = replace(copy)
        done[part] = copy if changed is None else changed
    return done[value]


def with_children(value: Scalar, parts: tuple[Scalar, ...]) -> Scalar:
    """The same kind of expression over other children."""
    if isinstance(value, Call):
        return Call(value.dtype, value.function, parts)
    if isinstance(value, Load) and parts:
        return Load(value.dtype, value.buffer, value.offset, parts[0])
    if isinstance(value, Reduce):
        return Reduce(value.dtype, value.kind, value.ranges, parts[0])
    return value
