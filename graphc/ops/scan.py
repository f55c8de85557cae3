"""A loop over the elements of sequences that hands values from step to step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir.dim import Size
from graphc.ir.graph import Graph, items_of
from graphc.ir.node import Node, apply
from graphc.ir.op import register
from graphc.ir.scan_parts import Scan, take_apart
from graphc.ir.types import TensorType, TupleType
from graphc.lang.movement import moveaxis
from graphc.ops.batching import repeated
from graphc.ops.fusion import Several, moving_on_batch, show, size_of_batch, stand_in
from graphc.ops.scan_derivatives import pull_back_scan, push_forward_scan


@register
class ScanOp(Several):
    """`body` run `length` times, from its carries and one element of each sequence.

    Operands are the first carries, the sequences (along axis 0) and constants; so are the inputs
    of the body. Its outputs are the next carries and values that are stacked. The results are the
    last carries and the stacks. With `reverse` the last elements come first, and stacks are
    filled from their ends. `compact` keeps passes from moving work out at the price of memory.
    """

    name = "scan"

    def infer(
        self, *types: Any, body: Graph, carries: int, sequences: int, length: Size,
        reverse: bool, compact: bool,
    ) -> TupleType:  # fmt: skip
        """The carries' types, then those of the stacked outputs with a first axis of `length`."""
        inside = tuple(node.tensor for node in body.inputs)
        first = carries + sequences
        inner = (*types[:carries], *(element(t, length) for t in types[carries:first]))
        if (*inner, *types[first:]) != inside:
            raise TypeRuleError(f"operands are {show(types)}, the body takes {show(inside)}")
        results = tuple(node.tensor for node in body.outputs)
        if results[:carries] != types[:carries]:
            raise TypeRuleError(
                f"carries begin as {show(types[:carries])}, the next are {show(results[:carries])}"
            )
        stacks = (TensorType(t.dtype, (length, *t.shape)) for t in results[carries:])
        return TupleType((*results[:carries], *stacks))

    def vjp_results(self, node: Node, gradients: Sequence[Node | None]) -> Sequence[Node | None]:
        """A scan in the other direction, over the carries that the steps began from."""
        return pull_back_scan(node, gradients)

    def jvp_results(self, node: Node, tangents: Sequence[Node | None]) -> Sequence[Node | None]:
        """A scan with the tangents of the carries beside them."""
        return push_forward_scan(node, tangents)

    def batch_results(
        self, node: Node, operands: Sequence[Node], batched: Sequence[bool]
    ) -> Sequence[Node]:
        """A scan over all examples at once: the batch axis stands behind that of the steps."""
        scan, size = take_apart(node), size_of_batch(operands, batched)
        flags, done = moving_on_batch(scan.body, scan.carries, batched, size)
        outputs = [done.get(output, output) for output in scan.body.outputs]
        for place in range(scan.carries):
            if flags[place] and scan.body.outputs[place] not in done:
                outputs[place] = repeated(outputs[place], size)
        pairs = list(zip(scan.body.inputs, flags, strict=True))
        body = Graph(tuple(stand_in(x, size) if flag else x for x, flag in pairs), tuple(outputs))
        whole = [
            inside_loop(scan, place, operand, batched[place], flags[place], size)
            for place, operand in enumerate(operands)
        ]
        made = apply("scan", *whole, **{**node.attrs, "body": body})
        differ = [*flags[: scan.carries], *(result in done for result in scan.results)]
        return [
            (moveaxis(item, 1, 0) if place >= scan.carries else item)
            if differ[place]
            else repeated(item, size)
            for place, item in enumerate(items_of(made))
        ]

    def reference(
        self, *arrays: Any, body: Callable[..., list[Any]], carries: int, sequences: int,
        length: int, reverse: bool, compact: bool,
    ) -> Any:  # fmt: skip
        """A loop in Python; where it has no step, one on zeros says what is stacked."""
        first = carries + sequences
        state, rows, rest = arrays[:carries], arrays[carries:first], arrays[first:]
        seen: list[Sequence[Any]] = []
        for t in reversed(range(length)) if reverse else range(length):
            outputs = body(*state, *(row[t] for row in rows), *rest)
            state = tuple(outputs[:carries])
            seen.append(outputs[carries:])
        if seen:
            columns = zip(*(reversed(seen) if reverse else seen), strict=True)
            return (*state, *map(np.stack, columns))
        zeros = (np.zeros(row.shape[1:], row.dtype) for row in rows)
        like = body(*state, *zeros, *rest)[carries:]
        return (*state, *(np.zeros((0, *value.shape), value.dtype) for value in like))


def element(sequence: TensorType, length: Size) -> TensorType:
    """The type of a sequence's elements; TypeRuleError unless it has `length` of them."""
    if sequence.shape[:1] != (length,):
        raise TypeRuleError(f"a sequence must have a first axis of {length}, this is {sequence}")
    return TensorType(sequence.dtype, sequence.shape[1:])


def inside_loop(
    scan: Scan, place: int, operand: Node, batched: bool, differs: bool, size: Size
) -> Node:
    """An operand as the scan over a batch takes it: sequences keep the axis of steps in front."""
    if batched and scan.carries <= place < scan.first_constant:
        return moveaxis(operand, 0, 1)
    return repeated(operand, size) if differs and not batched else operand
