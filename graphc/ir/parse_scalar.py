"""Reading a formula; calls may be nested to any depth, so the open ones stand on a stack."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

from graphc.ir import scalar
from graphc.ir.dim import Dim, Symbol, atom
from graphc.ir.kernel import Buffer
from graphc.ir.lexer import Reader, Token, unquote_name
from graphc.ir.parse_value import Variables, is_float, parse_dtype, parse_number, parse_size
from graphc.ir.scalar import BOOL, FUNCTIONS, GIVEN, REDUCTIONS, SECOND, Call, Load, Reduce, Ref
from graphc.ir.types import DType, bool_, int64


@dataclass
class Open:
    """A call whose arguments are being read; or a load whose guard is, without parentheses."""

    word: Token
    label: str
    load: Load | None = None
    dtype: DType | None = None
    kind: str = ""
    ranges: tuple[Dim, ...] = ()
    arguments: list[scalar.Scalar] = field(default_factory=list)


class ScalarReader:
    """Reads one formula in the scope of a statement."""

    def __init__(
        self,
        reader: Reader,
        buffers: Mapping[str, Buffer],
        values: Mapping[str, DType],
        variables: Variables,
    ) -> None:
        """Values are the dtypes of lets and accumulators; variables may stand in offsets."""
        self.reader = reader
        self.buffers = buffers
        self.values = values
        self.variables = dict(variables)
        self.labels: dict[str, scalar.Scalar] = {}
        self.open: list[Open] = []

    def read(self) -> scalar.Scalar:
        """The formula."""
        while True:
            label = self.label()
            value = self.begin(label)
            if value is None:
                continue
            self.remember(label, value)
            while self.open:
                call = self.open[-1]
                call.arguments.append(value)
                if call.load is None and self.reader.accept(","):
                    break
                value = self.close(self.open.pop())
                self.remember(call.label, value)
            else:
                return value

    def label(self) -> str:
        """The `#0` of `#0 = VALUE`, or nothing."""
        reader = self.reader
        if reader.next.kind != "label" or reader.peek(1).text != "=":
            return ""
        token = reader.take()
        reader.expect("=")
        if token.text in self.labels:
            raise reader.error(f"{token.text} is defined twice in this line", token)
        return token.text

    def remember(self, label: str, value: scalar.Scalar) -> None:
        """Gives a value its label, if it has one."""
        if label:
            self.labels[label] = value

    def begin(self, label: str) -> scalar.Scalar | None:
        """A value without others inside, or None where one with others was opened."""
        token = self.reader.next
        if token.kind == "name":
            return self.reference()
        if token.kind == "label":
            return self.use()
        if token.text in ("-", "true", "false") or token.kind == "int" or is_float(self.reader):
            return self.constant()
        if token.text == "index":
            return self.index()
        if token.text == "load":
            return self.load(label)
        self.call(label)
        return None

    def reference(self) -> scalar.Scalar:
        """The value of a let or an accumulator."""
        token = self.reader.take()
        name = unquote_name(token.text)
        if name not in self.values:
            raise self.reader.error(f"no value {token.text} is in scope here", token)
        return Ref(self.values[name], name)

    def use(self) -> scalar.Scalar:
        """Another use of a part of the same line."""
        token = self.reader.take()
        if token.text not in self.labels:
            raise self.reader.error(f"{token.text} is not defined before in this line", token)
        return self.labels[token.text]

    def constant(self) -> scalar.Scalar:
        """`1.0: f32`."""
        token = self.reader.next
        value = parse_number(self.reader)
        self.reader.expect(":")
        dtype = parse_dtype(self.reader)
        kind = "float" if dtype.is_float else "bool" if dtype == bool_ else "int"
        if type(value).__name__ != kind:
            raise self.reader.error(f"{value} is not a constant of {dtype.name}", token)
        return scalar.const(dtype, value)

    def index(self) -> scalar.Scalar:
        """`index(2*%i0 + 1)`."""
        self.reader.take()
        self.reader.expect("(")
        size = parse_size(self.reader, self.variables)
        self.reader.expect(")")
        return scalar.index(size)

    def load(self, label: str) -> scalar.Scalar | None:
        """`load %x[OFFSET]`; one with a guard is opened."""
        word = self.reader.take()
        token = self.reader.name()
        buffer = self.buffers.get(unquote_name(token.text))
        if buffer is None:
            raise self.reader.error(f"the kernel has no buffer {token.text}", token)
        self.reader.expect("[")
        offset = parse_size(self.reader, self.variables)
        self.reader.expect("]")
        load = Load(buffer.dtype, buffer.name, offset, None)
        if not self.reader.accept("if"):
            return load
        self.open.append(Open(word, label, load))
        return None

    def call(self, label: str) -> None:
        """Opens `exp(`, `cast(f32, ` or `reduce(sum, %k0 < 784, `."""
        what = "a value such as %t0, 1.0: f32, load %x[%i0] or add(...)"
        call = Open(self.reader.expect_word(what), label)
        known = (*FUNCTIONS, "reduce")
        if call.word.text not in known:
            close = difflib.get_close_matches(call.word.text, known)
            hint = f": did you mean {' or '.join(close)}?" if close else ""
            raise self.reader.error(f"there is no function {call.word.text!r}{hint}", call.word)
        self.reader.expect("(")
        if call.word.text == "reduce":
            self.ranges(call)
        elif FUNCTIONS[call.word.text] == GIVEN:
            call.dtype = parse_dtype(self.reader)
            self.reader.expect(",")
        self.open.append(call)

    def ranges(self, call: Open) -> None:
        """`sum, %k0 < 784, `: the kind of a reduction and its loop variables."""
        call.kind = self.reader.expect_word(f"one of {', '.join(REDUCTIONS)}", *REDUCTIONS).text
        self.reader.expect(",")
        while self.reader.next.kind == "name" and self.reader.peek(1).text == "<":
            name = self.reader.take().text
            self.reader.expect("<")
            variable = atom(Symbol(name, "index", parse_size(self.reader, self.variables)))
            self.reader.expect(",")
            self.variables[name] = variable
            call.ranges += (variable,)

    def close(self, call: Open) -> scalar.Scalar:
        """The value of a call or guarded load whose parts are read."""
        if call.load is not None:
            return Load(call.load.dtype, call.load.buffer, call.load.offset, call.arguments[0])
        self.reader.expect(")")
        if call.kind:
            dtype = int64 if call.kind in ("argmax", "argmin") else call.arguments[0].dtype
            return Reduce(dtype, call.kind, call.ranges, call.arguments[0])
        return Call(self.result(call), call.word.text, tuple(call.arguments))

    def result(self, call: Open) -> DType:
        """The dtype of a call's result."""
        rule = FUNCTIONS[call.word.text]
        if call.dtype is not None:
            return call.dtype
        if rule == BOOL:
            return bool_
        if rule == SECOND and len(call.arguments) < 2:
            raise self.reader.error(f"{call.word.text} takes more arguments", call.word)
        return call.arguments[1 if rule == SECOND else 0].dtype
