"""Connectionist temporal classification: scores in time against labels without times."""

from __future__ import annotations

import math

from graphc.errors import GraphError
from graphc.ir.dim import Size
from graphc.ir.node import Node, apply, describe
from graphc.ir.types import int64, show_shape
from graphc.lang.arithmetic import maximum
from graphc.lang.creation import full, full_like
from graphc.lang.indexing import take_along_axis
from graphc.lang.loops import scan
from graphc.lang.movement import concat, expand_dims, pad, reshape, squeeze, stack
from graphc.lang.operands import ArrayLike, as_node, to_float, to_node_dtype
from graphc.lang.reduction import logsumexp, mean, widen
from graphc.lang.selection import where
from graphc.lang.sizes import is_integer, size_value
from graphc.nn.losses import reduced


def ctc_loss(
    log_probs: ArrayLike,
    targets: ArrayLike,
    input_lengths: ArrayLike,
    target_lengths: ArrayLike,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Node:
    """-log of the probability that a sequence reads as its labels, over all ways to align them.

    log_probs are (time, batch, classes), logarithms such as `log_softmax` gives; targets (batch,
    labels) are class numbers other than the blank; the lengths (batch,) say how many steps and
    labels of each example count. Without the batch axis everywhere it is one example. Repeated
    labels are read as one unless a blank stands between. "mean" divides each loss by the number of
    labels (at least 1) before. Labels that do not fit into the steps cost infinity, with gradient
    0, or nothing with zero_infinity. A length beyond its axis or a label out of range gives NaN.
    The forward algorithm, in logarithms, as a scan over time. Graves et al.: Connectionist
    temporal classification (2006). GraphError where shapes or dtypes do not fit.
    """
    scores, labels = to_float(log_probs), as_node(targets)
    steps, count = as_node(input_lengths), as_node(target_lengths)
    check_operands(scores, labels, steps, count, blank)
    single = scores.ndim == 2
    if single:
        scores = expand_dims(scores, 1)
        labels, steps, count = (expand_dims(node, 0) for node in (labels, steps, count))
    labels, steps, count = (to_node_dtype(node, int64) for node in (labels, steps, count))
    path = with_blanks(labels, count, blank)
    ends = last_costs(forward(widen(scores), path, steps, blank), count)
    loss = where(fits(steps, scores.shape[0]) & fits(count, labels.shape[1]), ends, math.nan)
    if zero_infinity:
        loss = where(loss == math.inf, 0, loss)
    loss = to_node_dtype(loss, scores.dtype)
    if reduction == "mean":
        return mean(loss / to_node_dtype(maximum(count, 1), loss.dtype))
    loss = reduced(loss, reduction, "ctc_loss")
    return squeeze(loss, 0) if single and reduction == "none" else loss


def with_blanks(labels: Node, count: Node, blank: int) -> Node:
    """The labels (batch, labels) with blanks around each of them, and for those that do not count.

    (batch, 2 * labels + 1): even places are blanks.
    """
    rows, columns = labels.shape
    places = apply("iota", shape=labels.shape, axis=1, dtype=int64)
    known = where(places < expand_dims(count, 1), labels, blank)
    pairs = reshape(stack([full_like(known, blank), known], axis=2), (rows, 2 * columns))
    return concat([pairs, full((rows, 1), blank, int64)], 1)


def forward(scores: Node, path: Node, steps: Node, blank: int) -> Node:
    """The logarithm of the probability of ending at each place of the path (batch, places).

    A step stays, goes on by one place, or skips a blank between labels that differ. Before the
    first one the path stands at the blank at its beginning: that needs no case of its own.
    """
    emitted = take_along_axis(scores, expand_dims(path, 0), 2)
    may_skip = (path != blank) & (path != moved(path, 2, blank))
    start = where(apply("iota", shape=path.shape, axis=1, dtype=int64) == 0, 0.0, -math.inf)
    times = apply("iota", shape=scores.shape[:1], axis=0, dtype=int64)

    def step(state: Node, row: tuple[Node, Node]) -> tuple[Node, tuple[()]]:
        skipped = where(may_skip, moved(state, 2, -math.inf), -math.inf)
        ways = stack([state, moved(state, 1, -math.inf), skipped])
        after = logsumexp(ways, axis=0) + row[0]
        return where(expand_dims(row[1] < steps, 1), after, state), ()

    last: Node = scan(step, to_node_dtype(start, scores.dtype), (emitted, times))[0]
    return last


def moved(x: Node, places: int, value: float) -> Node:
    """x (batch, places) moved to the right, with a value at the beginning."""
    return pad(x, ((0, 0), (places, 0)), value)[:, : x.shape[1]]


def last_costs(state: Node, count: Node) -> Node:
    """The cost of each example: it ends at its last label or at the blank behind it."""
    end = expand_dims(2 * count, 1)
    blank = take_along_axis(state, end, 1)
    label = take_along_axis(state, maximum(end - 1, 0), 1)
    ends = concat([blank, where(end > 0, label, -math.inf)], 1)
    return -logsumexp(ends, axis=1)


def fits(length: Node, size: Size) -> Node:
    """Whether each length is one of an axis."""
    return (length >= 0) & (length <= size_value(size, int64))


def check_operands(scores: Node, labels: Node, steps: Node, count: Node, blank: int) -> None:
    """GraphError unless the shapes and dtypes of all operands fit."""
    batch = scores.shape[1:-1]
    if scores.ndim not in (2, 3) or labels.ndim != scores.ndim - 1 or labels.shape[:-1] != batch:
        raise GraphError(
            f"ctc_loss: log_probs of shape {show_shape(scores.shape)} and targets of shape "
            f"{show_shape(labels.shape)} must be (time, batch, classes) and (batch, labels), or "
            f"both without batch{describe([scores, labels])}"
        )
    for node, name, shape in (
        (labels, "targets", labels.shape),
        (steps, "input_lengths", batch),
        (count, "target_lengths", batch),
    ):
        if not node.dtype.is_integer or node.shape != shape:
            raise GraphError(
                f"ctc_loss: {name} must be integers of shape {show_shape(shape)}, not {node.type}"
                f"{describe([node])}"
            )
    classes = scores.shape[-1]
    if not is_integer(blank) or blank < 0 or (isinstance(classes, int) and blank >= classes):
        raise GraphError(f"ctc_loss: blank must be one of {classes} classes, not {blank!r}")
