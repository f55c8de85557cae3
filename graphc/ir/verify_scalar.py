"""What must hold of a formula: names are declared and the types of operands agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from graphc.ir import scalar
from graphc.ir.dim import Size
from graphc.ir.kernel import Buffer
from graphc.ir.scalar import (
    BOOL,
    FUNCTIONS,
    SAME,
    SECOND,
    Call,
    Const,
    Index,
    Load,
    Reduce,
    Ref,
    Scalar,
)
from graphc.ir.types import DType, bool_

BINARY = frozenset({
    "add", "subtract", "multiply", "divide", "floor_divide", "remainder", "minimum", "maximum",
    "copysign", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift",
    "bitwise_right_shift", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
    "power", "atan2",
})  # fmt: skip
TERNARY = frozenset({"fma", "where"})


class KernelError(Exception):
    """Something is wrong with a formula or with the statement that it stands in; says what."""


def arity(function: str) -> int:
    """How many arguments a function takes."""
    return 2 if function in BINARY else 3 if function in TERNARY else 1


def verify_scalar(
    value: Scalar,
    buffers: Mapping[str, Buffer],
    values: Mapping[str, DType],
    check_size: Callable[[Size], None],
) -> None:
    """Raise KernelError unless a formula is well formed over buffers and named values."""
    parts = list(scalar.walk([value]))
    if any(isinstance(part, Reduce) for part in parts):
        raise KernelError("a reduction must be lowered to a loop and an accumulator")
    for part in parts:
        if isinstance(part, Call):
            verify_call(part)
        elif isinstance(part, Load):
            verify_load(part, buffers)
            check_size(part.offset)
        elif isinstance(part, Ref):
            verify_reference(part, values)
        elif isinstance(part, Const):
            verify_constant(part)
        elif isinstance(part, Index):
            check_size(part.value)


def verify_load(load: Load, buffers: Mapping[str, Buffer]) -> None:
    """The buffer is the kernel's and of the load's dtype; the guard is a bool."""
    if load.buffer not in buffers:
        raise KernelError(f"there is no buffer %{load.buffer}")
    declared = buffers[load.buffer].dtype
    if declared != load.dtype:
        raise KernelError(f"buffer %{load.buffer} is {declared}, it is loaded as {load.dtype}")
    if load.guard is not None and load.guard.dtype != bool_:
        raise KernelError(f"the guard of a load of %{load.buffer} is {load.guard.dtype}, not bool")


def verify_reference(reference: Ref, values: Mapping[str, DType]) -> None:
    """The name is declared above, with the same dtype."""
    if reference.name not in values:
        raise KernelError(f"%{reference.name} is not in scope")
    declared = values[reference.name]
    if declared != reference.dtype:
        raise KernelError(f"%{reference.name} is {declared}, it is read as {reference.dtype}")


def verify_constant(constant: Const) -> None:
    """The number is of the dtype's kind."""
    dtype = constant.dtype
    kind = float if dtype.is_float else bool if dtype == bool_ else int
    if type(constant.value) is not kind:
        raise KernelError(f"{constant.value!r} is not a constant of {dtype}")


def verify_call(call: Call) -> None:
    """The function exists, and its arguments and result have the types that it says."""
    rule = FUNCTIONS.get(call.function)
    if rule is None:
        raise KernelError(f"there is no function {call.function!r}")
    types = [argument.dtype for argument in call.arguments]
    if len(types) != arity(call.function):
        raise KernelError(f"{call.function} takes {arity(call.function)}, not {len(types)}")
    operands = types[1:] if rule == SECOND else types
    if rule in (SAME, BOOL, SECOND) and len(set(operands)) > 1:
        raise KernelError(f"{call.function} of different types: {', '.join(map(str, operands))}")
    if rule == SECOND and types[0] != bool_:
        raise KernelError(f"the condition of {call.function} is {types[0]}, not bool")
    if call.function == "bitcast" and types[0].bits != call.dtype.bits:
        raise KernelError(f"bitcast of {types[0]} to {call.dtype}, of another width")
    expected = {SAME: operands[0], SECOND: operands[0], BOOL: bool_}.get(rule, call.dtype)
    if call.dtype != expected:
        raise KernelError(f"{call.function} gives {expected} here, not {call.dtype}")
