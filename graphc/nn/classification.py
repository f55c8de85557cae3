"""Losses of scores against classes.

Names and options are PyTorch's (`negative_log_likelihood` is its `nll_loss`). Scores have the
classes in axis 1, (batch, classes, ...), or are one example (classes,). `reduction` is "mean",
"sum" or "none".
"""

from __future__ import annotations

from graphc.errors import GraphError, shown
from graphc.ir.node import Node, apply, describe
from graphc.ir.types import bool_, int64, show_shape
from graphc.lang.arithmetic import relu
from graphc.lang.creation import ones
from graphc.lang.indexing import take, take_along_axis
from graphc.lang.losses import softmax_parts
from graphc.lang.movement import expand_dims, moveaxis, squeeze
from graphc.lang.normalization import log_softmax
from graphc.lang.operands import ArrayLike, as_node, to_float, to_node_dtype
from graphc.lang.reduction import mean, sum, widen
from graphc.lang.selection import where
from graphc.lang.sizes import is_integer, size_value
from graphc.nn.losses import finite_at_0, reduced
from graphc.nn.options import real


def cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Node:
    """-log(softmax(input)[target]) of scores, weighted by class.

    Targets are class numbers, of input's shape without the classes, or probabilities in input's
    shape. label_smoothing e mixes 1 - e of the target with e of all classes alike (Szegedy et al.:
    Rethinking the Inception architecture, 2016). Targets of ignore_index count for nothing; it may
    be a number that their dtype cannot hold. The mean is over the weights of the targets' classes,
    for probabilities over the examples, computed in float32 for 16-bit scores; it is NaN where all
    are ignored. A class number out of range gives NaN. Classes may have scores of -inf, where the
    target is not. GraphError where shapes, dtypes or options do not fit.
    """
    label_smoothing = real(label_smoothing, "cross_entropy: label_smoothing")
    if not 0 <= label_smoothing <= 1:
        raise GraphError(f"cross_entropy: label_smoothing must be 0 to 1, not {label_smoothing}")
    scores, goal = classes_last(input, "cross_entropy"), as_node(target)
    if goal.dtype.is_float:
        return soft_loss(log_softmax(scores), goal, weight, reduction, label_smoothing)
    return picked_loss(
        "cross_entropy", *softmax_parts(scores), goal, weight, ignore_index, reduction,
        label_smoothing,
    )  # fmt: skip


