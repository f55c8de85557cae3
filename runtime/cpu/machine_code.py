"""Kernels that measure a processor, as LLVM text: from registers alone, and through memory.

    define float @NAME(ptr %a, ptr %b, i64 %count, i64 %repeats, float %f, float %g)

Each passes over `count` vectors, so many at once, and repeats that: `peak` and `peak_double` do
fused multiply-adds on registers, `exponential` takes exp of all of a into b, `read` adds up a,
`write` fills b, and `copy` stores a as b. `write_past` and `copy_past` store past the caches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

FLOAT = 4  # bytes
CHAINS = 12  # independent sums: enough for two pipelines of latency 4, few enough for 16 registers
UNROLLED = 8
ALIGNED = 64

LOOPS = """
define float @{name}(ptr %a, ptr %b, i64 %count, i64 %repeats, float %f, float %g) {{
entry:
{splats}
  br label %again
again:
  %repeat = phi i64 [0, %entry], [%repeat.next, %done]
  br label %body
body:
  %i = phi i64 [0, %again], [%i.next, %body]
{phis}
{body}
  %i.next = add i64 %i, {step}
  %more = icmp ult i64 %i.next, %count
  br i1 %more, label %body, label %done
done:
  %repeat.next = add i64 %repeat, 1
  %another = icmp ult i64 %repeat.next, %repeats
  br i1 %another, label %again, label %end
end:
{end}
}}
"""


def machine_code(width: int) -> str:
    """The text of all kernels, for vectors of so many float32."""
    vectors = [f"<{width} x float>", f"<{width // 2} x double>"]
    kernels = [peak("peak", "float", width), peak("peak_double", "double", width // 2)]
    kernels += [read(width), exponential(width)]
    kernels += [kernel(width, past) for kernel in (write, copy) for past in (False, True)]
    declared = [f"declare {v} @{fma(v)}({v}, {v}, {v})" for v in vectors]
    declared += [f"declare {vectors[0]} @llvm.rint.v{width}f32({vectors[0]})", "!0 = !{i32 1}"]
    return "\n".join([*declared, *kernels])


def loops(
    name: str,
    vector: str,
    step: int,
    phis: Iterable[str],
    body: Iterable[str],
    end: str = "  ret float 0.0",
) -> str:
    """The text of a kernel."""
    return LOOPS.format(
        name=name, splats="\n".join(splats(vector)), step=step, phis="\n".join(phis),
        body="\n".join(body), end=end,
    )  # fmt: skip


def splats(vector: str) -> list[str]:
    """Lines that make the vectors %x and %y of the arguments %f and %g."""
    width, element = parts(vector)
    lines = []
    for name, argument in (("x", "f"), ("y", "g")):
        number = f"%{argument}"
        if element == "double":
            number = f"%{argument}d"
            lines.append(f"  {number} = fpext float %{argument} to double")
        lines += [
            f"  %{name}1 = insertelement {vector} poison, {element} {number}, i64 0",
            f"  %{name} = shufflevector {vector} %{name}1, {vector} poison, "
            f"<{width} x i32> zeroinitializer",
        ]
    return lines


def parts(vector: str) -> tuple[int, str]:
    """The width and the element's type of a vector's type."""
    width, _, element = vector.strip("<>").partition(" x ")
    return int(width), element


def fma(vector: str) -> str:
    """The name of the fused multiply-add of a vector's type."""
    width, element = parts(vector)
    return f"llvm.fma.v{width}f{64 if element == 'double' else 32}"


def accumulating(
    name: str, vector: str, count: int, step: int, update: Callable[[int], list[str]]
) -> str:
    """A kernel that carries `count` sums, and gives one lane of each added up."""
    element = parts(vector)[1]
    phis = [f"  %s{k} = phi {vector} [%x, %again], [%t{k}, %body]" for k in range(count)]
    body = [line for k in range(count) for line in update(k)]
    end, total = [f"  %e0 = extractelement {vector} %t0, i64 0"], "%e0"
    for k in range(1, count):
        end.append(f"  %e{k} = extractelement {vector} %t{k}, i64 0")
        end.append(f"  %f{k} = fadd {element} {total}, %e{k}")
        total = f"%f{k}"
    if element == "double":
        end.append(f"  %result = fptrunc double {total} to float")
        total = "%result"
    return loops(name, vector, step, phis, body, "\n".join([*end, f"  ret float {total}"]))


