"""The argument `out` of a native call, where it is one array that results can be written into."""

from __future__ import annotations

from string import Template

from graphc.runtime.cpu import python_api

GIVEN = Template("""
; Whether the only keyword is `out`, the step has one output, and the array behind the arguments can
; take it: it is of the output's dtype and shape, writeable, and apart from every argument.
define internal i1 @takes(ptr %step, ptr %binding, ptr %arguments, ptr %names) {
entry:
  %count = get Step.inputs_count, %step
  %keywords = call i64 @PyTuple_Size(ptr %names)
  %one = icmp eq i64 %keywords, 1
  %name.at = getelementptr i8, ptr %names, i64 $items
  %name = load ptr, ptr %name.at
  %out = get Step.out, %step
  %is.out = icmp eq ptr %name, %out
  %only.out = and i1 %one, %is.out
  br i1 %only.out, label %array, label %no

array:
  %given.at = getelementptr ptr, ptr %arguments, i64 %count
  %given = load ptr, ptr %given.at
  %output = get Step.outputs, %step
  %dtype = get Output.dtype, %output
  %rank = get Output.rank, %output
  %plain = call i1 @is_plain(ptr %given, ptr %dtype, i64 %rank, i32 $needed)
  br i1 %plain, label %shape, label %no

shape:
  %expected = get Binding.shapes, %binding
  %shape.at = getelementptr i8, ptr %given, i64 $dimensions
  %its.shape = load ptr, ptr %shape.at
  br label %axis

axis:
  %k = phi i64 [0, %shape], [%k.next, %side]
  %any = icmp ult i64 %k, %rank
  br i1 %any, label %side, label %memory

side:
  %size.at = getelementptr i64, ptr %expected, i64 %k
  %size = load i64, ptr %size.at
  %its.size.at = getelementptr i64, ptr %its.shape, i64 %k
  %its.size = load i64, ptr %its.size.at
  %same = icmp eq i64 %size, %its.size
  %k.next = add i64 %k, 1
  br i1 %same, label %axis, label %no

memory:
  %bytes = get Binding.bytes, %binding
  %its.bytes.at = getelementptr i64, ptr %bytes, i64 %count
  %its.bytes = load i64, ptr %its.bytes.at
  %begin.at = getelementptr i8, ptr %given, i64 $data
  %begin = load i64, ptr %begin.at
  %end = add i64 %begin, %its.bytes
  br label %argument

argument:
  %i = phi i64 [0, %memory], [%i.next, %compare]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %compare, label %yes

compare:
  %other.at = getelementptr ptr, ptr %arguments, i64 %i
  %other = load ptr, ptr %other.at
  %other.begin.at = getelementptr i8, ptr %other, i64 $data
  %other.begin = load i64, ptr %other.begin.at
  %other.bytes.at = getelementptr i64, ptr %bytes, i64 %i
  %other.bytes = load i64, ptr %other.bytes.at
  %other.end = add i64 %other.begin, %other.bytes
  %starts.before = icmp ult i64 %begin, %other.end
  %ends.after = icmp ult i64 %other.begin, %end
  %overlap = and i1 %starts.before, %ends.after
  %i.next = add i64 %i, 1
  br i1 %overlap, label %no, label %argument

yes:
  ret i1 true

no:
  ret i1 false
}
""")


def given_code() -> str:
    """`takes`, which tells whether results can be written into an array of the caller's."""
    return GIVEN.substitute(
        items=python_api.ITEMS,
        dimensions=python_api.DIMENSIONS,
        data=python_api.DATA,
        needed=python_api.PLAIN | python_api.WRITEABLE,
    )
