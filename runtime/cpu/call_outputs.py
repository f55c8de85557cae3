"""The outputs of a native call: the arrays that it makes, and what it returns of them."""

from __future__ import annotations

from string import Template

from graphc.runtime.cpu.call_records import SINGLE, TUPLE

OUTPUTS = Template("""
; Arrays for the outputs, given or new. Their number; where it is too small, an error is set.
define internal i64 @make_outputs(ptr %step, ptr %binding, ptr %given, ptr %outputs) {
entry:
  %count = get Step.outputs_count, %step
  %where = get Step.outputs, %step
  %shapes = get Binding.shapes, %binding
  %large = get Binding.large, %binding
  %is.given = icmp ne ptr %given, null
  %is.small = icmp eq i64 %large, 0
  %plain = or i1 %is.given, %is.small
  br i1 %plain, label %next, label %recycle

recycle:  ; arrays made from here on take their memory from the keeper, and give it back to it
  %keeper = get World.keeper, @graphc_world
  %usual = call ptr @set_handler(ptr %keeper)
  %failed = icmp eq ptr %usual, null
  br i1 %failed, label %none, label %next

next:
  %before = phi ptr [null, %entry], [%usual, %recycle], [%before, %have]
  %i = phi i64 [0, %entry], [0, %recycle], [%i.next, %have]
  %shape = phi ptr [%shapes, %entry], [%shapes, %recycle], [%shape.next, %have]
  %any = icmp ult i64 %i, %count
  br i1 %any, label %one, label %made

one:
  %output = getelementptr %Output, ptr %where, i64 %i
  %rank = get Output.rank, %output
  br i1 %is.given, label %take, label %make

take:
  %result = get Output.result, %output
  %taken.at = getelementptr ptr, ptr %given, i64 %result
  %taken = load ptr, ptr %taken.at
  call void @Py_IncRef(ptr %taken)
  br label %have

make:
  %dtype = get Output.dtype, %output
  call void @Py_IncRef(ptr %dtype)  ; the function below takes a reference over
  %empty = get World.empty, @graphc_world
  %rank.narrow = trunc i64 %rank to i32
  %new = call ptr %empty(i32 %rank.narrow, ptr %shape, ptr %dtype, i32 0)
  %no.memory = icmp eq ptr %new, null
  br i1 %no.memory, label %made, label %have

have:
  %array = phi ptr [%taken, %take], [%new, %make]
  %array.at = getelementptr ptr, ptr %outputs, i64 %i
  store ptr %array, ptr %array.at
  %shape.next = getelementptr i64, ptr %shape, i64 %rank
  %i.next = add i64 %i, 1
  br label %next

made:
  %recycled = icmp ne ptr %before, null
  br i1 %recycled, label %restore, label %leave

restore:
  %ours = call ptr @set_handler(ptr %before)
  call void @Py_DecRef(ptr %before)
  %unset = icmp eq ptr %ours, null
  br i1 %unset, label %leave, label %let.go

let.go:
  call void @Py_DecRef(ptr %ours)
  br label %leave

leave:
  ret i64 %i

none:
  ret i64 0
}

define internal ptr @set_handler(ptr %handler) {
  %function = get World.set_handler, @graphc_world
  %before = call ptr %function(ptr %handler)
  ret ptr %before
}

; What the call returns: the results in the structure of the outputs, with references of their own.
define internal ptr @build(ptr %step, ptr %outputs, ptr %given) {
entry:
  %kind = get Step.kind, %step
  %count = get Step.results_count, %step
  %results = get Step.results, %step
  %is.tuple = icmp eq i64 %kind, $tuple
  switch i64 %kind, label %list [i64 $single, label %single
                                 i64 $tuple, label %tuple]

single:
  %only = load ptr, ptr %outputs
  call void @Py_IncRef(ptr %only)
  ret ptr %only

tuple:
  %new.tuple = call ptr @PyTuple_New(i64 %count)
  br label %filling

list:
  %new.list = call ptr @PyList_New(i64 %count)
  br label %filling

filling:
  %whole = phi ptr [%new.tuple, %tuple], [%new.list, %list]
  %no.memory = icmp eq ptr %whole, null
  br i1 %no.memory, label %error, label %next

next:
  %i = phi i64 [0, %filling], [%i.next, %into.tuple], [%i.next, %into.list]
  %any = icmp ult i64 %i, %count
  br i1 %any, label %one, label %filled

one:
  %result = getelementptr %Result, ptr %results, i64 %i
  %number = get Result.output, %result
  %repeated = get Result.repeated, %result
  %output.at = getelementptr ptr, ptr %outputs, i64 %number
  %output = load ptr, ptr %output.at
  %again = icmp ne i64 %repeated, 0
  br i1 %again, label %copy, label %share

copy:
  %is.given = icmp ne ptr %given, null
  br i1 %is.given, label %into.given, label %into.new

into.given:
  %given.at = getelementptr ptr, ptr %given, i64 %i
  %given.here = load ptr, ptr %given.at
  %copy.into = get World.copy_into, @graphc_world
  %status = call i32 %copy.into(ptr %given.here, ptr %output)
  %failed = icmp ne i32 %status, 0
  br i1 %failed, label %abandon, label %share

into.new:
  %new.copy = get World.new_copy, @graphc_world
  %copied = call ptr %new.copy(ptr %output, i32 0)
  %not.copied = icmp eq ptr %copied, null
  br i1 %not.copied, label %abandon, label %put

share:
  %shared = phi ptr [%output, %one], [%given.here, %into.given]
  call void @Py_IncRef(ptr %shared)
  br label %put

put:  ; the functions that put items take a reference over
  %item = phi ptr [%copied, %into.new], [%shared, %share]
  %i.next = add i64 %i, 1
  br i1 %is.tuple, label %into.tuple, label %into.list

into.tuple:
  %tuple.set = call i32 @PyTuple_SetItem(ptr %whole, i64 %i, ptr %item)
  br label %next

into.list:
  %list.set = call i32 @PyList_SetItem(ptr %whole, i64 %i, ptr %item)
  br label %next

filled:
  %flat = icmp ule i64 %kind, $tuple
  br i1 %flat, label %done, label %rebuild

done:
  ret ptr %whole

rebuild:
  %function = get Step.rebuild, %step
  %list.at = alloca ptr, align 8
  store ptr %whole, ptr %list.at
  %rebuilt = call ptr @PyObject_Vectorcall(ptr %function, ptr %list.at, i64 1, ptr null)
  call void @Py_DecRef(ptr %whole)
  ret ptr %rebuilt

abandon:
  call void @Py_DecRef(ptr %whole)
  ret ptr null

error:
  ret ptr null
}
""")


def outputs_code() -> str:
    """`make_outputs`, `build` and what they need."""
    return OUTPUTS.substitute(single=SINGLE, tuple=TUPLE)