def negative_log_likelihood(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Node:
    """-input[target] of logarithms of probabilities, weighted by class; else as cross_entropy."""
    logs, goal = classes_last(input, "negative_log_likelihood"), as_node(target)
    what = "negative_log_likelihood"
    return picked_loss(what, logs, None, goal, weight, ignore_index, reduction, 0.0)


def classes_last(input: ArrayLike, what: str) -> Node:
    """Scores with the classes moved from axis 1 (0 for one example) to the end."""
    node = to_float(input)
    if not node.ndim:
        raise GraphError(f"{what}: scores need an axis of classes{describe([node])}")
    return moveaxis(node, min(1, node.ndim - 1), -1)


def soft_loss(
    logs: Node, target: ArrayLike, weight: ArrayLike | None, reduction: str, smoothing: float
) -> Node:
    """The loss of logarithms, classes last, against probabilities, classes in axis 1."""
    goal = to_node_dtype(classes_last(target, "cross_entropy"), logs.dtype)
    if goal.shape != logs.shape:
        raise GraphError(
            f"cross_entropy: probabilities and scores must have one shape, not "
            f"{show_shape(goal.shape)} and {show_shape(logs.shape)} (classes last)"
            f"{describe([as_node(target)])}"
        )
    if smoothing:
        goal = (1 - smoothing) * goal + smoothing / size_value(logs.shape[-1], logs.dtype)
    terms = goal * finite_at_0(logs, goal)
    if weight is not None:
        terms = terms * class_weights(weight, logs, "cross_entropy")
    return reduced(-sum(terms, axis=-1), reduction, "cross_entropy")


def picked_loss(
    what: str,
    scores: Node,
    total: Node | None,
    target: Node,
    weight: ArrayLike | None,
    ignore_index: int,
    reduction: str,
    smoothing: float,
) -> Node:
    """The loss of logarithms, classes last, against class numbers.

    The logarithms are the scores, less a total for each example where there is one.
    """
    check_classes(what, scores, target)
    counts = not_ignored(what, target, ignore_index)
    chosen = where(counts, target, 0)
    weights = None if weight is None else class_weights(weight, scores, what)
    share = counts.astype(scores.dtype)
    if weights is not None:
        share = share * take(weights, chosen)
    picked = squeeze(take_along_axis(scores, expand_dims(chosen, chosen.ndim), -1), -1)
    picked = picked if total is None else picked - total
    loss = (1 - smoothing) * share * where(counts, -picked, 0)
    if smoothing:
        logs = scores if total is None else scores - expand_dims(total, total.ndim)
        every = mean(logs if weights is None else logs * weights, axis=-1)
        loss = loss - smoothing * where(counts, every, 0)
    return mean_by_share(loss, share) if reduction == "mean" else reduced(loss, reduction, what)


def not_ignored(what: str, target: Node, ignore_index: int) -> Node:
    """Which targets are not ignore_index: all of a dtype that cannot hold it."""
    if not is_integer(ignore_index):
        raise GraphError(f"{what}: ignore_index must be an integer, not {shown(ignore_index)}")
    low, high = target.dtype.limits
    if low <= ignore_index <= high:
        return target != int(ignore_index)
    return ones(target.shape, bool_)


def mean_by_share(loss: Node, share: Node) -> Node:
    """The sum of losses over the sum of shares, neither of which need fit into 16 bits."""
    return to_node_dtype(sum(widen(loss)) / sum(widen(share)), loss.dtype)


def class_weights(weight: ArrayLike, logs: Node, what: str) -> Node:
    """A weight for each class; GraphError where there are more or fewer."""
    node = to_node_dtype(as_node(weight), logs.dtype)
    if node.shape != logs.shape[-1:]:
        raise GraphError(
            f"{what}: weight must have shape {show_shape(logs.shape[-1:])}, one number a class, "
            f"not {show_shape(node.shape)}{describe([node])}"
        )
    return node


def check_classes(what: str, scores: Node, target: Node) -> None:
    """GraphError unless targets are integers of the scores' shape without the classes."""
    if not target.dtype.is_integer:
        raise GraphError(f"{what}: class numbers must be integers, not {target.dtype.name}")
    if target.shape != scores.shape[:-1]:
        raise GraphError(
            f"{what}: class numbers must have shape {show_shape(scores.shape[:-1])}, that of the "
            f"scores without the classes, not {show_shape(target.shape)}{describe([target])}"
        )


def multi_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    p: int = 1,
    margin: float = 1.0,
    weight: ArrayLike | None = None,
    reduction: str = "mean",
) -> Node:
    """The hinge loss of several classes (Crammer, Singer, 2001): input is (batch, classes).

    The sum over the other classes of max(0, margin - input[target] + input[class])**p, divided by
    the number of classes and weighted by the target's. p is 1 or 2.
    """
    scores, goal = classes_last(input, "multi_margin_loss"), as_node(target)
    check_classes("multi_margin_loss", scores, goal)
    if p not in (1, 2):
        raise GraphError(f"multi_margin_loss: p must be 1 or 2, not {p!r}")
    place = expand_dims(goal, goal.ndim)
    beyond = relu(margin - take_along_axis(scores, place, -1) + scores)
    terms = beyond if p == 1 else beyond * beyond
    classes = apply("iota", shape=scores.shape, axis=scores.ndim - 1, dtype=int64)
    loss = mean(where(to_node_dtype(place, int64) == classes, 0, terms), axis=-1)
    if weight is not None:
        loss = loss * take(class_weights(weight, scores, "multi_margin_loss"), goal)
    return reduced(loss, reduction, "multi_margin_loss")
