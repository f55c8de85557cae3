"""What must hold of loops and branches in a program."""

import pytest

from graphc.errors import GraphError
from graphc.ir.parser import parse
from graphc.ir.verify import verify

COPY = """
kernel @copy(%in: f32[8], write %out: f32[8]) {
  for serial %i < 8 { store %out[%i] = load %in[%i] }
}"""

PROGRAMS = [
    ("repeat %i < 4 { call @copy(%x[8*%i], %y) }", ""),
    ("repeat %i < 4 { call @copy(%x[24 - 8*%i], %y) }", ""),
    ("repeat %i < 4 { call @copy(%x[8*remainder(%i, 2)], %y) }", ""),
    ("repeat %i < 5 { call @copy(%x[8*%i], %y) }", "%x has 32 elements, %in 8 from 8*%i"),
    ("repeat %i < 4 { call @copy(%x[16 - 8*%i], %y) }", "%x has 32 elements, %in 8 from -8*%i"),
    ("repeat %i < 3 { repeat %i < 2 { call @copy(%x, %y) } }", "a loop around it has the variable"),
    (
        "repeat %i < 3 { call @copy(%t0, %y) call @copy(%x, %t0) }",
        "%t0 is read, but it is not written before",
    ),
    (
        "call @copy(%x, %t0) repeat %i < 3 { call @copy(%t0, %t1) call @copy(%t1, %y) }",
        "%t0 is read, but %t1 has taken its memory",
    ),
    ("call @copy(%x, %y) while %go { call @copy(%x, %y) }", ""),
    ("while %x { call @copy(%x, %y) }", "%x is f32[32], not one bool"),
    ("if %go { call @copy(%x, %y) } else { call @copy(%x[8], %y) }", ""),
    (
        "if %go { call @copy(%x, %t0) } else { call @copy(%t0, %y) }",
        "%t0 is read, but it is not written before",
    ),
]


@pytest.mark.parametrize(("steps", "message"), PROGRAMS)
def test_program(steps: str, message: str) -> None:
    text = f"""program {{
      input %x: f32[32] input %go: bool[]
      temporary %t0: f32[8] temporary %t1: f32[8] output %y: f32[8]
      {steps} return %y
      {"reuse %t1 = %t0" if "taken" in message else ""}
    }} {COPY}"""
    if not message:
        verify(parse(text))
        return
    with pytest.raises(GraphError) as caught:
        verify(parse(text))
    assert message in caught.value.message
