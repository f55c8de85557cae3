"""The text form of a program: what memory it uses, what it runs in order, then its kernels.

    program {
      input %x: f32[batch, 784]
      constant %c: f32[2] = [1.0, 2.0]
      temporary %t0: f32[batch, 784]
      output %y: f32[batch]
      // fuse: merge exp, sum: the sum reads it once (saves 4 KiB)
      call @sum_0(%x, %t0, %y)
      repeat %i0 < n {
        call @add_0(%c[8*%i0], %y)
      }
      return %y
      update %w = %t0
      reuse %t1 = %t0
    }

Allocations come first, then calls and loops of them, results, next values of states, and memory
taken over.
"""

from __future__ import annotations

from graphc.ir.lexer import quote_name
from graphc.ir.print_kernel import print_kernel
from graphc.ir.print_value import print_data
from graphc.ir.program import Allocation, Branch, CallKernel, Decision, Program, Repeat, Step


def print_program(program: Program) -> str:
    """The text of a program; decisions are comments."""
    lines = [
        *map(print_allocation, program.allocations),
        *map(print_decision, program.decisions),
        *(line for step in program.steps for line in print_step(step)),
        f"return {names(program.outputs)}".rstrip(),
        *(f"update {names([target])} = {names([value])}" for target, value in program.updates),
        *(f"reuse {names([later])} = {names([owner])}" for later, owner in program.reuses),
    ]
    block = "\n".join(["program {", *(f"  {line}" for line in lines), "}"]) + "\n"
    return "\n".join([block, *map(print_kernel, program.kernels)])


def print_allocation(allocation: Allocation) -> str:
    """A buffer: its kind, name, type, and the value of a constant."""
    value = "" if allocation.value is None else f" = {print_data(allocation.value)}"
    return f"{allocation.kind} {quote_name('%', allocation.name)}: {allocation.type}{value}"


def print_step(step: Step) -> list[str]:
    """The line of a call, or the lines of a loop or a branch."""
    if isinstance(step, CallKernel):
        return [print_call(step)]
    if isinstance(step, Branch):
        head = f"if {names([step.condition])} {{"
        return [head, *print_steps(step.yes), "} else {", *print_steps(step.no), "}"]
    if isinstance(step, Repeat):
        head = f"repeat {step.variable} < {step.variable.limit} {{"
    else:
        head = f"while {names([step.condition])} {{"
    return [head, *print_steps(step.steps), "}"]


def print_steps(steps: tuple[Step, ...]) -> list[str]:
    """The lines of steps inside another."""
    return [f"  {line}" for step in steps for line in print_step(step)]


def print_call(call: CallKernel) -> str:
    """The call of a kernel."""
    places = (names([name]) + (f"[{at}]" if at != 0 else "") for name, at in call.places)
    return f"call {quote_name('@', call.kernel)}({', '.join(places)})"


def print_decision(decision: Decision) -> str:
    """What a pass chose, in a comment of one line."""
    numbers = ", ".join(f"{name} {number}" for name, number in decision.numbers)
    ending = [f" ({numbers})" if numbers else "", *(f" at {place}" for place in decision.where)]
    text = f"{decision.stage}: {decision.choice} {decision.subject}: {decision.reason}"
    return "// " + " ".join((text + "".join(ending)).split())


def names(names: tuple[str, ...] | list[str]) -> str:
    """Names of allocations, with commas between them."""
    return ", ".join(quote_name("%", name) for name in names)
