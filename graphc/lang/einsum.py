"""Einstein's notation: products of arrays, summed over the labels that the result does not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphc.errors import GraphError, shown
from graphc.ir.dim import Size, product
from graphc.ir.node import Node, apply, describe, word
from graphc.ir.size_proof import advice
from graphc.lang.contraction_order import contraction_order, needed
from graphc.lang.movement import moveaxis, permute_dims, reshape
from graphc.lang.operands import ArrayLike, same_dtype
from graphc.lang.reduction import sum
from graphc.lang.triangles import diagonal


@word
def einsum(subscripts: str, *operands: ArrayLike) -> Node:
    """The sum of products that subscripts such as "bij,bjk->bik" say, in the promoted dtype.

    A letter names an axis. Axes of one letter go together; letters that the result does not have
    are summed over. Without "->" the result has those that occur once, in alphabetical order.
    Several factors are multiplied pair by pair, in the order of the fewest products. GraphError
    where letters do not fit the axes or their sizes differ; an ellipsis is not supported.
    """
    if not isinstance(subscripts, str):
        raise GraphError(f"einsum: the first argument is the subscripts, not {shown(subscripts)}")
    nodes = list(same_dtype(*operands)) if operands else []
    terms, output = parse(subscripts, nodes)
    sizes = label_sizes(terms, output, nodes)
    factors = [without_repeats(*pair) for pair in zip(nodes, terms, strict=True)]
    for i, j in contraction_order([labels for _, labels in factors], output, sizes):
        second, first = factors.pop(j), factors.pop(i)
        kept = needed(first[1] + second[1], [labels for _, labels in factors], output)
        factors.append(multiply(first, second, kept, sizes))
    ((node, labels),) = factors
    node, labels = summed(node, labels, output)
    return permute_dims(node, [labels.index(label) for label in output])


Factor = tuple[Node, str]


def parse(subscripts: str, nodes: Sequence[Node]) -> tuple[list[str], str]:
    """The labels of each operand and of the result; GraphError where they do not fit."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    letters = "".join(terms)
    once = "".join(sorted(label for label in set(letters) if letters.count(label) == 1))
    output = right if arrow else once
    if not all(term.isalpha() or not term for term in (*terms, output)):
        raise GraphError(f"einsum: subscripts are letters, commas and ->, not {subscripts!r}")
    if len(terms) != len(nodes):
        raise GraphError(f"einsum: {subscripts!r} has {len(terms)} terms for {len(nodes)} arrays")
    for term, node in zip(terms, nodes, strict=True):
        if len(term) != node.ndim:
            raise GraphError(f"einsum: {term!r} names {len(term)} axes{describe([node])}")
    return terms, output


def label_sizes(terms: Sequence[str], output: str, nodes: Sequence[Node]) -> dict[str, Size]:
    """The size of each label; GraphError where it has two, or the result has an unknown one."""
    sizes: dict[str, Size] = {}
    for term, node in zip(terms, nodes, strict=True):
        for label, size in zip(term, node.shape, strict=True):
            if sizes.setdefault(label, size) != size:
                raise GraphError(
                    f"einsum: {label!r} is {sizes[label]} in one array and {size} in another"
                    f"{advice(sizes[label], size)}{describe(nodes)}"
                )
    for label in output:
        if label not in sizes or output.count(label) > 1:
            raise GraphError(f"einsum: the result's {label!r} must stand once and in an operand")
    return sizes


def without_repeats(node: Node, labels: str) -> Factor:
    """An operand with each label once: the diagonal of axes that share one."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first, second = [k for k, other in enumerate(labels) if other == label][:2]
            node = diagonal(moveaxis(node, (first, second), (-2, -1)))
            rest = [other for k, other in enumerate(labels) if k not in (first, second)]
            labels = "".join(rest) + label
    return node, labels


def summed(node: Node, labels: str, kept: str) -> Factor:
    """A factor without the labels that nobody needs any more."""
    gone = tuple(k for k, label in enumerate(labels) if label not in kept)
    total = sum(node, axis=gone, dtype=node.dtype) if gone else node
    return total, "".join(label for label in labels if label in kept)


def multiply(first: Factor, second: Factor, kept: str, sizes: Mapping[str, Size]) -> Factor:
    """The product of two factors as one of stacks of matrices, summed over what is not kept."""
    x, left = summed(*first, kept + second[1])
    y, right = summed(*second, kept + left)
    both = [label for label in left if label in right]
    batch = [label for label in both if label in kept]
    inner = [label for label in both if label not in kept]
    rows = [label for label in left if label not in right]
    columns = [label for label in right if label not in left]
    stacks = [
        grouped(x, left, batch, rows, inner, sizes),
        grouped(y, right, batch, inner, columns, sizes),
    ]
    # With nothing to sum over, the product of matrices is one of elements.
    made = apply("matmul", *stacks) if inner else stacks[0] * stacks[1]
    labels = batch + rows + columns
    return reshape(made, [sizes[label] for label in labels]), "".join(labels)


def grouped(
    node: Node,
    labels: str,
    batch: Sequence[str],
    rows: Sequence[str],
    columns: Sequence[str],
    sizes: Mapping[str, Size],
) -> Node:
    """A factor as a stack of matrices."""
    order = [labels.index(label) for label in (*batch, *rows, *columns)]
    shape = [sizes[label] for label in batch]
    shape += [product(sizes[label] for label in group) for group in (rows, columns)]
    return reshape(permute_dims(node, order), shape)
