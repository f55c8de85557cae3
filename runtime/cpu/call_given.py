"""The argument `out` of a native call, where it holds arrays that results can be written into."""

from __future__ import annotations

from string import Template

from graphc.runtime.cpu import python_api
from graphc.runtime.cpu.call_records import LIST, SINGLE, TUPLE

GIVEN = Template("""
; Where the arrays stand that results are written into, in the order of the results: in `out`, the
; only keyword, whose value stands behind the arguments. Null unless all of them can be taken.
define internal ptr @taken(ptr %step, ptr %binding, ptr %arguments, ptr %names) {
entry:
  %keywords = call i64 @PyTuple_Size(ptr %names)
  %one = icmp eq i64 %keywords, 1
  %name.at = getelementptr i8, ptr %names, i64 $items
  %name = load ptr, ptr %name.at
  %out = get Step.out, %step
  %is.out = icmp eq ptr %name, %out
  %only.out = and i1 %one, %is.out
  br i1 %only.out, label %look, label %no

look:
  %inputs = get Step.inputs_count, %step
  %value.at = getelementptr ptr, ptr %arguments, i64 %inputs
  %given = call ptr @arrays_in(ptr %step, ptr %value.at)
  %right = icmp ne ptr %given, null
  br i1 %right, label %begin, label %no

begin:
  %count = get Step.outputs_count, %step
  %outputs = get Step.outputs, %step
  %shapes = get Binding.shapes, %binding
  br label %next

next:
  %i = phi i64 [0, %begin], [%i.next, %fitting]
  %shape = phi ptr [%shapes, %begin], [%shape.next, %fitting]
  %any = icmp ult i64 %i, %count
  br i1 %any, label %check, label %yes

check:
  %output = getelementptr %Output, ptr %outputs, i64 %i
  %array = call ptr @given_for(ptr %output, ptr %given)
  %fits = call i1 @fits(ptr %array, ptr %output, ptr %shape)
  br i1 %fits, label %place, label %no

place:
  %apart = call i1 @is_apart(ptr %step, ptr %binding, ptr %arguments, ptr %given, i64 %i)
  br i1 %apart, label %fitting, label %no

fitting:
  %rank = get Output.rank, %output
  %shape.next = getelementptr i64, ptr %shape, i64 %rank
  %i.next = add i64 %i, 1
  br label %next

yes:
  ret ptr %given

no:
  ret ptr null
}

; Where the arrays stand that are the value of `out`, or are in it; null for other values.
define internal ptr @arrays_in(ptr %step, ptr %value.at) {
entry:
  %value = load ptr, ptr %value.at
  %type.at = getelementptr i8, ptr %value, i64 $type
  %type = load ptr, ptr %type.at
  %items = getelementptr i8, ptr %value, i64 $items
  %kind = get Step.kind, %step
  switch i64 %kind, label %no [i64 $single, label %alone
                               i64 $tuple, label %several
                               i64 $list, label %several]

alone:
  ret ptr %value.at

several:  ; in a tuple or a list, whichever the outputs are in
  %tuple.type = get World.tuple_type, @graphc_world
  %is.tuple = icmp eq ptr %type, %tuple.type
  br i1 %is.tuple, label %length, label %list

list:
  %list.type = get World.list_type, @graphc_world
  %is.list = icmp eq ptr %type, %list.type
  br i1 %is.list, label %elsewhere, label %no

elsewhere:
  %list.items.at = getelementptr i8, ptr %value, i64 $list_items
  %list.items = load ptr, ptr %list.items.at
  br label %length

length:
  %first = phi ptr [%items, %several], [%list.items, %elsewhere]
  %count = get Step.results_count, %step
  %length.at = getelementptr i8, ptr %value, i64 $length
  %length.here = load i64, ptr %length.at
  %as.many = icmp eq i64 %length.here, %count
  br i1 %as.many, label %yes, label %no

yes:
  ret ptr %first

no:
  ret ptr null
}

define internal ptr @given_for(ptr %output, ptr %given) {
  %result = get Output.result, %output
  %array.at = getelementptr ptr, ptr %given, i64 %result
  %array = load ptr, ptr %array.at
  ret ptr %array
}

; Whether an object is an array of an output's dtype and shape that may be written to.
define internal i1 @fits(ptr %object, ptr %output, ptr %expected) {
entry:
  %dtype = get Output.dtype, %output
  %rank = get Output.rank, %output
  %plain = call i1 @is_plain(ptr %object, ptr %dtype, i64 %rank, i32 $needed)
  br i1 %plain, label %shape, label %no

shape:
  %shape.at = getelementptr i8, ptr %object, i64 $dimensions
  %its.shape = load ptr, ptr %shape.at
  br label %axis

axis:
  %k = phi i64 [0, %shape], [%k.next, %side]
  %any = icmp ult i64 %k, %rank
  br i1 %any, label %side, label %yes

side:
  %size.at = getelementptr i64, ptr %expected, i64 %k
  %size = load i64, ptr %size.at
  %its.size.at = getelementptr i64, ptr %its.shape, i64 %k
  %its.size = load i64, ptr %its.size.at
  %same = icmp eq i64 %size, %its.size
  %k.next = add i64 %k, 1
  br i1 %same, label %axis, label %no

yes:
  ret i1 true

no:
  ret i1 false
}

; Whether the memory of an output's array is apart from all arguments and the arrays before it.
define internal i1 @is_apart(ptr %step, ptr %binding, ptr %arguments, ptr %given, i64 %number) {
entry:
  %count = get Step.inputs_count, %step
  %outputs = get Step.outputs, %step
  %bytes = get Binding.bytes, %binding
  %output = getelementptr %Output, ptr %outputs, i64 %number
  %array = call ptr @given_for(ptr %output, ptr %given)
  %place = add i64 %count, %number
  %its.bytes.at = getelementptr i64, ptr %bytes, i64 %place
  %its.bytes = load i64, ptr %its.bytes.at
  %begin.at = getelementptr i8, ptr %array, i64 $data
  %begin = load i64, ptr %begin.at
  %end = add i64 %begin, %its.bytes
  br label %next

next:
  %i = phi i64 [0, %entry], [%i.next, %compare]
  %any = icmp ult i64 %i, %place
  br i1 %any, label %other, label %yes

other:
  %is.argument = icmp ult i64 %i, %count
  br i1 %is.argument, label %argument, label %before

argument:
  %argument.at = getelementptr ptr, ptr %arguments, i64 %i
  %argument.here = load ptr, ptr %argument.at
  br label %compare

before:
  %earlier = sub i64 %i, %count
  %earlier.output = getelementptr %Output, ptr %outputs, i64 %earlier
  %earlier.array = call ptr @given_for(ptr %earlier.output, ptr %given)
  br label %compare

compare:
  %its = phi ptr [%argument.here, %argument], [%earlier.array, %before]
  %other.begin.at = getelementptr i8, ptr %its, i64 $data
  %other.begin = load i64, ptr %other.begin.at
  %other.bytes.at = getelementptr i64, ptr %bytes, i64 %i
  %other.bytes = load i64, ptr %other.bytes.at
  %other.end = add i64 %other.begin, %other.bytes
  %starts.before = icmp ult i64 %begin, %other.end
  %ends.after = icmp ult i64 %other.begin, %end
  %overlap = and i1 %starts.before, %ends.after
  %i.next = add i64 %i, 1
  br i1 %overlap, label %no, label %next

yes:
  ret i1 true

no:
  ret i1 false
}
""")


def given_code() -> str:
    """`taken`, which finds arrays of the caller's that results can be written into."""
    return GIVEN.substitute(
        type=python_api.TYPE,
        length=python_api.LENGTH,
        items=python_api.ITEMS,
        list_items=python_api.LIST_ITEMS,
        dimensions=python_api.DIMENSIONS,
        data=python_api.DATA,
        needed=python_api.PLAIN | python_api.WRITEABLE,
        single=SINGLE,
        tuple=TUPLE,
        list=LIST,
    )