def peak(name: str, element: str, width: int) -> str:
    """Fused multiply-adds on registers alone."""
    v = f"<{width} x {element}>"

    def update(k: int) -> list[str]:
        return [f"  %t{k} = call {v} @{fma(v)}({v} %s{k}, {v} %x, {v} %y)"]

    return accumulating(name, v, CHAINS, CHAINS, update)


def address(pointer: str, width: int, k: int) -> list[str]:
    """The lines that make the address of the k-th vector from here."""
    return [
        f"  %{pointer}i{k} = add i64 %i, {k}",
        f"  %{pointer}p{k} = getelementptr <{width} x float>, ptr %{pointer}, i64 %{pointer}i{k}",
    ]


def load(pointer: str, width: int, k: int) -> list[str]:
    """The lines that load the k-th vector from here as %v."""
    fetched = f"  %v{k} = load <{width} x float>, ptr %{pointer}p{k}, align {ALIGNED}"
    return [*address(pointer, width, k), fetched]


def store(value: str, width: int, k: int, past_cache: bool) -> list[str]:
    """The lines that store a value as the k-th vector of b, perhaps past the caches."""
    hint = ", !nontemporal !0" if past_cache else ""
    stored = f"  store <{width} x float> {value}, ptr %bp{k}, align {ALIGNED}{hint}"
    return [*address("b", width, k), stored]


def read(width: int) -> str:
    """Sums of all elements of a."""
    vector = f"<{width} x float>"
    return accumulating(
        "read", vector, UNROLLED, UNROLLED,
        lambda k: [*load("a", width, k), f"  %t{k} = fadd {vector} %s{k}, %v{k}"],
    )  # fmt: skip


def write(width: int, past_cache: bool) -> str:
    """One vector into all of b."""
    body = [line for k in range(UNROLLED) for line in store("%x", width, k, past_cache)]
    return loops(f"write{'_past' * past_cache}", f"<{width} x float>", UNROLLED, [], body)


def copy(width: int, past_cache: bool) -> str:
    """All of a into b."""
    body = [
        line
        for k in range(UNROLLED)
        for line in [*load("a", width, k), *store(f"%v{k}", width, k, past_cache)]
    ]
    return loops(f"copy{'_past' * past_cache}", f"<{width} x float>", UNROLLED, [], body)


LOG2_E = math.log2(math.e)
TAYLOR = [math.log(2) ** n / math.factorial(n) for n in range(6)]


def exponential(width: int) -> str:
    """exp of all of a into b: 2**n times a polynomial of degree 5, to about seven digits."""
    body = [line for k in range(UNROLLED) for line in exponential_lines(width, k)]
    return loops("exponential", f"<{width} x float>", UNROLLED, [], body)


def exponential_lines(width: int, k: int) -> list[str]:
    """The lines of one vector of exponentials."""
    v, whole = f"<{width} x float>", f"<{width} x i32>"
    lines = [
        *load("a", width, k),
        f"  %m{k} = fmul {v} %v{k}, {constant(LOG2_E, width)}",
        f"  %n{k} = call {v} @llvm.rint.v{width}f32({v} %m{k})",
        f"  %r{k} = fsub {v} %m{k}, %n{k}",
    ]
    power = constant(TAYLOR[-1], width)
    for place, coefficient in reversed(list(enumerate(TAYLOR[:-1]))):
        operands = f"{v} {power}, {v} %r{k}, {v} {constant(coefficient, width)}"
        lines.append(f"  %q{k}_{place} = call {v} @{fma(v)}({operands})")
        power = f"%q{k}_{place}"
    shift = f"<{', '.join(['i32 23'] * width)}>"
    lines += [
        f"  %j{k} = fptosi {v} %n{k} to {whole}",
        f"  %h{k} = shl {whole} %j{k}, {shift}",
        f"  %c{k} = bitcast {v} {power} to {whole}",
        f"  %d{k} = add {whole} %c{k}, %h{k}",
        f"  %w{k} = bitcast {whole} %d{k} to {v}",
    ]
    return [*lines, *store(f"%w{k}", width, k, False)]


def constant(number: float, width: int) -> str:
    """A vector of one float32 as LLVM writes it."""
    bits = int(np.float64(np.float32(number)).view(np.int64))
    return f"<{', '.join([f'float 0x{bits:016X}'] * width)}>"
