"""What keeps an operator out of a kernel: it could not be written, or it would cost more.

Each function gives the reason as a part of a sentence, for the record, or None.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from graphc.ir import dim
from graphc.ir.node import Node
from graphc.ops.kept_products import CONTRACTIONS
from graphc.ops.kinds import Elementwise
from graphc.passes.fusion_group import (
    REDUCTIONS,
    Access,
    Group,
    index_of,
    is_elementary,
    is_expensive,
    is_free,
    linear_offset,
    reads_of,
    source_of,
    typical_size,
    without_units,
)
from graphc.passes.machine import typical
from graphc.passes.panels import PANELS
from graphc.passes.stage_rows import MAX_ROW

# A kernel of more operators than this takes long to compile and runs out of registers.
MAX_OPERATORS = 64
# How often an element may be computed again instead of stored, by its cost.
MAX_EVALUATIONS_CHEAP, MAX_EVALUATIONS_EXPENSIVE = 3, 2
# In how many loops of a kernel a value may be read that is cheap, or kept for all of them.
MAX_LOOPS = 8
# Elements that a device computes in vain in less time than it takes to launch a kernel for them.
LAUNCHED = 1 << 18


def legal(node: Node, group: Group) -> str | None:
    """Why a kernel that computes a node inside a group could not be written; None if it can."""
    accesses = group.reads[node]
    name = node.op.name
    if name in CONTRACTIONS:
        return contraction_refusal(node, group)
    if name == "stage" and stages_contraction(node):
        return contraction_refusal(node, group)
    if name in REDUCTIONS:
        return reduction_refusal(node, group)
    if name == "concat" and any(access.guarded for access in accesses):
        return "a concatenation inside another would nest its guards"
    return None


def contraction_refusal(node: Node, group: Group) -> str | None:
    """Why a matrix product cannot be the heart of a group."""
    if group.contraction is not None or group.has_reduction:
        return "a kernel holds one matrix product, and no other reduction beside it"
    whole = Access(index_of(node.shape, group.loops))
    accesses = list(group.reads[node])
    if accesses == [whole] and without_units(node.shape) == group.domain:
        return None
    if node.op.name == "convolution" and has_outputs_last(accesses, group):
        return None
    return "a matrix product must be read exactly at the indices of the kernel's loops"


def has_outputs_last(accesses: list[Access], group: Group) -> bool:
    """Whether a convolution is read once at the kernel's loops, along its outputs innermost."""
    if len(accesses) != 1 or accesses[0].guarded or accesses[0].operand >= 0 or not group.loops:
        return False
    index = accesses[0].index
    named = [part for part in index if not isinstance(part, int)]
    return index[1] == group.loops[-1] and sorted(map(str, named)) == sorted(map(str, group.loops))


def reduction_refusal(node: Node, group: Group) -> str | None:
    """Why a reduction cannot stand in a group's loops."""
    if group.contraction is not None:
        return "a tile of a matrix product does not see the whole row that a reduction needs"
    if len(group.reads[node]) != 1:
        return "it would be reduced again for each of several indices"
    (access,) = group.reads[node]
    if access.guarded or not group.is_prefix(node, access):
        return "its loop would run again for each element: its index is not that of outer loops"
    if not without_units(node.shape) and group.domain:
        return "one result for the whole kernel is a kernel of its own"
    return None


def good(node: Node, group: Group, in_vectors: bool) -> str | None:
    """Why computing a node inside a group would cost more than it saves; None if it pays.

    in_vectors says that a processor computes, in vectors (`graphc.passes.fuse`).
    """
    accesses = group.reads[node]
    if any(access.operand >= 0 for access in accesses):
        return contraction_operand_refusal(node, group, in_vectors)
    if is_free(node):
        return None
    if group.operators >= MAX_OPERATORS:
        return f"the kernel has {MAX_OPERATORS} operators already"
    if any(is_gathered(access) for access in accesses) and not is_picked(node, group):
        return "it is read at places that are known only at run time"
    in_vain = any(access.guarded for access in accesses) and not is_cheap(node)
    if in_vain and (in_vectors or typical(dim.product(group.domain)) > LAUNCHED):
        return "it would be computed for elements that a guard throws away"
    return evaluation_refusal(node, group)


