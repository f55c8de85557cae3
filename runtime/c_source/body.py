"""Body: the lines of a function in the making, and formulas as expressions in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from graphc.ir import scalar
from graphc.ir.dim import Size, Symbol
from graphc.ir.scalar import TRANSCENDENTAL, Call, Const, Index, Load, Ref, Scalar
from graphc.ir.types import DType, float32
from graphc.runtime.c_source import functions
from graphc.runtime.c_source.functions import Context
from graphc.runtime.c_source.index_width import WIDE
from graphc.runtime.c_source.names import Names
from graphc.runtime.c_source.sizes import bare, operand, size_text
from graphc.runtime.c_source.types import HALVES, REGISTERS, computed, literal

LONGEST = 70  # characters of an expression; a longer one gets a name
# What these make of 16-bit floats is one again; other results, in float32, must be rounded.
EXACT = frozenset((
    "where", "negative", "abs", "minimum", "maximum", "copysign", "floor", "ceil", "trunc", "round",
))  # fmt: skip


class Body:
    """Lines of C, indented by the block that they stand in; index is the type of loop variables.

    elements names those elements of buffers that are in registers, by buffer and offset, settled
    has those that are zero where the guard of their loads does not hold. locals
    has the names of the buffers that are no parameters, registers of those that hold values as they
    are computed, shared of those that the threads of a block have in common.
    """

    def __init__(self, context: Context, names: Names, index: str = WIDE) -> None:
        self.index = index
        self.elements: dict[tuple[str, Size], str] = {}
        self.locals: set[str] = set()
        self.registers: set[str] = set()
        self.shared: set[str] = set()
        self.settled: set[tuple[str, Size]] = set()
        self.context = context
        self.names = names
        self.lines: list[str] = []
        self.indent = "  "

    def line(self, text: str) -> None:
        """Append a line."""
        self.lines.append(self.indent + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """A block in braces around what stands inside."""
        self.line(f"{head} {{")
        self.indent += "  "
        yield
        self.indent = self.indent[:-2]
        self.line("}")

    @contextmanager
    def unrolled(self, head: str) -> Iterator[None]:
        """A loop that the compiler should take apart, so that arrays become registers."""
        self.unroll()
        with self.block(head):
            yield

    def unroll(self) -> None:
        """Ask the compiler to take the next loop apart."""
        if self.context.dialect.unroll:
            self.line(self.context.dialect.unroll)

    # --- formulas ----------------------------------------------------------------------------

    def expressions(self, roots: Sequence[Scalar]) -> list[str]:
        """The text of formulas; what is used twice, or long, is named in a line before."""
        order = list(scalar.walk(roots))
        uses = Counter(child for node in order for child in scalar.children(node))
        uses.update(roots)
        texts: dict[Scalar, str] = {}
        for node in order:
            text = self.text(node, [texts[child] for child in scalar.children(node)])
            named = isinstance(node, Call | Load) and (uses[node] > 1 or len(text) > LONGEST)
            if named and node not in roots:
                text = self.name(node.dtype, text)
            texts[node] = text
        return [bare(texts[root]) for root in roots]

    def expression(self, value: Scalar) -> str:
        """The text of a formula."""
        return self.expressions([value])[0]

    def name(self, dtype: DType, text: str) -> str:
        """A name for a value, which is computed here."""
        name = self.names.fresh("e")
        self.line(f"const {REGISTERS[dtype.name]} {name} = {bare(text)};")
        return name

    def text(self, node: Scalar, operands: list[str]) -> str:
        """The expression of one node over those of its children."""
        if isinstance(node, Const):
            return literal(self.context.dialect, node.dtype, node.value)
        if isinstance(node, Ref):
            return self.names.of("value", node.name)
        if isinstance(node, Index):
            text = operand(self.size(node.value))
            return text if self.index == WIDE else f"(int64_t){text}"
        if isinstance(node, Load):
            return self.load(node, operands)
        assert isinstance(node, Call), f"a {type(node).__name__} has no value of its own"
        return self.call(node, operands)

    def load(self, node: Load, guard: list[str]) -> str:
        """An element of a buffer, or zero where the guard is false."""
        element = self.element(node.buffer, node.offset)
        is_value = node.buffer in self.registers
        text = element if is_value else functions.from_memory(self.context, element, node.dtype)
        if not guard or (node.buffer, node.offset) in self.settled:
            return text
        return f"({guard[0]} ? {text} : {literal(self.context.dialect, node.dtype, 0)})"

    def element(self, buffer: str, offset: Size) -> str:
        """An element of a buffer."""
        held = self.elements.get((buffer, offset))
        return held or f"{self.names.of('buffer', buffer)}[{bare(self.size(offset))}]"

    def copied(self, load: Load) -> str:
        """An element as it lies in memory."""
        element = self.element(load.buffer, load.offset)
        if load.guard is None or (load.buffer, load.offset) in self.settled:
            return element
        return f"{self.expression(load.guard)} ? {element} : 0"

    def call(self, node: Call, operands: list[str]) -> str:
        """A function of values."""
        if node.function in TRANSCENDENTAL:
            return self.elementary(node, operands)
        source = node.arguments[-1].dtype
        if node.function == "cast":
            return functions.cast(self.context, operands[0], source, node.dtype)
        if node.function == "bitcast":
            return functions.bitcast(self.context, operands[0], source, node.dtype)
        text = functions.apply(self.context, node.function, source, operands)
        return self.rounded(node, text)

    def elementary(self, node: Call, operands: list[str]) -> str:
        """A function of passes/math; 16-bit floats are computed in float32."""
        name = self.context.need(f"{node.function}_{computed(node.dtype).name}")
        return self.rounded(node, f"{name}({', '.join(map(bare, operands))})")

    def rounded(self, node: Call, text: str) -> str:
        """A result as its type holds it: the same whether it is stored or used at once."""
        if node.dtype not in HALVES or node.function in EXACT:
            return text
        return functions.cast(self.context, text, float32, node.dtype)

    def size(self, size: Size) -> str:
        """A size or offset as an expression."""
        return size_text(size, self.symbol, self.context.need)

    def symbol(self, symbol: Symbol) -> str:
        """The identifier of a size, of a loop's variable, or of a value that stands in a size."""
        return self.names.of("size" if symbol.kind == "size" else "value", symbol.name)


def formula(context: Context, value: Scalar) -> list[str]:
    """A formula over parameters as statements that end in a return."""
    body = Body(context, Names())
    body.line(f"return {body.expression(value)};")
    return body.lines
