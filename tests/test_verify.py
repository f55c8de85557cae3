"""What the verifier refuses, at every level."""

import numpy as np
import pytest

import graphc as gx
from graphc.errors import GraphError
from graphc.ir import dim, scalar
from graphc.ir.graph import Graph
from graphc.ir.kernel import Accumulate, Buffer, Kernel, Let, Statement, Store, loop
from graphc.ir.literal import Literal
from graphc.ir.parser import parse
from graphc.ir.program import Allocation, Program
from graphc.ir.types import TensorType, bool_, float32, float64, int64
from graphc.ir.verify import verify

# --- graphs --------------------------------------------------------------------------------------


def test_a_used_input_must_be_listed() -> None:
    x = gx.input("x", (2,), "float32")
    with pytest.raises(GraphError, match="input 'x' is used but not listed"):
        verify(Graph((), (gx.exp(x),)))


def test_an_input_inside_a_fusion_must_be_listed() -> None:
    graph = parse("""graph (%x: f32[2]) {
      %0 = fusion(%a = %x) { %0 = exp %a : f32[2] return %0 } : f32[2]
      return %0
    }""")
    assert isinstance(graph, Graph)
    body = graph.outputs[0].attrs["body"]
    object.__setattr__(body, "outputs", (gx.exp(gx.input("b", (2,), "float32")),))
    with pytest.raises(GraphError, match="input 'b' is used but not listed"):
        verify(graph)


def test_inputs_must_be_inputs_listed_once_under_their_own_names() -> None:
    x, again = gx.input("x", (2,), "float32"), gx.input("x", (2,), "float32")
    with pytest.raises(GraphError, match="inputs must be inputs, this is <exp"):
        verify(Graph((gx.exp(x),), ()))
    with pytest.raises(GraphError, match="listed twice"):
        verify(Graph((x, x), (x,)))
    with pytest.raises(GraphError, match="two inputs or variables are named 'x'"):
        verify(Graph((x, again), (x + again,)))


def test_updates_are_of_variables_once_and_of_their_types() -> None:
    x = gx.input("x", (2,), "float32")
    w = gx.variable(np.zeros(2, np.float32), name="w")
    verify(Graph((x,), (), ((w, x),)))
    with pytest.raises(GraphError, match="an update must be of a variable, this is <input 'x'"):
        verify(Graph((x,), (), ((x, x),)))
    with pytest.raises(GraphError, match="'w' is updated twice"):
        verify(Graph((x,), (), ((w, x), (w, w))))
    with pytest.raises(GraphError, match=r"'w' is f32\[2\], its next value is f32\[\]"):
        verify(Graph((x,), (), ((w, gx.sum(x)),)))


def test_a_type_must_be_what_the_operator_says() -> None:
    x = gx.input("x", (2,), "float32")
    y = gx.exp(x)
    object.__setattr__(y, "type", TensorType(float64, (2,)))
    with pytest.raises(GraphError, match=r"exp is said to have type f64\[2\], it has f32\[2\]"):
        verify(Graph((x,), (y,)))


# --- kernels -------------------------------------------------------------------------------------


def in_kernel(lines: str) -> str:
    return f"kernel @k(%x: f32[8*n], %b: bool[8], write %y: f32[8*n]) {{\n{lines}\n}}"