def evaluation_refusal(node: Node, group: Group) -> str | None:
    """Why a node would be evaluated too often for what it costs."""
    accesses = group.reads[node]
    most = MAX_EVALUATIONS_EXPENSIVE if is_expensive(node) else MAX_EVALUATIONS_CHEAP
    by_loop = Counter(frozenset().union(*map(dim.variables, a.index)) for a in accesses)
    apart = len(by_loop) <= MAX_LOOPS and (is_elementary(node) or is_kept(node, accesses))
    if (max(by_loop.values(), default=0) if apart else len(accesses)) > most:
        return f"it would be computed {len(accesses)} times for each element"
    if not is_cheap(node) and not all(follows_outer_loop(access, group) for access in accesses):
        return "it would be computed again for each pass over an outer loop"
    return None


def is_kept(node: Node, accesses: Iterable[Access]) -> bool:
    """Whether loops over one row read a node, so that the row is computed once and kept."""
    rows = {access.index[:-1] for access in accesses}
    length = node.shape[-1] if node.ndim else None
    return len(rows) == 1 and isinstance(length, int) and length * node.dtype.bytes <= MAX_ROW


def follows_outer_loop(access: Access, group: Group) -> bool:
    """Whether a value differs for each pass over the outermost loop, or stands before it."""
    if not access.index or not group.loops:
        return True
    return any(dim.variables(group.loops[0]) <= dim.variables(part) for part in access.index)


def contraction_operand_refusal(node: Node, group: Group, in_vectors: bool) -> str | None:
    """Why an operand that is read again and again must stand in memory as it is."""
    heart = group.contraction
    tiled = heart is not None and heart.op.name == "matmul"
    if not is_free(node):
        what = "a tile of a matrix product" if tiled else "a window that slides"
        return f"{what} reads its operands many times"
    if is_staged(node):
        return None
    column = str(group.loops[-1]) if group.loops else ""  # a product of one number has no loops
    for access in group.reads[node]:
        for operand, read in reads_of(node, access, group):
            offset = linear_offset(read.index, operand.shape)
            if tiled and lies_in_panels(offset, column):
                continue
            stride = dim.coefficient(offset, column)
            apart = in_vectors and stride not in (0, 1)
            if apart and (read.operand == 1 or not tiled):
                what = "the matrix product's" if tiled else "the kernel's"
                return f"its columns would not be contiguous for {what} vectors"
            if dim_calls(offset):
                return "its places take a division each, once for every multiplication"
    return None


def lies_in_panels(offset: dim.Size, column: str) -> bool:
    """Whether columns lie side by side in panels, so that a loop over each reads one stream."""
    for panel in PANELS:
        strip, inside = dim.symbol("%panel", "index"), dim.symbol("%column", "index", panel)
        split = dim.substitute(offset, {column: strip * panel + inside})
        if dim.coefficient(split, "%column") == 1 and not dim_calls(split):
            return True
    return False


def stages_contraction(node: Node) -> bool:
    """Whether a value is a product in another order, which it puts into memory as it is made."""
    (node,) = node.inputs
    while is_free(node) and node.inputs:
        node = node.inputs[0]
    return node.op.name in CONTRACTIONS


def is_staged(node: Node) -> bool:
    """Whether movements lead to a value that was put into memory for its reader."""
    while is_free(node) and node.inputs:
        node = node.inputs[0]
    return node.op.name == "stage"


def dim_calls(offset: dim.Size) -> bool:
    """Whether an offset contains a division or another call of loop variables."""
    return any(
        isinstance(atom, dim.DimCall) and dim.variables(dim.atom(atom))
        for monomial, _ in dim.terms_of(offset)
        for atom in monomial
    )


def is_gathered(access: Access) -> bool:
    """Whether an index depends on loaded values."""
    return any(v.kind == "value" for part in access.index for v in dim.variables(part))


def is_picked(node: Node, group: Group) -> bool:
    """Whether a cheap node is gathered no more often than it has elements."""
    gathers = [
        member
        for member in group.members
        if not isinstance(member.op, Elementwise)
        and any(source_of(operand) is node for operand in member.inputs)
    ]
    picked = sum(typical_size(member) for member in gathers)
    return is_elementary(node) and bool(gathers) and picked <= typical_size(node)


def is_cheap(node: Node) -> bool:
    """Whether an element takes a few instructions."""
    return not (is_expensive(node) or node.op.name in REDUCTIONS or node.op.name in CONTRACTIONS)
