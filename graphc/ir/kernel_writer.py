"""KernelWriter: a kernel's statements written one after another, as a program reads.

    x, y = kernel.operands[0], kernel.results[0]
    with kernel.loop("parallel", rows) as row:
        total = kernel.accumulator("sum", float32)
        with kernel.loop("serial", columns) as column:
            total.accumulate(x[row, column])
            y[row, column] = total.value

What stands in a `with` block is the body of that loop; the kinds of loop are those of
`graphc.ir.kernel`. A Scalar is a formula, evaluated by the statement that it stands in: to keep
what a buffer or an accumulator holds now, name it by `let` or `bind`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from graphc.ir import dim, scalar
from graphc.ir.dim import Dim, Size, Symbol
from graphc.ir.kernel import (
    Accumulate,
    Accumulator,
    Buffer,
    For,
    Kernel,
    Let,
    Statement,
    Store,
)
from graphc.ir.recombine import recombine
from graphc.ir.scalar import Load, Ref, Scalar
from graphc.ir.types import DType, TensorType, int64, row_major_strides


class KernelWriter:
    """A kernel in the making: its buffers as arrays, and the block that statements go to."""

    def __init__(
        self,
        operands: Sequence[TensorType],
        results: Sequence[TensorType],
        scratch: Sequence[TensorType] = (),
    ) -> None:
        self.buffers: list[Buffer] = []
        self.operands = [self.array(f"in{k}", t, False) for k, t in enumerate(operands)]
        self.results = [self.array(f"out{k}", t, True) for k, t in enumerate(results)]
        self.scratch = [self.array(f"scratch{k}", t, True) for k, t in enumerate(scratch)]
        self.blocks: list[list[Statement]] = [[]]
        self.names = itertools.count()

    def array(self, name: str, tensor: TensorType, written: bool) -> Array:
        """A buffer of the kernel, as an array."""
        self.buffers.append(Buffer(name, tensor.dtype, tensor.size, written))
        return Array(self, name, tensor.dtype, tensor.shape)

    def kernel(self, name: str, origin: tuple[str, ...] = ()) -> Kernel:
        """The finished kernel."""
        return Kernel(name, tuple(self.buffers), tuple(self.blocks[0]), origin)

    def write(self, statement: Statement) -> None:
        """Put a statement at the end of the innermost block."""
        self.blocks[-1].append(statement)

    # --- loops -------------------------------------------------------------------------------

    @contextmanager
    def loop(self, kind: str, limit: Size, lanes: int = 1) -> Iterator[Dim]:
        """A loop around what stands inside; it gives the loop's variable.

        kind is "parallel" (iterations are independent), "serial" or "vector" (with so many lanes).
        """
        variable = Symbol(f"%i{next(self.names)}", "index", limit)
        self.blocks.append([])
        yield dim.atom(variable)
        self.write(For(variable, kind, tuple(self.blocks.pop()), lanes))

    @contextmanager
    def nest(self, kind: str, limits: Sequence[Size]) -> Iterator[tuple[Dim, ...]]:
        """Loops of one kind inside each other; it gives their variables, the outermost first."""
        with ExitStack() as stack:
            yield tuple(stack.enter_context(self.loop(kind, limit)) for limit in limits)

    @contextmanager
    def when(self, condition: Scalar) -> Iterator[None]:
        """What stands inside runs only where a bool holds: a loop of one iteration or of none."""
        with self.loop("serial", self.bind(scalar.cast(condition, int64))):
            yield

    # --- values ------------------------------------------------------------------------------

    def let(self, value: Scalar) -> Scalar:
        """The value as it is now, under a name."""
        name = f"t{next(self.names)}"
        self.write(Let(name, value))
        return Ref(value.dtype, name)

    def bind(self, value: Scalar) -> Dim:
        """An int64 value as it is now, as a size: it may stand in indices and limits."""
        name = f"t{next(self.names)}"
        self.write(Let(name, value))
        return dim.symbol(f"%{name}", "value")

    def accumulator(self, kind: str, dtype: DType) -> Total:
        """A new accumulator of a kind in `kernel.ACCUMULATORS`."""
        name = f"s{next(self.names)}"
        self.write(Accumulator(name, kind, dtype))
        return Total(self, name, int64 if kind.startswith("arg") else dtype)


@dataclass(frozen=True, slots=True)
class Array:
    """A buffer seen as an array: `x[i, j]` reads an element, `x[i, j] = value` stores one."""

    writer: KernelWriter
    name: str
    dtype: DType
    shape: tuple[Size, ...]

    def __getitem__(self, index: Size | tuple[Size, ...]) -> Scalar:
        return Load(self.dtype, self.name, self.offset(index), None)

    def __setitem__(self, index: Size | tuple[Size, ...], value: Scalar) -> None:
        self.writer.write(Store(self.name, self.offset(index), value))

    def where(self, guard: Scalar, index: Size | tuple[Size, ...]) -> Scalar:
        """The element at an index; where the guard is false it is not read, and the value is 0."""
        return Load(self.dtype, self.name, self.offset(index), guard)

    def reshape(self, *shape: Size) -> Array:
        """The same elements in another shape."""
        return Array(self.writer, self.name, self.dtype, shape)

    def offset(self, index: Size | tuple[Size, ...]) -> Size:
        """Where an index stands in memory, in elements."""
        places = index if isinstance(index, tuple) else (index,)
        strides = row_major_strides(self.shape)
        return recombine(sum((p * s for p, s in zip(places, strides, strict=True)), start=0))


@dataclass(frozen=True, slots=True)
class Total:
    """An accumulator of a kernel in the making."""

    writer: KernelWriter
    name: str
    dtype: DType

    def accumulate(self, value: Scalar, position: Size = 0) -> None:
        """Combine one more value into it; argmax and argmin remember the position."""
        self.writer.write(Accumulate(self.name, value, position))

    @property
    def value(self) -> Scalar:
        """What it holds where the formula is evaluated."""
        return Ref(self.dtype, self.name)

    @property
    def index(self) -> Dim:
        """The same of an int64 accumulator as a size, to stand in indices and limits."""
        return dim.symbol(f"%{self.name}", "value")