READ = [
    (
        "for unrolled %i < 8 { for parallel %j < 8 { } }",
        "a parallel loop may not stand in one that runs in lockstep",
    ),
    ("for unrolled %i < n { }", "the limit of an unrolled loop must be an integer"),
    ("for vector %i < n lanes 3 { }", "3 lanes: a vector or thread loop has an even number"),
    ("for grid %i < n { for block %j < n { } }", "a block loop stands around all others"),
    ("for serial %i < n { for grid %j < n { } }", "a grid loop stands around all others"),
    ("for grid %i < n { for thread %j < n lanes 32 { } }", "a thread loop stands in block and"),
    ("for thread %i < n { for parallel %j < n { for thread %k < n { } } }", "a thread loop stands"),
    ("for serial %i < n lanes 8 { }", "8 lanes: a vector or thread loop has an even number"),
    ("for wide %i < 8 lanes 4 { }", "a wide loop has at most as many iterations as its 4 lanes"),
    ("for wide %i < 4 lanes 4 { for serial %j < 2 { } }", "a wide loop holds no other one"),
    (
        "for serial %k < n { for wide %i < 4 lanes 4 { let %t: f32 = load %x[2*%k + %i] } }",
        "x[2*%k] is no multiple of 4 elements",
    ),
    ("for unrolled %i < 8 lanes 4 { }", "4 lanes: a vector or thread loop has an even number"),
    (
        "for serial %k < n { for unrolled %i < 4 lanes 4 { let %t: f32 = load %x[2*%k + %i] } }",
        "x[2*%k] is no multiple of 4 elements",
    ),
    (
        "for unrolled %i < 4 lanes 4 { store %y[%i] if less(index(%i), index(n)) = 0.0: f32 }",
        "y is stored under a guard",
    ),
    (
        "for thread %t < 8 lanes 8 { for copy %i < 4 lanes 4 { let %t: f32 = load %x[%i] } }",
        "a copy loop has as many iterations as lanes, and stores what it loads",
    ),
    (
        "for thread %t < 8 lanes 8 { for copy %i < 4 lanes 4 { store %y[%i] = exp(load %x[%i]) } }",
        "a copy loop has as many iterations as lanes, and stores what it loads",
    ),
    (
        "for thread %t < 8 lanes 8 { for copy %i < 2 lanes 4 { store %y[%i] = load %x[%i] } }",
        "a copy loop has as many iterations as lanes, and stores what it loads",
    ),
    (
        "for thread %t < 8 lanes 8 { for copy %i < 4 lanes 4 { store %y[%i] = load %x[2*%i] } }",
        "a copy loop copies neighbours, all of them or none",
    ),
    (
        "for copy %i < 4 lanes 4 { store %y[%i] = load %x[%i] }",
        "a copy loop stands in a thread loop",
    ),
    (
        "for thread %t < 8 lanes 8 { for copy %i < 4 lanes 4 { store %y[%i] = load %x[%i] } }",
        "a copy loop stores to a local buffer that stands around the thread loop",
    ),
    (
        "for block %b < 1 { for thread %t < 8 lanes 8 { local %own: f32[4] "
        "for copy %i < 4 lanes 4 { store %own[%i] = load %x[%i] } } }",
        "a copy loop stores to a local buffer that stands around the thread loop",
    ),
    (
        "accumulator %a: f32 = sum for vector %i < n lanes 6 { accumulate %a load %x[%i] }",
        "6 lanes: to combine them they must be a power of two",
    ),
    ("for serial %i < 8 { for serial %i < 8 { } }", "%i is declared twice"),
    ("for unrolled %i < 8 { for serial %j < %i { } }", "the limit depends on %i, which differs"),
    (
        "for vector %i < 8 lanes 8 { let %v: i64 = index(%i) for serial %j < %v { } }",
        "the limit depends on %v, which differs in lockstep",
    ),
    ("let %t: f32 = load %x[0] let %t: f32 = load %x[1]", "%t is declared twice"),
    ("let %t: f32 = load %x[0] let %u: f32 = load %x[%t]", "%t is f32; only i64 may stand in"),
    ("let %t: f32 = add(load %x[0], 1.0: f64)", "add of different types: f32, f64"),
    ("let %t: f32 = exp(1.0: f32, 2.0: f32)", "exp takes 1, not 2"),
    ("let %t: f32 = where(1: i64, 1.0: f32, 2.0: f32)", "the condition of where is i64, not bool"),
    ("let %t: f64 = bitcast(f64, load %x[0])", "bitcast of f32 to f64, of another width"),
    ("let %t: f32 = load %x[0] if load %x[1]", "the guard of a load of %x is f32, not bool"),
    ("let %t: f32 = reduce(sum, %i < 8, load %x[%i])", "a reduction must be lowered to a loop"),
    ("accumulator %a: f32 = any", "any works on bool, not f32"),
    ("accumulator %a: f32 = sum accumulate %a load %b[0]", "%a accumulates f32, not bool"),
    ("accumulator %a: f32 = sum accumulate %a load %x[0] at 3", "sum remembers no position"),
    ("let %a: f32 = load %x[0] accumulate %a load %x[0]", "%a is not an accumulator in scope"),
    (
        "accumulator %a: f32 = sum for parallel %i < 8 { accumulate %a load %x[%i] }",
        "parallel iterations accumulate into %a",
    ),
    (
        "accumulator %a: f32 = sum for vector %i < 8 lanes 8 {"
        " accumulate %a load %x[%i] store %y[%i] = %a }",
        "%a is read inside the vector loop that accumulates it",
    ),
    (
        "accumulator %a: f32 = last for vector %i < 8 lanes 8 { accumulate %a load %x[%i] }",
        "%a holds what came last, and a vector loop has no order",
    ),
    ("store %x[0] = 1.0: f32", "buffer %x is not declared with `write`"),
    ("store %z[0] = 1.0: f32", "there is no buffer %z"),
    ("store %y[0] = load %b[0]", "buffer %y is f32, the value is bool"),
    ("store %y[0] if load %x[0] = 1.0: f32", "the guard of a store is bool, not f32"),
    ("for serial %i < 16 { for matrix %k < 16 { } }", "a matrix loop has 8 or 16 terms and stands"),
    (
        "for thread %t < 128 lanes 128 { for unrolled %r < 2 "
        "{ for matrix %k < 16 lanes 128 { } } }",
        "a matrix loop of 128 lanes is alone in a serial loop",
    ),
    (
        "for thread %t < 64 lanes 64 { for unrolled %r < 2 "
        "{ for serial %u < 4 { for matrix %k < 16 lanes 128 { } } } }",
        "64 threads are no warpgroups of 128",
    ),
    ("for grid %i < 8 { barrier }", "a barrier stands in a loop with one iteration for each"),
    ("for thread %i < 64 lanes 32 { barrier }", "a barrier stands in a loop with one iteration"),
    (
        "for thread %i < 32 lanes 32 { for serial %j < %i { barrier } }",
        "threads may not come by a barrier equally often in %j",
    ),
    (
        "for thread %i < 32 lanes 32 { let %v: i64 = index(%i) for serial %j < %v { barrier } }",
        "threads may not come by a barrier equally often in %j",
    ),
    (
        "for thread %i < 32 lanes 32 { for vector %j < 8 lanes 8 { barrier } }",
        "threads may not come by a barrier equally often in %j",
    ),
    ("local %l: f32[8]", "a local buffer stands in parallel and serial loops"),
    (
        "for vector %i < 8 lanes 8 { local %l: f32[8] }",
        "a local buffer stands in parallel and serial loops",
    ),
    ("for serial %i < 8 { local %x: f32[8] }", "there is a buffer %x already"),
    ("for serial %i < 8 { local %l: f32[0] }", "a local buffer has elements, not 0"),
    (
        "for serial %i < 8 { local %l: f32[8] store %l[0] = true: bool }",
        "buffer %l is f32, the value is bool",
    ),
]


