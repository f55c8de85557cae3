"""split_loops: cut a loop where its variable is divided, so that offsets become polynomials."""

from __future__ import annotations

from dataclasses import replace

from graphc.ir import dim
from graphc.ir.kernel import For, Kernel, Statement, loop, sizes, statements, substitute, variable
from graphc.ir.program import Program
from graphc.passes.machine import VECTOR
from graphc.passes.on_kernels import on_kernels


def split_loops(program: Program) -> Program:
    """Make two loops of each independent one whose variable is divided by a divisor of its limit.

    i // 32 and i % 32 become the variables of an outer and an inner loop. Where it is divided by
    several, of which each divides the next, there is one more loop for each.
    """
    return on_kernels(program, split_kernel)


def split_kernel(kernel: Kernel) -> Kernel:
    """The kernel with its loops over results cut."""
    return replace(kernel, body=split_body(kernel.body))


def split_body(body: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """A block with its independent loops cut, outer ones first."""
    return tuple(split(s) if isinstance(s, For) and s.kind == "parallel" else s for s in body)


def split(nest: For) -> For:
    """A loop cut at the least number that its variable is divided by; as it is if there is none."""
    found = divisors(nest)
    divisor = min(found, default=0)
    if not found or any(whole % divisor for whole in (nest.limit, *found)):
        return replace(nest, body=split_body(nest.body))
    name = nest.variable.name
    outer = loop(f"{name}p", nest.limit // divisor, nest.kind, ())
    inner = loop(f"{name}q", divisor, nest.kind, ())
    at = {name: variable(outer) * divisor + variable(inner)}
    body = split_body(substitute(nest.body, at))
    if divisor < VECTOR and not any(isinstance(s, For) and s.kind == "parallel" for s in body):
        return replace(inner, body=(split(replace(outer, body=body)),))  # or vectors would be idle
    return split(replace(outer, body=(replace(inner, body=body),)))


def divisors(nest: For) -> set[int]:
    """The numbers that a loop's variable is divided by, by itself, in sizes and offsets."""
    found = [size for statement in statements(nest.body) for size in sizes(statement)]
    atoms = [atom for size in found for monomial, _ in dim.terms_of(size) for atom in monomial]
    mine = variable(nest)
    return {
        atom.right
        for atom in atoms
        if isinstance(atom, dim.DimCall)
        and atom.function in ("floor_divide", "remainder")
        and atom.left == mine
        and isinstance(atom.right, int)
    }
