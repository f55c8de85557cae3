"""The text of the native call: records written out, layouts in place, no addresses."""

import ctypes
import re

import pytest

from graphc.runtime.cpu import call_records, python_api
from graphc.runtime.cpu.call_code import call_code, functions_of_python
from graphc.runtime.cpu.code_generator import parse
from graphc.runtime.cpu.keeper_code import keeper_code


def test_fields_are_read_and_written_by_name() -> None:
    text = call_records.with_records(
        "define void @f(ptr %step) {\n"
        "  %next = get Step.arenas, %step\n"
        "  set Arena.room, %next, 5\n"
        "  ret void\n"
        "}\n"
    )
    assert "; 0 next  1 size  2 room  3 binding\n%Arena = type { ptr, i64, i64, i64 }" in text
    assert text.endswith(
        "define void @f(ptr %step) {\n"
        "  %next.at = getelementptr %Step, ptr %step, i32 0, i32 11\n"
        "  %next = load ptr, ptr %next.at, align 8\n"
        "  %next.room.to = getelementptr %Arena, ptr %next, i32 0, i32 2\n"
        "  store i64 5, ptr %next.room.to, align 8\n"
        "  ret void\n"
        "}\n"
    )
    parse(text)


@pytest.mark.parametrize("record", call_records.RECORDS)
def test_records_are_words_side_by_side(record: type[ctypes.Structure]) -> None:
    fields = call_records.fields(record)
    assert ctypes.sizeof(record) == 8 * len(fields)
    for name, (_, at) in fields.items():
        assert getattr(record, name).offset == 8 * at


def test_the_call_looks_at_arrays_where_their_fields_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TYPE", "DATA", "RANK", "DIMENSIONS", "DTYPE", "FLAGS", "ITEMS"):
        before = set(re.findall(r"getelementptr i8, ptr %\S+, i64 \d+", call_code()))
        monkeypatch.setattr(python_api, name, 7000 + getattr(python_api, name))
        after = set(re.findall(r"getelementptr i8, ptr %\S+, i64 \d+", call_code()))
        assert {int(line.rpartition(" ")[2]) for line in after - before} == {
            getattr(python_api, name)
        }


@pytest.mark.parametrize("text", [call_code(), keeper_code()], ids=["call", "keeper"])
def test_the_text_is_whole_and_knows_no_address(text: str) -> None:
    module = parse(text)
    declared = {f.name for f in module.functions if f.is_declaration}
    needed = {name for name in declared if not name.startswith("llvm.")}
    assert needed <= set(functions_of_python())
    assert "inttoptr" not in text
    assert "$" not in text
