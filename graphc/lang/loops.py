"""Loops and branches: `scan`, `fori_loop` and `map`, `while_loop`, and `cond`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from graphc.errors import GraphError, shown
from graphc.ir.closure import fresh_input, fresh_inputs, run_cond, run_while
from graphc.ir.dim import Dim, Size, maximum
from graphc.ir.node import Node, apply, made_at, word
from graphc.ir.size_proof import advice, are_equal
from graphc.ir.types import TensorType, bool_, int64
from graphc.lang.arithmetic import remainder
from graphc.lang.loop_body import Loop, Nodes, in_segments, run, trace
from graphc.lang.operands import agreeing, as_node, to_node_dtype
from graphc.lang.selection import stop_gradient, where
from graphc.lang.sizes import SizeLike, is_integer, size_value, to_size
from graphc.structure import Rebuild, flatten, same_structure

Step = Callable[[Any, Any], tuple[Any, Any]]
CHECKPOINTS = 64
"""How many states the gradient of a loop without a known length keeps at two levels each."""


@word
def scan(
    step: Step,
    init: Any,
    xs: Any = None,
    *,
    length: SizeLike | None = None,
    reverse: bool = False,
    unroll: int = 1,
    truncate: int | None = None,
    checkpoint: int | str | None = None,
) -> tuple[Any, Any]:
    """Run `step(carry, x) -> (carry, y)` over sequences: the last carry, and the stacked y.

    init, xs, carry and y are nodes or nested lists, tuples and dicts of them. Elements are taken
    along axis 0 of each x in `xs`, all of one length, which may be symbolic; without `xs` the
    step is run `length` times with None. With `reverse` the last element comes first, and y
    stands where its x does. A length of 0 gives `init`.

    The step is called once, on nodes; it may use any node around it, and what does not depend on
    carry or x is computed once, outside. `unroll` steps make one step of the loop. Gradients do
    not pass from a step whose number `truncate` divides to the one before. With `checkpoint`, a
    number of steps, or "sqrt" of the length, gradients store one carry for so many steps and
    compute the others again. GraphError where types, structures or lengths do not fit.
    """
    sequences, rebuild_xs = flatten(() if xs is None else xs)
    rows = [to_node("scan", "a sequence", leaf) for leaf in sequences]
    count = length_of("scan", rows, length)
    rows = [agreeing(row, (count, *row.shape[1:])) for row in rows]
    flat = Flat(step, init, rebuild_xs if xs is not None else lambda _: None)
    loop = Loop(flat, flat.init, rows, count, bool(reverse))
    if truncate is not None:
        loop = truncated(loop, to_count("scan: truncate", truncate))
    finals, stacks = run_in_segments(loop, checkpoint, to_count("scan: unroll", unroll))
    return flat.rebuild_carry(finals), flat.rebuild_results(stacks)


@word
def map(function: Callable[[Any], Any], xs: Any) -> Any:
    """The function of each element along axis 0 of `xs`, stacked: a scan that carries nothing."""
    check_function("map", "the first argument", function)
    return scan(lambda carry, x: (carry, function(x)), (), xs)[1]


@word
def fori_loop(
    start: SizeLike | Node,
    stop: SizeLike | Node,
    body: Callable[[Node, Any], Any],
    init: Any,
    *,
    checkpoints: int = CHECKPOINTS,
) -> Any:
    """The last of the values `value = body(i, value)` for i from start up to stop, an int64.

    start and stop are integers, symbolic sizes, or nodes of one integer, which is known when the
    program runs. Where stop is not above start, it is `init`. With a node it is a `while_loop`,
    which says what `checkpoints` are; else it is a `scan`. GraphError where types or structures
    do not fit.
    """
    check_function("fori_loop", "body", body)
    first, last = to_bound("start", start), to_bound("stop", stop)
    if not isinstance(first, Node) and not isinstance(last, Node):
        count = maximum(last - first, 0)
        places = apply("iota", shape=(count,), axis=0, dtype=int64) + size_value(first, int64)
        return scan(lambda value, i: (body(i, value), ()), init, places)[0]
    begin, end = (x if isinstance(x, Node) else size_value(x, int64) for x in (first, last))
    return while_loop(
        lambda state: state[0] < end,
        lambda state: (state[0] + 1, body(*state)),
        (begin, init),
        checkpoints=checkpoints,
    )[1]


def to_bound(name: str, value: Any) -> Size | Node:
    """A bound of a count as a size, which may be below 0, or as a node of one int64."""
    if is_integer(value):
        return int(value)
    if isinstance(value, Dim | str):
        return to_size(value, f"fori_loop: {name}")
    if not isinstance(value, Node):
        raise GraphError(
            f"fori_loop: {name} must be an integer, a size or a node, not {shown(value)}"
        )
    if value.shape != () or not value.dtype.is_integer:
        raise GraphError(f"fori_loop: {name} must be one integer, not {value.type}{made_at(value)}")
    return to_node_dtype(value, int64)


@word
def while_loop(
    cond: Callable[[Any], Any],
    body: Callable[[Any], Any],
    init: Any,
    *,
    checkpoints: int = CHECKPOINTS,
) -> Any:
    """The first of the values `value = body(value)`, from init on, for which `cond` is false.

    The value is a node or nested lists, tuples and dicts of them; cond gives one bool. Both are
    called once, on nodes, and may use any node around them. GraphError where types or structures
    do not fit.

    The number of steps is known when the loop has ended. Its gradient keeps 2 * checkpoints
    copies of the value, however many steps there are, and computes the others again: up to
    checkpoints ** 2 steps, every step at most three times more. Beyond, with n steps, each is
    computed about n / (2 * checkpoints ** 2) times more than that.
    """
    check_function("while_loop", "cond", cond)
    check_function("while_loop", "body", body)
    kept = to_count("while_loop: checkpoints", checkpoints)
    leaves, rebuild = flatten(init)
    inits = [to_node("while_loop", "a value", leaf) for leaf in leaves]
    names: set[str] = set()
    flag = fresh_input("go", TensorType(bool_, ()), names)
    carried = fresh_inputs("c", inits, names)
    after = body(rebuild(carried))
    if not same_structure(init, after):
        raise GraphError("while_loop: the body must return the structure of init")
    pairs = zip(carried, flatten(after)[0], strict=True)
    nexts = [check_carry("while_loop", *pair) for pair in pairs]
    goes_on = [check_condition(cond(rebuild(values))) for values in (inits, nexts)]
    return rebuild(run_while([goes_on[0], *inits], [flag, *carried], [goes_on[1], *nexts], kept))


@word
def cond(pred: Any, yes: Callable[..., Any], no: Callable[..., Any], *operands: Any) -> Any:
    """`yes(*operands)` where pred, one bool, is true, else `no(*operands)`; only one is run.

    Operands and results are nodes or nested lists, tuples and dicts of them. Both functions are
    called once, on nodes. What they take from around them and does not depend on operands is
    computed in any case. GraphError where the results differ in structure or types.
    """
    check_function("cond", "yes", yes)
    check_function("cond", "no", no)
    condition = check_condition(pred, "cond: pred must be")
    leaves, rebuild = flatten(operands)
    nodes = [to_node("cond", "an operand", leaf) for leaf in leaves]
    names: set[str] = set()
    inside = [fresh_input("p", condition.type, names), *fresh_inputs("x", nodes, names)]
    results = [arm(*rebuild(inside[1:])) for arm in (yes, no)]
    if not same_structure(*results):
        raise GraphError("cond: the two functions must return the same structure")
    ones, others = ([to_node("cond", "a result", x) for x in flatten(r)[0]] for r in results)
    arms = [ones, [agreeing(b, a.shape) for a, b in zip(ones, others, strict=True)]]
    for one, other in zip(*arms, strict=True):
        if one.type != other.type:
            raise GraphError(
                f"cond: one function gives {one.type}, the other {other.type}: "
                f"cast, reshape or broadcast one of them{made_at(one)}{made_at(other)}"
            )
    inputs = dict(zip(inside, [condition, *nodes], strict=True))
    return flatten(results[0])[1](run_cond(inputs, *arms))


def check_function(what: str, role: str, value: Any) -> None:
    """GraphError unless a value can be called."""
    if not callable(value):
        raise GraphError(f"{what}: {role} must be a function, not {shown(value)}")


def check_condition(value: Any, what: str = "while_loop: cond must give") -> Node:
    """A condition as a node; GraphError unless it is one bool."""
    node = as_node(value)
    if node.type != TensorType(bool_, ()):
        raise GraphError(f"{what} one bool, not {node.type}{made_at(node)}")
    return node


# --- the user's function over lists of nodes -----------------------------------------------------


class Flat:
    """A step over structures as a step over lists of nodes, with its results checked.

    Structures are known once it was called: `rebuild_results` gives that of y.
    """

    def __init__(self, step: Step, init: Any, rebuild_xs: Rebuild) -> None:
        check_function("scan", "step", step)
        leaves, self.rebuild_carry = flatten(init)
        self.step = step
        self.rebuild_xs = rebuild_xs
        self.init = [to_node("scan", "a carry", leaf) for leaf in leaves]
        self.rebuild_results: Rebuild = list

    def __call__(self, carry: Nodes, row: Nodes) -> tuple[Nodes, Nodes]:
        before = self.rebuild_carry(carry)
        result = self.step(before, self.rebuild_xs(row))
        if not isinstance(result, tuple) or len(result) != 2:
            raise GraphError(f"scan: the step must return (carry, y), not {shown(result)}")
        after, y = result
        if not same_structure(before, after):
            raise GraphError("scan: the step must return a carry of the same structure as init")
        leaves, self.rebuild_results = flatten(y)
        following = [
            check_carry("scan", *pair) for pair in zip(carry, flatten(after)[0], strict=True)
        ]
        return following, [to_node("scan", "a result of the step", leaf) for leaf in leaves]


def check_carry(what: str, before: Node, after: Any) -> Node:
    """The next value of a carry as a node; GraphError unless of the type that it began with."""
    node = agreeing(as_node(after, before.dtype), before.shape)
    if node.type != before.type:
        raise GraphError(
            f"{what}: a carry begins as {before.type}, and the step makes it {node.type}: "
            f"cast, reshape or broadcast one of them{made_at(node)}"
        )
    return node


def to_node(what: str, role: str, leaf: Any) -> Node:
    """A leaf of a structure as a node; GraphError where it is no array."""
    if leaf is None or isinstance(leaf, str) or callable(leaf):
        raise GraphError(f"{what}: {role} must be a node or an array, not {shown(leaf)}")
    return as_node(leaf)


def length_of(what: str, rows: list[Node], given: SizeLike | None) -> Size:
    """The number of steps; GraphError where sequences differ in it, or nothing says it."""
    for row in rows:
        if not row.ndim:
            raise GraphError(
                f"{what}: a sequence must have a first axis, this has none{made_at(row)}"
            )
    lengths: dict[Size, None] = dict.fromkeys(row.shape[0] for row in rows)
    if given is not None:
        lengths[to_size(given, f"{what}: length")] = None
    first, *others = lengths or [0]
    if not all(are_equal(first, other) for other in others):
        listed = " and ".join(str(length) for length in lengths)
        places = "".join(f"\n  {row.type}{made_at(row, ', ')}" for row in rows)
        hint = advice(first, others[0])
        raise GraphError(f"{what}: lengths differ: {listed}{hint}{places}")
    if not lengths:
        raise GraphError(f"{what}: give sequences or a length")
    return next(iter(lengths))


# --- options -------------------------------------------------------------------------------------


def to_count(name: str, value: Any) -> int:
    """A number of steps; GraphError unless it is an integer above 0."""
    if not is_integer(value) or value < 1:
        raise GraphError(f"{name} must be an integer above 0, not {shown(value)}")
    return int(value)


def truncated(loop: Loop, every: int) -> Loop:
    """The loop whose carries lose their gradients in each step whose number `every` divides.

    Steps are numbered in the order in which they run, also where that is from the end.
    """
    numbers = apply("iota", shape=(loop.length,), axis=0, dtype=int64)
    if loop.reverse:
        numbers = apply("flip", numbers, axes=(0,))

    def step(carry: Nodes, row: Nodes) -> tuple[Nodes, Nodes]:
        first = remainder(row[-1], every) == 0
        return loop.step([where(first, stop_gradient(c), c) for c in carry], row[:-1])

    return Loop(step, loop.init, [*loop.rows, numbers], loop.length, loop.reverse)


def run_in_segments(loop: Loop, checkpoint: int | str | None, unroll: int) -> tuple[Nodes, Nodes]:
    """Run a loop, in checkpointed segments and with unrolled steps where that is asked."""

    def plain(inner: Loop) -> tuple[Nodes, Nodes]:
        return run(inner) if unroll == 1 else in_segments(inner, unroll, trace, compact=False)

    if checkpoint is None:
        return plain(loop)
    return in_segments(loop, segment(loop.length, checkpoint), plain, compact=True)


def segment(length: Size, checkpoint: int | str) -> int:
    """The number of steps in a segment."""
    if checkpoint != "sqrt":
        return to_count("scan: checkpoint", checkpoint)
    if not isinstance(length, int):
        raise GraphError(
            f'scan: checkpoint="sqrt" needs a length that is an integer, this is {length}: '
            "give the number of steps for each stored carry"
        )
    return max(math.isqrt(length), 1)