def test_an_access_may_begin_at_the_smaller_of_two_multiples() -> None:
    at = "maximum(0, minimum(16*%k, 36))"
    lines = "for serial %k < n {{ for wide %i < 4 lanes 4 {{ let %t: f32 = load %x[{} + %i] }} }}"
    verify(parse(in_kernel(lines.format(at))))
    with pytest.raises(GraphError, match="is no multiple of 4 elements"):
        verify(parse(in_kernel(lines.format(at.replace("36", "35")))))


@pytest.mark.parametrize(("lines", "message"), READ, ids=[message for _, message in READ])
def test_kernel_refusal(lines: str, message: str) -> None:
    with pytest.raises(GraphError) as caught:
        verify(parse(in_kernel(lines)))
    assert caught.value.message.startswith(f"kernel @k: {message}")


def kernel_of(*body: Statement) -> Kernel:
    return Kernel("k", (Buffer("x", float32, 8), Buffer("y", float32, 8, True)), body)


ELSEWHERE = dim.symbol("%i", "index", 9)
ONE = scalar.const(float32, 1)
BUILT = [
    (Let("t", scalar.Load(float64, "x", 0, None)), "buffer %x is f32, it is loaded as f64"),
    (Let("t", scalar.Load(float32, "z", 0, None)), "there is no buffer %z"),
    (Let("t", scalar.Ref(float32, "u")), "%u is not in scope"),
    (Let("t", scalar.Const(float32, 1)), "1 is not a constant of f32"),
    (Let("t", scalar.Call(float32, "expo", (ONE,))), "there is no function 'expo'"),
    (Let("t", scalar.Call(bool_, "exp", (ONE,))), "exp gives f32 here, not bool"),
    (Let("t", scalar.index(dim.symbol("%v", "value"))), "%v is not in scope"),
    (Store("y", ELSEWHERE, ONE), "%i is not in scope"),
    (loop("%i", 8, "serial", (Store("y", ELSEWHERE, ONE),)), "%i < 9 stands in a loop up to 8"),
    (loop("%i", 8, "strange", ()), "there is no loop of kind 'strange'"),
    (Accumulate("a", ONE), "%a is not an accumulator in scope"),
]


@pytest.mark.parametrize(("statement", "message"), BUILT, ids=[message for _, message in BUILT])
def test_built_kernel_refusal(statement: Statement, message: str) -> None:
    with pytest.raises(GraphError) as caught:
        verify(kernel_of(statement))
    assert caught.value.message.startswith(f"kernel @k: {message}")


