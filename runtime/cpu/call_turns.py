"""When the native call may use variables: the native half of `graphc.ir.turn`."""

from __future__ import annotations

TURNS = """
; Whether the step may use its variables now; a long one marks them until it ends.
define internal i1 @begin(ptr %step, ptr %binding) {
entry:
  %count = get Step.uses_count, %step
  %uses = get Step.uses, %step
  %stateless = icmp eq i64 %count, 0
  br i1 %stateless, label %yes, label %gate

gate:
  %waiting.word = get World.waiting, @graphc_world
  %waiting = load i64, ptr %waiting.word
  %closed = icmp ne i64 %waiting, 0
  br i1 %closed, label %inside, label %others

inside:  ; a thread that has the turn may call from within it: a signal's handler does
  %holder.word = get World.holder, @graphc_world
  %holder = load i64, ptr %holder.word
  %thread = call i64 @PyThread_get_thread_ident()
  %ours = icmp eq i64 %holder, %thread
  br i1 %ours, label %others, label %no

others:
  %running.word = get World.running, @graphc_world
  %running = load i64, ptr %running.word
  %alone = icmp eq i64 %running, 0
  br i1 %alone, label %own, label %next

next:
  %i = phi i64 [0, %others], [%i.next, %one]
  %any = icmp ult i64 %i, %count
  br i1 %any, label %one, label %own

one:  ; who reads excludes who changes, and who changes excludes all
  %use = getelementptr %Use, ptr %uses, i64 %i
  %users.word = get Use.users, %use
  %users = load i64, ptr %users.word
  %mark = get Use.mark, %use
  %changed = icmp slt i64 %users, 0
  %used = icmp ne i64 %users, 0
  %changes = icmp slt i64 %mark, 0
  %clash = and i1 %used, %changes
  %excluded = or i1 %changed, %clash
  %i.next = add i64 %i, 1
  br i1 %excluded, label %no, label %next

own:
  %long = get Binding.long, %binding
  %unmarked = icmp eq i64 %long, 0
  br i1 %unmarked, label %yes, label %mark.all

mark.all:
  call void @mark(ptr %step, i64 1)
  br label %yes

yes:
  ret i1 true

no:
  ret i1 false
}

; Takes back what `begin` has marked and tells who waits; false with an error set.
define internal i1 @end(ptr %step, ptr %binding) {
entry:
  %count = get Step.uses_count, %step
  %long = get Binding.long, %binding
  %stateless = icmp eq i64 %count, 0
  %short = icmp eq i64 %long, 0
  %unmarked = or i1 %stateless, %short
  br i1 %unmarked, label %done, label %clear

clear:
  call void @mark(ptr %step, i64 -1)
  %waiting.word = get World.waiting, @graphc_world
  %waiting = load i64, ptr %waiting.word
  %nobody = icmp eq i64 %waiting, 0
  br i1 %nobody, label %done, label %announce

announce:
  %function = get Step.announce, %step
  %told = call i1 @ask(ptr %function)
  ret i1 %told

done:
  ret i1 true
}

; Adds the marks of a step to its variables, or takes them away where %sign is -1.
define internal void @mark(ptr %step, i64 %sign) {
entry:
  %count = get Step.uses_count, %step
  %uses = get Step.uses, %step
  %running.word = get World.running, @graphc_world
  %running = load i64, ptr %running.word
  %running.now = add i64 %running, %sign
  store i64 %running.now, ptr %running.word
  br label %next

next:
  %i = phi i64 [0, %entry], [%i.next, %one]
  %any = icmp ult i64 %i, %count
  br i1 %any, label %one, label %leave

one:
  %use = getelementptr %Use, ptr %uses, i64 %i
  %users.word = get Use.users, %use
  %mark = get Use.mark, %use
  %change = mul i64 %mark, %sign
  %users = load i64, ptr %users.word
  %users.now = add i64 %users, %change
  store i64 %users.now, ptr %users.word
  %i.next = add i64 %i, 1
  br label %next

leave:
  ret void
}

; Calls a function of Python without arguments; false where it raises.
define internal i1 @ask(ptr %function) {
  %answer = call ptr @PyObject_Vectorcall(ptr %function, ptr null, i64 0, ptr null)
  %raised = icmp eq ptr %answer, null
  br i1 %raised, label %error, label %good

good:
  call void @Py_DecRef(ptr %answer)
  ret i1 true

error:
  ret i1 false
}
"""
