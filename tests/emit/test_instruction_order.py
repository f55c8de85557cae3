"""The order of a long formula's instructions: chains advance together, and dependences hold."""

import re

import numpy as np
import pytest

import graphc as gx
from graphc.runtime.cpu.instruction_order import chains_together

NAME = re.compile(r"%[\w.]+")


def chain(name, start, steps):
    """A chain of sums, each of which waits for the one before."""
    lines = [f"  %{name}.0 = fadd float {start}, 1.0"]
    return lines + [f"  %{name}.{at} = fadd float %{name}.{at - 1}, 1.0" for at in range(1, steps)]


def test_two_chains_advance_together():
    ordered = chains_together([*chain("a", "%x", 3), *chain("b", "%y", 3)])
    assert [NAME.findall(line)[0] for line in ordered] == [
        "%a.0", "%b.0", "%a.1", "%b.1", "%a.2", "%b.2",
    ]  # fmt: skip


def test_the_longer_way_to_the_end_goes_first():
    ordered = chains_together([*chain("a", "%x", 1), *chain("b", "%y", 4)])
    assert [NAME.findall(line)[0] for line in ordered][:2] == ["%b.0", "%a.0"]


def test_what_reads_or_writes_memory_stays_between_writes():
    lines = [
        "  %a = load float, ptr %p, align 4",
        "  %b = load float, ptr %q, align 4",
        "  store float %b, ptr %p, align 4",
        "  %c = load float, ptr %p, align 4",
        "  %d = call float @elsewhere(float %a)",
        *chain("e", "%a", 5),
        "  call void @graphc_do(ptr %q)",
        "  %f = call <4 x float> @llvm.masked.load.v4f32.p0(ptr %q, i32 4, <4 x i1> %m)",
    ]
    ordered = chains_together(lines)
    places = [ordered.index(lines[at]) for at in (1, 2, 3, 4, 10, 11)]
    assert ordered.index(lines[0]) < places[1]
    assert places == sorted(places)
    assert sorted(ordered) == sorted(lines)


def test_lines_that_begin_or_end_a_basic_block_keep_their_places():
    lines = [
        "  ; for serial %k0 < 4",
        *chain("a", "%x", 2),
        *chain("b", "%y", 3),
        "  br label %next",
        "next:",
        "  %s = phi float [ %a.1, %entry ], [ %c.1, %next ]",
        *chain("c", "%s", 2),
        *chain("d", "%y", 3),
    ]
    ordered = chains_together(lines)
    for at in (0, 6, 7, 8):
        assert ordered[at] == lines[at]
    assert sorted(ordered) == sorted(lines)


def test_each_instruction_follows_those_that_it_depends_on():
    random = np.random.default_rng(7)
    operations = ["fadd float {}, {}", "fmul float {}, {}", "fdiv float {}, {}",
                  "call float @llvm.fma.f32(float {}, float {}, float %x)"]  # fmt: skip
    for count in (1, 2, 30, 200):
        lines = []
        for at in range(count):
            known = ["%x", *(f"%v.{i}" for i in range(max(0, at - 9), at))]
            chosen = (str(random.choice(known)) for _ in range(2))
            text = str(random.choice(operations)).format(*chosen)
            lines.append(f"  %v.{at} = {text}")
        ordered = chains_together(lines)
        assert sorted(ordered) == sorted(lines)
        seen = {"%x"}
        for line in ordered:
            result, *operands = NAME.findall(line)
            assert seen.issuperset(operands)
            seen.add(result)


@pytest.mark.cpu("the text that LLVM compiles")
def test_a_chain_of_functions_is_written_so_and_a_function_alone_is_not():
    x = gx.input("x", (4096,), "float32")

    def polynomials(node):
        """Where the steps of polynomials stand that read the result of the step before."""
        text = gx.compile([x], node).llvm_ir
        lines = [line for line in text.splitlines() if "@llvm.fma" in line]
        pairs = zip(lines, lines[2:], strict=False)  # of two vectors
        return sum(NAME.findall(a)[0] in NAME.findall(b)[1:] for a, b in pairs) / len(lines)

    assert polynomials(gx.exp(x)) > 0.7
    assert polynomials(gx.sigmoid(x) * gx.tanh(x) + gx.exp(-x)) < 0.4
