"""What the parser refuses: the message says what is wrong or was expected, where, in which line."""

import pytest

from graphc.errors import GraphError
from graphc.ir.parser import parse


def in_graph(line: str) -> str:
    return f"graph (%x: f32[2, n]) {{\n  {line}\n  return\n}}\n"


def in_kernel(line: str) -> str:
    return f"kernel @k(%x: f32[8], write %y: f32[8]) {{\n  {line}\n}}\n"


def in_program(line: str) -> str:
    return f"program {{\n  {line}\n  return\n}}\n"


TEXT = [
    ("", "expected graph, kernel or program, found the end of the text"),
    ("grph () {}", "expected graph, kernel or program, found 'grph'"),
    ("graph (%x: f32[2]) {\n  return %x\n} more", "expected the end of the text, found 'more'"),
    ("graph (%x: f32[2]) {\n  return %x", "expected '}', found the end of the text"),
    ("graph (%x: f32[2]) ;", "no word begins with ';'"),
]
GRAPH = [
    ("%0 = expp %x : f32[2, n]", "there is no operator 'expp': did you mean exp"),
    ("%0 = exp %z : f32[2, n]", "%z is not defined above"),
    ("%0 = exp %x : f32[3, n]", "exp has type f32[2, n] here, not f32[3, n]"),
    ("%0 = exp %x", "expected ':', found 'return'"),
    ("%0 = exp %x, %x : f32[2, n]", "exp: takes 1 operand"),
    ("%0 = sum %x : f32[]", "sum: missing a required "),  # how it goes on is Python's affair
    (
        "%0 = sum %x {axes = [0], much = 1} : f32[]",
        "sum: got an unexpected keyword argument 'much'",
    ),
    ("%0 = exp %x {= 1} : f32[]", "expected an attribute's name, found '='"),
    ("%0 = exp %x : g32[]", "expected a dtype such as f32, found 'g32'"),
    ("%0 = exp %x : f32[2, %n]", "expected a size, such as 784 or 2*batch + 1, found '%n'"),
    ("%0 = exp %x : f32[ceiling(n, 2)]", "expected one of floor_divide, remainder, maximum, minim"),
    ("%0 = exp %x : f32[maximum(n)]", "maximum takes 2 sizes, not 1"),
    ("%x = exp %x : f32[2, n]", "%x is defined twice"),
    ("exp %x", "expected a node such as `%0 = exp %x : f32[2]`, or return, found 'exp'"),
    ("%0 = constant {value = [1.0]} : f32[2]", "the elements have type f32[1], not f32[2]"),
    ("%0 = constant {value = [[1], 2]} : f32[2]", "these are not elements of f32[2]"),
    ("%0 = constant {value = 300} : i8[]", "these are not elements of i8[]"),
    ("%0 = constant {value = 1.5} : i8[]", "these are not elements of i8[]"),
    ("%0 = constant {value = 1.0} : f32[n]", "a literal cannot have the symbolic type f32[n]"),
    ('%0 = constant {value = dense "AA=="} : f32[]', "these are not the bytes of f32[]"),
    ("%0 = constant {value = x} : f32[]", "expected a number, found 'x'"),
    ("%0 = fusion(%a = %z) { return %a } : f32[]", "%z is not defined above"),
    ("%0 = fusion(%a = %x) { return %x } : f32[]", "%x is not defined above"),
]
STATE = [
    ("graph () state (%w: f32[n]) { return }", "state cannot have the symbolic type f32[n]"),
    ("graph (%w: f32[2]) state (%w: f32[2]) { return }", "%w is defined twice"),
]
KERNEL = [
    (
        "loop serial %i < 8 {}",
        "expected for, let, accumulator, accumulate, store, local, barrier or '}', found",
    ),
    (
        "for ordered %i < 8 {}",
        "expected one of serial, parallel, unrolled, vector, wide, copy, grid, block, thread, "
        "matrix, found 'ordered'",
    ),
    ("for serial %i < %j {}", "no loop variable or value %j is in scope here"),
    ("for vector %i < 8 lanes many {}", "expected a number of lanes, found 'many'"),
    ("let %t: f64 = load %x[0]", "the value is f32, not f64"),
    ("let %t: f32 = load %z[0]", "the kernel has no buffer %z"),
    ("let %t: f32 = load %x[%i]", "no loop variable or value %i is in scope here"),
    ("let %t: f32 = %u", "no value %u is in scope here"),
    ("let %t: f32 = expo(load %x[0])", "there is no function 'expo': did you mean exp"),
    ("let %t: f32 = exp(load %x[0]", "expected ')', found '}'"),
    ("let %t: f32 = exp()", "expected a value such as %t0, 1.0: f32, load %x[%i0] or add(...)"),
    ("let %t: f32 = where(true: bool)", "where takes more arguments"),
    ("let %t: f32 = 1.0", "expected ':', found '}'"),
    ("let %t: i32 = 1.5: i32", "1.5 is not a constant of int32"),
    ("let %t: f32 = add(#0, load %x[0])", "#0 is not defined before in this line"),
    ("let %t: f32 = add(#0 = 1.0: f32, #0 = 2.0: f32)", "#0 is defined twice in this line"),
    ("accumulator %a: f32 = mean", "expected one of sum, prod, max, min, any, all, argmax, argmin"),
    ("accumulate %a 1.0: f32", "no accumulator %a is in scope here"),
]
PROGRAM = [
    (
        "register %x: f32[2]",
        "expected one of input, state, constant, temporary, output, call, repeat, while, if or ret",
    ),
    ("constant %c: f32[2] = [1.0]", "the elements have type f32[1], not f32[2]"),
    ("call double(%x)", "expected a kernel's name such as @sum_0, found 'double'"),
]
CASES = [
    *TEXT,
    *STATE,
    *((in_graph(line), message) for line, message in GRAPH),
    *((in_kernel(line), message) for line, message in KERNEL),
    *((in_program(line), message) for line, message in PROGRAM),
]


@pytest.mark.parametrize(("text", "message"), CASES, ids=[message for _, message in CASES])
def test_refusal(text: str, message: str) -> None:
    with pytest.raises(GraphError) as caught:
        parse(text, "a.gc")
    assert caught.value.message.startswith(message)
    assert "a.gc:" in str(caught.value.where)


def test_an_error_shows_line_column_and_text() -> None:
    with pytest.raises(GraphError) as caught:
        parse("graph (\n  %x: f32[2],\n  %y f32[2]\n) { return }", "a.gc")
    assert str(caught.value) == "expected ':', found 'f32'\n  at a.gc:3:6: %y f32[2]"
