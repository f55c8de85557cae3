"""The call of a compiled step from Python as LLVM text: one function for all steps.

It is what CPython calls a METH_FASTCALL function: it gets the arguments as they stand on Python's
stack. Where they are arrays of the very dtypes, contiguous, aligned, and of sizes met before, it
makes the outputs, fills the table of addresses and runs the step; whatever is unusual it first
hands to `prepare`, a function of Python, which converts the arguments or raises.

It holds Python's global lock but while a long step runs. So it needs no lock of its own: what it
looks at and changes before and after is changed by nobody else at that time.
"""

from __future__ import annotations

import re
from string import Template

from graphc.runtime.cpu import python_api
from graphc.runtime.cpu.call_arenas import arenas_code
from graphc.runtime.cpu.call_given import given_code
from graphc.runtime.cpu.call_outputs import outputs_code
from graphc.runtime.cpu.call_records import ENTRIES_BITS, with_records
from graphc.runtime.cpu.call_turns import TURNS

GOLDEN = 0x9E3779B97F4A7C15
"""2**64 over the golden ratio: a product with it mixes bits into the highest (Knuth 6.4)."""
EXPORTS = ("graphc_method", "graphc_world", "graphc_free_arenas")
"""What the host asks the code for."""
METHOD_FLAGS = 0x80 | 0x2  # METH_FASTCALL | METH_KEYWORDS

FROM_PYTHON = """
declare i64 @PyTuple_Size(ptr)
declare i32 @PyTuple_SetItem(ptr, i64, ptr)
declare ptr @PyTuple_New(i64)
declare i32 @PyList_SetItem(ptr, i64, ptr)
declare ptr @PyList_New(i64)
declare ptr @PyLong_AsVoidPtr(ptr)
declare ptr @PyObject_Vectorcall(ptr, ptr, i64, ptr)
declare ptr @PyErr_NoMemory()
declare i64 @PyThread_get_thread_ident()
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
"""

ENTER = Template("""
; Puts where arrays have their elements into the table of addresses.
define internal void @enter_$what(ptr %table, ptr %where, i64 %count, ptr %arrays) {
entry:
  br label %next

next:
  %i = phi i64 [0, %entry], [%i.next, %one]
  %any = icmp ult i64 %i, %count
  br i1 %any, label %one, label %leave

one:
  %array.at = getelementptr ptr, ptr %arrays, i64 %i
  %array = load ptr, ptr %array.at
  %data.at = getelementptr i8, ptr %array, i64 $data
  %data = load ptr, ptr %data.at
  %buffer = getelementptr %$record, ptr %where, i64 %i
  %slot = get $record.slot, %buffer
  %address.at = getelementptr ptr, ptr %table, i64 %slot
  store ptr %data, ptr %address.at
  %i.next = add i64 %i, 1
  br label %next

leave:
  ret void
}
""")