def test_names_end_with_their_block() -> None:
    text = "for serial %i < 8 { let %t: f32 = load %x[%i] }"
    verify(parse(in_kernel(f"{text} {text}")))
    with pytest.raises(GraphError, match="no value %t is in scope"):
        parse(in_kernel(f"{text} store %y[0] = %t"))


def test_a_reference_has_the_declared_dtype() -> None:
    lets = Let("t", ONE), Let("u", scalar.Ref(int64, "t"))
    with pytest.raises(GraphError, match="%t is f32, it is read as i64, in `let %u: i64 = %t`"):
        verify(kernel_of(*lets))


def test_two_buffers_of_one_name() -> None:
    with pytest.raises(GraphError, match="two buffers have one name"):
        verify(Kernel("k", (Buffer("x", float32, 8), Buffer("x", float32, 8)), ()))


# --- programs ------------------------------------------------------------------------------------

COPY = """
kernel @copy(%in: f32[8], write %out: f32[8]) {
  for serial %i < 8 { store %out[%i] = load %in[%i] }
}"""

PROGRAMS = [
    ("call @copy(%x, %y)", "return %y", ""),
    ("", "return %y", "return: %y is read, but it is not written before"),
    ("call @move(%x, %y)", "return %y", "there is no kernel @move"),
    ("call @copy(%x)", "return", "call @copy: 1 arguments for 2 buffers"),
    ("call @copy(%x, %z)", "return", "call @copy: nothing is allocated as %z"),
    ("call @copy(%half, %y)", "return", "call @copy: %half has 4 elements, %in 8"),
    ("call @copy(%wide, %y)", "return", "call @copy: %wide is f64, %in f32"),
    ("call @copy(%t0, %y)", "return", "call @copy: %t0 is read, but it is not written before"),
    ("call @copy(%w, %x)", "return", "call @copy: %x is input and must not be written"),
    ("call @copy(%x, %t0)", "return update %w = %t0", ""),
    ("call @copy(%x, %t0)", "return update %t0 = %t0", "update: %t0 is not a state"),
    ("call @copy(%x, %t0)", "return update %w = %half", "update: %w is f32[8], %half is f32[4]"),
    ("", "return %t9", "return: nothing is allocated as %t9"),
    ("call @copy(%x, %t0) call @copy(%t0, %t1)", "return %t1 reuse %t1 = %t0", ""),
    (
        "call @copy(%x, %t0) call @copy(%t0, %t1)",
        "return %t0 reuse %t1 = %t0",
        "return: %t0 is read, but %t1 has taken its memory",
    ),
    ("", "return reuse %y = %t0", "%y is output: only a temporary reuses memory"),
    ("", "return reuse %t0 = %half", "%t0 needs 32 bytes, %half has 16"),
    ("", "return reuse %t0 = %t1 reuse %t0 = %w", "%t0 reuses two pieces of memory"),
]


@pytest.mark.parametrize(("calls", "end", "message"), PROGRAMS)
def test_program(calls: str, end: str, message: str) -> None:
    text = f"""program {{
      input %x: f32[8] input %half: f32[4] input %wide: f64[8] state %w: f32[8]
      temporary %t0: f32[8] temporary %t1: f32[8] output %y: f32[8]
      {calls} {end}
    }} {COPY}"""
    if not message:
        verify(parse(text))
        return
    with pytest.raises(GraphError) as caught:
        verify(parse(text))
    assert caught.value.message == message


def test_allocations() -> None:
    tensor = TensorType(float32, (2,))
    pairs = [
        ((Allocation("x", "input", tensor),) * 2, "two allocations are named x"),
        ((Allocation("x", "borrowed", tensor),), "there is no kind 'borrowed' of memory"),
        ((Allocation("c", "constant", tensor),), "a constant has a value"),
        (
            (Allocation("c", "constant", tensor, Literal([1.0], float32)),),
            r"%c is f32\[2\], its value is f32\[1\]",
        ),
    ]
    for allocations, message in pairs:
        with pytest.raises(GraphError, match=message):
            verify(Program(allocations, (), (), ()))


def test_memory_without_elements_is_written_by_a_kernel_that_has_nothing_to_store() -> None:
    kernel = "kernel @none(%in: f32[8], write %out: f32[0]) { }"
    text = (
        f"program {{ input %x: f32[8] output %y: f32[0] call @none(%x, %y) return %y }}\n{kernel}"
    )
    verify(parse(text))
    with pytest.raises(GraphError, match="return: %y is read, but it is not written before"):
        verify(parse(text.replace("f32[0]", "f32[1]")))