CALL = Template("""
@graphc_world = global %World zeroinitializer
@name = internal constant [13 x i8] c"compiled step"
@graphc_method = global {ptr, ptr, i32, ptr} {ptr @name, ptr @call, i32 $flags, ptr null}

; self is a tuple whose first item is the address of the step. The others keep alive what it names.
define internal ptr @call(ptr %self, ptr %arguments, i64 %count, ptr %names) {
entry:
  %self.items = getelementptr i8, ptr %self, i64 $items
  %address = load ptr, ptr %self.items
  %step = call ptr @PyLong_AsVoidPtr(ptr %address)
  %expected = get Step.inputs_count, %step
  %more.or.less = icmp ne i64 %count, %expected
  br i1 %more.or.less, label %prepare, label %match

match:
  %found = call ptr @find_binding(ptr %step, ptr %arguments, i64 %count)
  %known = icmp ne ptr %found, null
  br i1 %known, label %look, label %prepare

look:
  %named = icmp ne ptr %names, null
  br i1 %named, label %keyword, label %usual

usual:
  %result = call ptr @run(ptr %step, ptr %found, ptr %arguments, ptr null)
  ret ptr %result

keyword:
  %out = call ptr @taken(ptr %step, ptr %found, ptr %arguments, ptr %names)
  %may.take = icmp ne ptr %out, null
  br i1 %may.take, label %into, label %prepare

into:
  %written = call ptr @run(ptr %step, ptr %found, ptr %arguments, ptr %out)
  ret ptr %written

prepare:  ; a tuple: the binding's address and owner, the arguments, arrays for results if given
  %function = get Step.prepare, %step
  %prepared = call ptr @PyObject_Vectorcall(ptr %function, ptr %arguments, i64 %count, ptr %names)
  %refused = icmp eq ptr %prepared, null
  br i1 %refused, label %error, label %unpack

unpack:
  %items = getelementptr i8, ptr %prepared, i64 $items
  %first = load ptr, ptr %items
  %binding = call ptr @PyLong_AsVoidPtr(ptr %first)
  %arrays = getelementptr ptr, ptr %items, i64 2
  %behind = getelementptr ptr, ptr %arrays, i64 %expected
  %length = call i64 @PyTuple_Size(ptr %prepared)
  %least = add i64 %expected, 2
  %given = icmp ugt i64 %length, %least
  %outputs = select i1 %given, ptr %behind, ptr null
  %made = call ptr @run(ptr %step, ptr %binding, ptr %arrays, ptr %outputs)
  call void @Py_DecRef(ptr %prepared)
  ret ptr %made

error:
  ret ptr null
}

; The binding of the arguments' sizes; null unless every argument is usual and the sizes are known.
define internal ptr @find_binding(ptr %step, ptr %arguments, i64 %count) {
entry:
  %inputs = get Step.inputs, %step
  br label %argument

argument:
  %i = phi i64 [0, %entry], [%i.next, %axis]
  %hash = phi i64 [0, %entry], [%hash.axis, %axis]
  %any = icmp ult i64 %i, %count
  br i1 %any, label %object, label %look

object:
  %object.at = getelementptr ptr, ptr %arguments, i64 %i
  %object.here = load ptr, ptr %object.at
  %input = getelementptr %Input, ptr %inputs, i64 %i
  %dtype = get Input.dtype, %input
  %rank = get Input.rank, %input
  %good = call i1 @is_plain(ptr %object.here, ptr %dtype, i64 %rank, i32 $needed)
  br i1 %good, label %shape, label %unknown

shape:
  %shape.at = getelementptr i8, ptr %object.here, i64 $dimensions
  %shape.here = load ptr, ptr %shape.at
  %i.next = add i64 %i, 1
  br label %axis

axis:
  %k = phi i64 [0, %shape], [%k.next, %mix]
  %hash.axis = phi i64 [%hash, %shape], [%hash.next, %mix]
  %axes = icmp ult i64 %k, %rank
  br i1 %axes, label %mix, label %argument

mix:
  %size.at = getelementptr i64, ptr %shape.here, i64 %k
  %size = load i64, ptr %size.at
  %mixed = xor i64 %hash.axis, %size
  %hash.next = mul i64 %mixed, $golden
  %k.next = add i64 %k, 1
  br label %axis

look:
  %entry.number = lshr i64 %hash, $hash_shift
  %entries = get Step.entries, %step
  %entry.at = getelementptr ptr, ptr %entries, i64 %entry.number
  %binding = load ptr, ptr %entry.at
  %empty = icmp eq ptr %binding, null
  br i1 %empty, label %unknown, label %compare

compare:  ; another binding may have the same hash
  %expected = get Binding.dimensions, %binding
  br label %operand

operand:
  %j = phi i64 [0, %compare], [%j.next, %side]
  %at = phi ptr [%expected, %compare], [%at.side, %side]
  %rest = icmp ult i64 %j, %count
  br i1 %rest, label %sides, label %found

sides:
  %operand.at = getelementptr ptr, ptr %arguments, i64 %j
  %operand.here = load ptr, ptr %operand.at
  %its.input = getelementptr %Input, ptr %inputs, i64 %j
  %its.axes = get Input.rank, %its.input
  %its.shape.at = getelementptr i8, ptr %operand.here, i64 $dimensions
  %its.shape = load ptr, ptr %its.shape.at
  %j.next = add i64 %j, 1
  br label %side

side:
  %m = phi i64 [0, %sides], [%m.next, %equal]
  %at.side = phi ptr [%at, %sides], [%at.next, %equal]
  %more = icmp ult i64 %m, %its.axes
  br i1 %more, label %check, label %operand

check:
  %wanted = load i64, ptr %at.side
  %its.size.at = getelementptr i64, ptr %its.shape, i64 %m
  %its.size = load i64, ptr %its.size.at
  %same = icmp eq i64 %wanted, %its.size
  br i1 %same, label %equal, label %unknown

equal:
  %m.next = add i64 %m, 1
  %at.next = getelementptr i64, ptr %at.side, i64 1
  br label %side

found:
  ret ptr %binding

unknown:
  ret ptr null
}

; Whether an object is an array of a dtype and rank that has all flags of %needed.
define internal i1 @is_plain(ptr %object, ptr %dtype, i64 %rank, i32 %needed) {
entry:
  %type = get World.array_type, @graphc_world
  %its.type.at = getelementptr i8, ptr %object, i64 $type
  %its.type = load ptr, ptr %its.type.at
  %is.array = icmp eq ptr %its.type, %type
  br i1 %is.array, label %array, label %other

array:
  %its.dtype.at = getelementptr i8, ptr %object, i64 $dtype
  %its.dtype = load ptr, ptr %its.dtype.at
  %its.rank.at = getelementptr i8, ptr %object, i64 $rank
  %its.rank = load i32, ptr %its.rank.at
  %its.rank.wide = sext i32 %its.rank to i64
  %its.flags.at = getelementptr i8, ptr %object, i64 $array_flags
  %its.flags = load i32, ptr %its.flags.at
  %found = and i32 %its.flags, %needed
  %same.dtype = icmp eq ptr %its.dtype, %dtype
  %same.rank = icmp eq i64 %its.rank.wide, %rank
  %has.flags = icmp eq i32 %found, %needed
  %fits = and i1 %same.dtype, %same.rank
  %plain = and i1 %fits, %has.flags
  ret i1 %plain

other:
  ret i1 false
}

; Runs a step on arrays that fit, into given arrays or new ones; null with an error set.
define internal ptr @run(ptr %step, ptr %binding, ptr %arguments, ptr %given) {
entry:
  %owner = get Binding.owner, %binding
  call void @Py_IncRef(ptr %owner)  ; other threads may meet other sizes, and forget these
  %count = get Step.outputs_count, %step
  %outputs = alloca ptr, i64 %count, align 8
  %made = call i64 @make_outputs(ptr %step, ptr %binding, ptr %given, ptr %outputs)
  %complete = icmp eq i64 %made, %count
  br i1 %complete, label %settle, label %drop

settle:
  %arena = call ptr @take_arena(ptr %step, ptr %binding)
  %no.memory = icmp eq ptr %arena, null
  br i1 %no.memory, label %refuse, label %turn

refuse:
  %null = call ptr @PyErr_NoMemory()
  br label %drop

turn:
  %free = call i1 @begin(ptr %step, ptr %binding)
  br i1 %free, label %addresses, label %wait

wait:
  %wait.function = get Step.wait, %step
  %waited = call i1 @ask(ptr %wait.function)
  br i1 %waited, label %turn, label %interrupted

interrupted:
  call void @give_arena(ptr %step, ptr %arena)
  br label %drop

addresses:
  %table = getelementptr %Arena, ptr %arena, i64 1
  %inputs = get Step.inputs, %step
  %inputs.count = get Step.inputs_count, %step
  %outputs.where = get Step.outputs, %step
  call void @enter_inputs(ptr %table, ptr %inputs, i64 %inputs.count, ptr %arguments)
  call void @enter_outputs(ptr %table, ptr %outputs.where, i64 %count, ptr %outputs)
  %function = get Step.function, %step
  %pool = get Step.pool, %step
  %sizes = get Binding.sizes, %binding
  %long = get Binding.long, %binding
  %is.long = icmp ne i64 %long, 0
  br i1 %is.long, label %unlocked, label %locked

locked:
  call void %function(ptr %sizes, ptr %pool, ptr %table)
  br label %finish

unlocked:
  %thread = call ptr @PyEval_SaveThread()
  call void %function(ptr %sizes, ptr %pool, ptr %table)
  call void @PyEval_RestoreThread(ptr %thread)
  br label %finish

finish:
  call void @give_arena(ptr %step, ptr %arena)
  %ended = call i1 @end(ptr %step, ptr %binding)
  br i1 %ended, label %build, label %drop

build:
  %result = call ptr @build(ptr %step, ptr %outputs, ptr %given)
  br label %drop

drop:
  %value = phi ptr [null, %entry], [null, %refuse], [null, %interrupted], [null, %finish],
                   [%result, %build]
  br label %next

next:
  %i = phi i64 [0, %drop], [%i.next, %one]
  %any = icmp ult i64 %i, %made
  br i1 %any, label %one, label %leave

one:
  %at = getelementptr ptr, ptr %outputs, i64 %i
  %output = load ptr, ptr %at
  call void @Py_DecRef(ptr %output)
  %i.next = add i64 %i, 1
  br label %next

leave:
  call void @Py_DecRef(ptr %owner)
  ret ptr %value
}
""")


def functions_of_python() -> list[str]:
    """The functions that the code needs from the interpreter's own program or library."""
    return re.findall(r"@(\w+)", FROM_PYTHON)


def enter(what: str, record: str) -> str:
    """The function that enters the addresses of inputs or outputs."""
    return ENTER.substitute(what=what, record=record, data=python_api.DATA)


def call_code() -> str:
    """The LLVM text of the call, for the layouts of this Python and NumPy."""
    call = CALL.substitute(
        flags=METHOD_FLAGS,
        items=python_api.ITEMS,
        type=python_api.TYPE,
        dtype=python_api.DTYPE,
        rank=python_api.RANK,
        dimensions=python_api.DIMENSIONS,
        array_flags=python_api.FLAGS,
        needed=python_api.PLAIN,
        golden=GOLDEN - 2**64,  # as LLVM writes it
        hash_shift=64 - ENTRIES_BITS,
    )
    entering = enter("inputs", "Input") + enter("outputs", "Output")
    parts = (FROM_PYTHON, call, entering, outputs_code(), given_code(), TURNS, arenas_code())
    return with_records("".join(parts))
