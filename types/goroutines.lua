---@meta goroutines

-- SPDX-License-Identifier: MIT
-- The annotations of the module, for language servers, and the single source of
-- docs/api.md, which docs/generate.lua makes of them.
--
-- A rule of dashes starts a topic. In the text of an entry `Waits:`, `Raises:`
-- and `Go:` start a part of their own; every function has the three of them.
-- The operators of a class are tags with their text above, as fields are.

-- Conventions ----------------------------------------------------------------

--- ```lua
--- local go = require("goroutines")
--- ```
---
--- The script that requires the module is itself a goroutine, number 1: *main*.
--- Nothing has to be started. When main ends, the process ends.
---
--- **Time.** Durations are seconds, as a number. A timeout is the last argument:
--- none or `math.huge` waits for ever, 0 polls, a negative one counts as 0. A
--- wait never ends early.
---
--- **Waiting** parks the goroutine; its thread goes on with other goroutines.
--- `Waits` tells which calls do. They may be used anywhere Lua code may run: in
--- `pcall`, coroutines, metamethods, and callbacks of C functions.
---
--- **Outcomes that are expected** are returned: `nil, "timeout"` and
--- `nil, "closed"`.
---
--- **Misuse** raises an error that names the function and the argument, self
--- not counted: `bad argument #1 to 'send' (nil cannot be sent)`. An argument is
--- misused when it is not as described here; so is NaN as a time, an unknown key
--- of a table of options, and for most functions an argument too many. A method
--- called on something else raises `calling 'send' on bad self (...)`. `Raises`
--- does not repeat these, nor three errors that are general:
---
--- - `not enough memory`;
--- - `all goroutines are asleep - deadlock!`, in main, from a wait that can
---   never end, after all goroutines have been shown on stderr. `pcall` may
---   catch it, and main goes on;
--- - `bad call of '...' (this process was forked: ...)`, from every function, in
---   the child of a fork that a C module has made. Plain Lua works on there, and
---   the child may end in any way.
---
--- Ctrl-C raises `interrupted!` in a wait of main, as it does in a computation.
---
--- **Handles** (channels, tasks, tickers, timers, mutexes, ...) are userdata. `tostring` tells
--- what they are. Those of the same object are equal within a Lua state, and are
--- the same key of a table.

-- What crosses between goroutines --------------------------------------------

--- A goroutine has a Lua state of its own. What a channel carries, and the
--- function, arguments and results of a goroutine, are copied from one state to
--- the other. Nothing is shared but the objects behind handles.
---
--- | value | how it arrives |
--- |---|---|
--- | boolean, integer, float, string, light userdata | equal |
--- | table | a deep copy; cycles and shared references inside one message are kept, and so is the metatable |
--- | Lua function | with copies of its upvalues; an upvalue that two functions of one message share is shared; `_ENV` is the receiver's globals |
--- | C function | the same function, with copies of its upvalues |
--- | a loaded module, or a function, table or userdata found in one | the receiver's own, by name; it is required there if need be |
--- | a table that the program has put into `package.loaded` | the receiver's own module of that name, else a copy |
--- | `_G` as a value | the receiver's `_G` |
--- | handle | the same object, by reference |
--- | table or userdata with `__transfer` in its metatable | `__transfer(self)` returns a function and arguments that rebuild it in the receiver |
--- | coroutine, other userdata | an error that names the path: `cannot send a coroutine (at value.users[3].co)` |
---
--- A function that starts a goroutine (`go`, `go.spawn`, `go.timer`, and `init` of
--- `go.configure`) also brings copies of the globals that it mentions by name, or
--- that a function it reaches mentions. One that cannot be sent is absent, and
--- reading it there raises the reason. What the program has added to libraries,
--- and `package.path` and `package.cpath`, come along in the same way. Messages and
--- results bring none of these.
---
--- A transfer that fails sends nothing, and leaves both sides as they were. What
--- cannot be rebuilt in the receiver, such as a module that does not load there,
--- raises there.
---
--- [values.md](values.md) has examples, the pitfalls and the costs.

--- A value that can be sent: anything but nil, coroutines, and userdata that is
--- neither of this module, nor found in a module, nor has a `__transfer`.
---@alias goroutines.value boolean|number|string|table|function|userdata|lightuserdata

-- Goroutines -----------------------------------------------------------------

--- The module. It can be called.
---@class goroutines
--- Starts `f(...)` in a new goroutine, of which nothing is heard any more. An
--- error that it does not catch goes where `on_error` of `go.configure` says.
---
--- Parameters:
--- - `f` (`function`): what the goroutine runs; copied, with its upvalues and the
---   globals it mentions ([values.md](values.md))
--- - `...` (`any`): its arguments; copied, as one message with `f`
---
--- Waits: never.
---
--- Raises: `cannot send ... (at ...)` when `f`, one of its upvalues or an argument
--- cannot be sent. Then no goroutine is started.
---
--- Go: `go f(...)`
---
--- ```lua
--- local results = go.chan()
--- go(function(a, b) results:send(a + b) end, 1, 2)
--- assert(results:recv() == 3)
--- ```
---@overload fun(f: function, ...: any)
local go = {}

--- Starts `f(...)` in a new goroutine and returns its task. An error that it
--- does not catch goes to whoever joins the task. It goes where `on_error` of
--- `go.configure` says when nobody can join it any more, or when the process
--- ends.
---
--- Waits: never.
---
--- Raises: `cannot send ... (at ...)` when `f`, one of its upvalues or an argument
--- cannot be sent. Then no goroutine is started.
---
--- Go: `go f(...)`; Go has no tasks. They are the threads of POSIX, which are
--- joined.
---
--- ```lua
--- local task = go.spawn({ name = "adder" }, function(a, b) return a + b end, 1, 2)
--- local ok, sum = task:join()
--- assert(ok and sum == 3)
--- ```
---@param opts goroutines.spawn_options may be left out
---@param f function what the goroutine runs; copied, with its upvalues and the globals it mentions ([values.md](values.md))
---@param ... any its arguments; copied, as one message with `f`
---@return goroutines.task task
---@overload fun(f: function, ...: any): goroutines.task
function go.spawn(opts, f, ...) end

--- The options of `go.spawn`.
---@class goroutines.spawn_options
---@field name? string what the goroutine is called in tracebacks and errors; up to a NUL
---@field memory_limit? number bytes that its Lua state may take; what would go over that raises `not enough memory` in it, after a full collection. A tenth (16 KB at least) is added then for handlers, until half is free again. Messages in transit and what C modules allocate themselves do not count
---@field cpu_limit? number seconds of CPU time that it may use; then it gets the error `cpu limit exceeded` where it is. If it catches that and goes on for another tenth (1 ms at least), it is ended as by `go.exit`, failed with that error: its `__close` handlers run. A long call of a C function is not interrupted, nor a handler of a coroutine that the error has ended. Not with `preempt = "off"`
---@field timeout? number seconds after which it is cancelled, with all that it has started by then; 0 and less: as soon as it waits or gives way
---@field thread? boolean has it run as if it called `go.lock_thread` first

--- The task of the running goroutine.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: none; goroutines have no identity there. As `pthread_self`.
---@return goroutines.task task
function go.self() end

--- Gives way to the other goroutines that are runnable. Returns at once when
--- there are none.
---
--- Waits: until it is this goroutine's turn again.
---
--- Raises: nothing.
---
--- Go: `runtime.Gosched()`
function go.yield() end

--- Ends the running goroutine now, from any depth. The `__close` handlers that
--- are pending run, inner to outer; an error in one does not keep the next from
--- running. No `pcall` catches it. It does not return.
---
--- In main it waits until the other goroutines have ended, and ends the process
--- with status 0. If they never can, it shows them on stderr and ends the process
--- with status 1.
---
--- Waits: in main, until the others have ended.
---
--- Raises: `cannot send ... (at result #...)` when a result cannot be sent. Then
--- the goroutine goes on.
---
--- Go: `runtime.Goexit()`, which has no results; in main, the program crashes
--- there once the others have ended
---
--- ```lua
--- local task = go.spawn(function()
---   pcall(go.exit, "done")
---   error("not reached")
--- end)
--- assert(select(2, task:join()) == "done")
--- ```
---@param ... any the results of the goroutine, for who joins it; ignored in main
function go.exit(...) end

--- Calls `f(...)` here, after telling the scheduler that it may block the thread
--- in C. Other goroutines then run on another thread at once, and not only when
--- the scheduler has noticed. `os.execute`, `io.popen`, and all of `io` and files'
--- methods tell it themselves.
---
--- There are at most `GOROUTINES_THREADS` of the environment threads (1,000; at
--- least 2). When they are all in such calls, other goroutines wait until one
--- ends, which is told on stderr once. Threads without work end.
---
--- Waits: as long as `f` does. It blocks the thread, not the processor.
---
--- Raises: the error of `f`, unchanged.
---
--- Go: what the runtime does around a system call
---@param f function called in this state; not copied
---@param ... any its arguments
---@return any ... the results of `f`
function go.blocking(f, ...) end

--- Waits for a descriptor of another library, such as a database's or LuaSocket's
--- `getfd`, so that its calls that do not block can be used. It stays the other
--- library's. A regular file is always ready.
---
--- Waits: until the descriptor is ready, or for `timeout`.
---
--- Raises: nothing.
---
--- Go: what the runtime does for its own descriptors
---@param fd integer the descriptor
---@param mode "r"|"w" for reading or for writing
---@param timeout? number seconds
---@return true? ready
---@return string? reason `"timeout"` or the message
---@return string? code the error's name
function go.wait_fd(fd, mode, timeout) end

--- Keeps the running goroutine on the OS thread it is on, and other goroutines
--- off that thread, until it is unlocked as often as it was locked. For C
--- libraries that are bound to a thread. Main is always on its own thread.
---
--- That is done by itself for a goroutine that waits or is preempted in a callback
--- of a C module, until it goes on: such a module may hold a lock of its thread, as
--- SQLite does around functions of its users. Each that waits there takes a thread.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `runtime.LockOSThread()`
function go.lock_thread() end

--- Undoes one `go.lock_thread`.
---
--- Waits: never.
---
--- Raises: `the goroutine has not locked its thread`
---
--- Go: `runtime.UnlockOSThread()`, which ignores one too many
function go.unlock_thread() end

--- How many goroutines run in parallel; sets it if a number is given. It starts
--- as `GOROUTINES_PROCS` of the environment, else as the CPUs this process may
--- use: those of its affinity mask, limited by the quota of its cgroup.
---
--- Waits: never; gives way where it runs on a processor that is too many then.
---
--- Raises: `no memory or no file descriptors for ... processors`. Then the number
--- stays what it was.
---
--- Go: `runtime.GOMAXPROCS(n)`
---@param n? integer the new number, from 1 to 1024
---@return integer before the number until now
function go.procs(n) end

--- How many goroutines exist, main included. Those of other main states, which a C
--- host may have, do not count ([embedding.md](embedding.md)).
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `runtime.NumGoroutine()`
---@return integer count
function go.count() end

-- Tasks ----------------------------------------------------------------------

--- What others know of a goroutine, while it runs and after its end.
---@class goroutines.task
---@field id integer the number of the goroutine; main's is 1, and none is used twice
---@field name string? its name, if it was given one
local task = {}

--- Waits until the goroutine has ended, and tells how. Any number of goroutines
--- may join it, any number of times; each gets copies. Three outcomes:
---
--- - `true, results...`: it has returned, or called `go.exit`
--- - `false, err, traceback`: it has failed
--- - `nil, "timeout"`: it has not ended yet
---
--- Waits: until the goroutine has ended, or for `timeout`.
---
--- Raises:
--- - `a goroutine cannot join itself`
--- - what went wrong when a result cannot be rebuilt here
---
--- Go: none. As `pthread_join`, and the results of `pcall`.
---
--- ```lua
--- local task = go.spawn(error, "oops")
--- local ok, err, traceback = task:join()
--- assert(not ok and err == "oops" and traceback:find("started by"))
--- ```
---@param timeout? number seconds
---@return boolean? ok
---@return any ... the results; or the error and a string; or `"timeout"`
function task:join(timeout) end

--- What the goroutine is doing. `"runnable"`: it waits for a processor;
--- `"waiting"`: it is parked; `"done"`: it has returned, or called `go.exit`;
--- `"failed"`: it has ended with an error; `"cancelled"`: with that of its
--- cancellation.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: the states in the traces of its runtime
---@return "runnable"|"running"|"waiting"|"done"|"failed"|"cancelled" status
function task:status() end

--- Asks the goroutine to stop ([Cancellation](#cancellation)). What it has started
--- before goes on; what it starts from now on starts cancelled.
---
--- Waits: never; `join` waits for its end.
---
--- Raises: the reason cannot be sent.
---
--- Go: the `cancel` of `context.WithCancel`
---
--- ```lua
--- local task = go.spawn(function() go.sleep(3600) end)
--- task:cancel("no longer needed")
--- local ok, err = task:join()
--- assert(not ok and go.is_cancelled(err) and err.reason == "no longer needed")
--- ```
---@param reason? any copied; what the error has as its `reason`
---@return boolean done `false`: it had ended
function task:cancel(reason) end

--- Where the goroutine is now, as `debug.traceback` shows it, and where it was
--- started. Only the latter when it has ended. One that computes is stopped for
--- as long as it takes to read its stack.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: what `runtime.Stack` shows of a goroutine
---@return string traceback
function task:traceback() end

-- Cancellation ---------------------------------------------------------------

--- A goroutine is cancelled by `task:cancel`, or because it is in a *scope* whose
--- deadline has passed: that of a `go.with_timeout` that it, or the goroutine that
--- started it, was in, or its own `timeout`.
---
--- It then gets an error at its next waiting call, even if that could complete at
--- once, and in each one from then on, also after `pcall` has caught it. While it
--- computes it gets the error at the end of its time slice, but never within 1,000
--- VM instructions of a completed wait, so that `local c <close> = f()` is safe. A
--- call of a C function that takes long is not interrupted, nor is anything with
--- `preempt = "off"`.
---
--- The error does not strike in `__close` handlers and `__gc` finalizers, nor in
--- `go.shield`: they may wait. (Not known to be such: a handler that runs because of
--- an error that a C module's own `lua_pcall` has caught.) A `go.with_timeout` that is
--- called in there still ends at its deadline.
---
--- Handlers and finalizers of a cancelled goroutine may wait for 5 seconds in all
--- (`go.configure{ close_timeout = s }`), from the first such wait on: then a wait in
--- them raises the error of the cancellation, and so does the first one in each
--- handler that follows. All of them are run. The time begins anew when another
--- cancellation becomes the outermost one, as in the next `go.with_timeout` that is
--- over. It does not bound `go.shield`, nor the wait of a group's `__close` for its
--- tasks, whose own handlers are bounded.
---
--- A message, a lock or a result that is handed over in the instant of the
--- cancellation is either received or stays where it was.

--- The error that a cancelled goroutine gets. `tostring` gives `cancelled`, or
--- `cancelled: reason`.
---@class goroutines.cancellation
---@field reason any a copy of what `task:cancel` was given

--- Whether a value is the error of a cancellation.
---
--- Waits: never.
---
--- Raises: no argument.
---
--- Go: `errors.Is(err, context.Canceled)`
---@param err any any value
---@return boolean is
function go.is_cancelled(err) end

--- Calls `f(...)` with cancellation held back: its waits do not fail, and what it
--- starts does not start cancelled. The first wait afterwards does. The deadline of a
--- `go.with_timeout` in `f` is not held back.
---
--- Waits: as long as `f` does.
---
--- Raises: the error of `f`, unchanged.
---
--- Go: `context.WithoutCancel`; the idea is that of Trio's shielded scopes
---@param f function called in this state; not copied
---@param ... any its arguments
---@return any ... the results of `f`
function go.shield(f, ...) end

--- Calls `f(...)` in a scope that ends at a deadline: then this goroutine, while it
--- is in `f`, and those that it has started there, and these in turn, are cancelled.
--- Scopes may be nested: the one that ends first counts, and its `with_timeout` is
--- the one that returns `nil, "timeout"`.
---
--- `f` cannot yield out of it with `coroutine.yield`.
---
--- Waits: as long as `f` does.
---
--- Raises: an error of `f` other than the cancellation by this deadline, unchanged.
---
--- Go: `context.WithTimeout`, which has to be passed on; the idea is that of Trio's
--- `move_on_after`
---
--- ```lua
--- local ok, err = go.with_timeout(0.01, function() go.sleep(1) end)
--- assert(ok == nil and err == "timeout")
--- ```
---@param s number seconds
---@param f function called in this state; not copied
---@param ... any its arguments
---@return boolean? ok `true`, also if `f` has returned after the deadline
---@return any ... the results of `f`; or `"timeout"`
function go.with_timeout(s, f, ...) end

-- Context --------------------------------------------------------------------

--- The values of the running goroutine: those that `go.with_context` has set around
--- the place where it is, or around the one where it was started. Whatever starts a
--- goroutine (`go`, `go.spawn`, `wg:go`, `g:spawn`, `go.timer`) hands them on, as they
--- are when it is called, and through any number of goroutines; a group's task has
--- those of who called `g:spawn`.
---
--- They are for what belongs to a request and is wanted all over: its number, the
--- name for a log, the user. What a function needs to do its work is better a
--- parameter.
---
--- The table can be read and iterated (`pairs`), not changed. It is the same one at
--- each call in the same place. Tables in it are copies of this goroutine: what it
--- changes there, others do not see, nor do those that it starts.
---
--- Waits: never, but while a module is loaded that a value is found in.
---
--- Raises: what keeps a value from being rebuilt in this state.
---
--- Go: `context.Context`'s `Value`, which has to be passed on
---
--- ```lua
--- local function log(text)
---   return ("[%s] %s"):format(go.context().request, text)
--- end
--- go.with_context({ request = "r1" }, function()
---   local ok, line = go.spawn(log, "started"):join()
---   assert(ok and line == "[r1] started")
--- end)
--- assert(go.context().request == nil)
--- ```
---@return table<string, goroutines.value> values empty if there are none
function go.context() end

--- Calls `f(...)` with more values in the context: those of the table are added to
--- what is there, and hide what has the same names. A table that `go.context` has given,
--- here or in another goroutine, may be used as well. Afterwards, however `f` is left,
--- all is as it was before.
---
--- The values are copied once, here; starting a goroutine then shares the copy.
--- The coroutines that run in `f` are in it, too. `f` cannot yield out of it with
--- `coroutine.yield`.
---
--- Waits: as long as `f` does.
---
--- Raises: `cannot send ... (at ...)` when a value cannot be sent; then `f` is not
--- called. The error of `f`, unchanged.
---
--- Go: `context.WithValue`
---@param values table<string, goroutines.value> copied; names are strings
---@param f function called in this state; not copied
---@param ... any its arguments
---@return any ... the results of `f`
function go.with_context(values, f, ...) end

-- Groups ---------------------------------------------------------------------

--- Makes a group: goroutines that are waited for together, and of which one that
--- fails cancels the rest.
---
--- Used with `<close>`, no goroutine of a group outlives the block: however that is
--- left, also by an error, by a cancellation of its goroutine, or by `go.exit`, all
--- have ended then.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `errgroup.WithContext` of golang.org/x/sync, with `SetLimit`; that a block
--- waits for what it has started is the idea of libdill's bundles and Trio's nurseries
---
--- ```lua
--- local function square(n) return n * n end
--- do
---   local g <close> = go.group({ limit = 8 })
---   for i = 1, 20 do g:spawn(square, i) end
---   local sum = 0
---   for _, result in ipairs(g:results()) do sum = sum + result[2] end
---   assert(sum == 2870)
--- end
--- ```
---@param opts? goroutines.group_options none by default
---@return goroutines.group g
function go.group(opts) end

--- The options of `go.group`.
---@class goroutines.group_options
---@field limit? integer how many of it may be alive at once, 1 to 2147483647; any number by default
---@field on_error? "cancel"|"collect" what happens when one fails: the rest is cancelled (the default), or goes on
--- How long the group keeps a task that has ended, with its results. `"all"`: until
--- the next round, the default. `"untaken"`: until `g:completed()` has given it;
--- `g:results()` is misuse then. `"none"`: not at all; so is `g:completed()`. The first failure of a round is kept for `g:wait()`
--- in any case.
---@field keep? "all"|"untaken"|"none"

--- The tasks of a group are in a scope of its own, which lies in the one that its
--- maker was in: so a `go.with_timeout` around it cancels them, and cancelling the
--- group cancels what they have started themselves, too.
---
--- A task *fails* by an error, or by being cancelled while its group is not. The
--- first failure of a group cancels the rest at once; what is started after it, too.
---
--- A group lives in rounds. A `g:wait()` that has waited for all ends one; with the
--- next `g:spawn` another begins, in which failures and cancellations of the group
--- before are forgotten. Its tasks, with their results, are kept until then: a group
--- in which goroutines are started without end, and that is never waited for, should
--- keep fewer (`keep = "none"`, or `"untaken"` where `g:completed()` takes them).
---
--- A group that is collected without having been closed leaves its tasks alone.
--- Tasks may start more in their own group; where it has a limit, they may come to
--- wait for each other's places.
---@class goroutines.group
--- Waits until all have ended. If the block is left by an error, they are cancelled
--- first. Nobody can be started in the group afterwards; how it went, `g:wait()` and
--- `g:results()` still tell.
---
--- Waits: until all have ended. Cancellation does not strike here.
---
--- Raises: `bad call of '__close' (by a goroutine of the group itself)`. Not what
--- tasks have failed with: that is reported as for any task that nobody joins.
---
--- Go: a deferred `Wait`
---@operator close
local g = {}

--- Starts `f(...)` in a new goroutine, as `go.spawn` does, but in the group's scope
--- and not in the caller's.
---
--- Waits: while as many as the limit are alive, in order of arrival. It is a waiting
--- call in any case: a cancelled goroutine gets its error.
---
--- Raises: what `go.spawn` does; `spawn in a closed group`.
---
--- Go: `Group.Go`
---@param opts goroutines.spawn_options may be left out
---@param f function what the goroutine runs; copied, as by `go.spawn`
---@param ... any its arguments; copied
---@return goroutines.task task
---@overload fun(self: goroutines.group, f: function, ...: any): goroutines.task
function g:spawn(opts, f, ...) end

--- Waits for all, and tells how the round went. The failure that it tells is not
--- reported elsewhere.
---
--- Waits: until all have ended, or for `timeout`, after which they go on.
---
--- Raises: `bad call of 'wait' (by a goroutine of the group itself)`.
---
--- Go: `Group.Wait`
---@param timeout? number seconds
---@return true? ok all have ended, none has failed, and the group was not cancelled
---@return any err the error of the first, in time, that has failed; or, if the group was cancelled before that, by `g:cancel` or from outside, an error for which `go.is_cancelled` holds; or `"timeout"`
---@return string? traceback of a task that has failed
function g:wait(timeout) end

--- Cancels all that are in the group, and what is started in it before the next
--- `g:wait()`, which tells of it.
---
--- Waits: never.
---
--- Raises: `cannot send ...` when the reason cannot be sent.
---
--- Go: the `cancel` of `context.WithCancelCause`
---@param reason? any copied; the field `reason` of the error
---@return boolean first `false` if it was cancelled before, by a failure for example, or is closed
function g:cancel(reason) end

--- What the tasks of this round give, in the order in which they were started.
---
--- Waits: until all those have ended that were started before the call.
---
--- Raises: `bad call of 'results' (by a goroutine of the group itself)`, or
--- `(the group does not keep its tasks)`.
---
--- Go: none; there tasks write to a slice
---@return table results a list of `table.pack(task:join())`: `{ true, results..., n = ... }` or `{ false, err, traceback, n = 3 }`
function g:results() end

--- An iterator over the tasks in the order in which they end: `for task in
--- g:completed() do`. Each is given once in all, also where several goroutines
--- iterate, or after a `break`. It ends when all that were started have been given.
---
--- Waits: each step does, until one has ended.
---
--- Raises: `bad call of 'completed' (by a goroutine of the group itself)`, or
--- `(the group does not keep its tasks)`.
---
--- Go: none; the idea is that of Python's `asyncio.as_completed`
---@return fun(): goroutines.task? next
function g:completed() end

-- Channels -------------------------------------------------------------------

--- Makes a channel.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `make(chan T, capacity)`
---@param capacity? integer values that fit in its buffer, 0 (default) to 2147483647
---@return goroutines.chan ch
function go.chan(capacity) end

--- A first-in first-out queue of values between goroutines. With a capacity of 0
--- a value passes when a sender and a receiver meet. Those who wait are served in
--- the order in which they came.
---
--- A *view* of a channel is the same channel restricted to one direction, made by
--- `ch:sender()` and `ch:receiver()`. It is not equal to the channel. It has the
--- same methods; those of the other direction raise `calling 'recv' on a channel that only sends`, or
--- `calling 'send' on a channel that only receives`.
---@class goroutines.chan
--- How many values are buffered now.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `len(ch)`
---@operator len: integer
--- Receives, as `ch:recv()` does, so that `for v in ch do` receives until the
--- channel is closed and empty.
---
--- Results:
--- - `v` (`any`): the value; nil when the channel is closed and empty
--- - `reason` (`"closed"?`)
---
--- Waits: until there is a value, or the channel is closed.
---
--- Raises:
--- - `calling 'recv' on a channel that only sends`
--- - what went wrong when the value cannot be rebuilt here; it is used up then
---
--- Go: `for v := range ch`
---
--- ```lua
--- local ch = go.chan()
--- go(function()
---   for i = 1, 3 do ch:send(i) end
---   ch:close()
--- end)
--- local sum = 0
--- for v in ch do sum = sum + v end
--- assert(sum == 6)
--- ```
---@overload fun(): any, "closed"?
local ch = {}

--- Sends a copy of `v`: into the buffer, or to a goroutine that receives. It is
--- copied now, also if this waits. A function brings its upvalues, but no globals
--- ([values.md](values.md)).
---
--- Waits: until there is room or a receiver, or for `timeout`.
---
--- Raises:
--- - `send on closed channel`, also if it is closed while this waits
--- - `calling 'send' on a channel that only receives`
--- - `cannot send ... (at ...)` when `v` cannot be sent; the error of its
---   `__transfer`, unchanged
---
--- Go: `ch <- v`
---@param v goroutines.value what to send; not nil
---@param timeout? number seconds
---@return true? sent
---@return "timeout"? reason
function ch:send(v, timeout) end

--- Receives the next value.
---
--- Waits: until there is a value, the channel is closed, or for `timeout`.
---
--- Raises:
--- - `calling 'recv' on a channel that only sends`
--- - what went wrong when the value cannot be rebuilt here; it is used up then
---
--- Go: `v, ok := <-ch`
---@param timeout? number seconds
---@return any v the value, or nil if there is none
---@return "closed"|"timeout"|nil reason `"closed"` once what was buffered is received
function ch:recv(timeout) end

--- Closes the channel: nothing can be sent any more. What is buffered can still be
--- received. Those who wait to receive get `nil, "closed"`, those who wait to send
--- an error.
---
--- Waits: never.
---
--- Raises:
--- - `close of closed channel`
--- - `calling 'close' on a channel that only receives`
---
--- Go: `close(ch)`
function ch:close() end

--- How many values its buffer has room for.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `cap(ch)`
---@return integer capacity
function ch:capacity() end

--- Whether the channel has been closed; values may still be buffered.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: none
---@return boolean closed
function ch:is_closed() end

--- The same channel for sending, and closing, only.
---
--- Waits: never.
---
--- Raises: `calling 'sender' on a channel that only receives`
---
--- Go: the type `chan<- T`
---@return goroutines.chan view
function ch:sender() end

--- The same channel for receiving only.
---
--- Waits: never.
---
--- Raises: `calling 'receiver' on a channel that only sends`
---
--- Go: the type `<-chan T`
---@return goroutines.chan view
function ch:receiver() end

--- A case that sends, for `go.select`. It may be used again; `v` is copied, and its
--- `__transfer` called, each time a select runs, also when another case is done.
---
--- Waits: never.
---
--- Raises: `calling 'sending' on a channel that only receives`
---
--- Go: `case ch <- v:`
---@param v goroutines.value what to send; not nil
---@return goroutines.case case
function ch:sending(v) end

-- Select ---------------------------------------------------------------------

--- Does exactly one of its cases: one that is ready, chosen at random; else the
--- first that becomes ready. All cases are judged at one instant. Each argument is
--- a case:
---
--- - a channel, or a ticker: receives from it. A closed channel is ready.
--- - `ch:sending(v)`: sends `v` to the channel
--- - `false`: never ready
--- - `go.default`, only as the last one: done if no other is ready
---
--- Waits: until a case is ready; never if the last is `go.default`; for ever
--- without cases, or if all are `false`.
---
--- Raises:
--- - `send on closed channel`, when the case chosen sends to a closed one
--- - `cannot send ... (at ...)` when the value of any case cannot be sent; then no
---   case is done
--- - what went wrong when the value received cannot be rebuilt here; it is used up
---   then
---
--- Go: `select`
---
--- ```lua
--- local jobs, quit = go.chan(1), go.chan()
--- jobs:send("first")
--- local i, v = go.select(quit, jobs, go.after(1.0))
--- assert(i == 2 and v == "first")
--- assert(go.select(quit, jobs, go.default) == 3)
--- ```
---@param ... goroutines.chan|goroutines.ticker|goroutines.case|false|lightuserdata the cases
---@return integer i the position of the case that was done
---@return any v what it received; nil if it received nothing
---@return "closed"? reason when its channel is closed and empty
function go.select(...) end

--- The case of `go.select` that is done if no other is ready.
---
--- Go: `default:`
---@type lightuserdata
go.default = nil

--- A case that sends, of `ch:sending(v)`. It has no methods, and cannot be sent
--- itself.
---@class goroutines.case

-- Time -----------------------------------------------------------------------

--- The time of a clock that never goes back, counted from some point in the past.
--- It is the same clock in all goroutines.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: the monotonic part of `time.Now()`
---@return number now seconds, a float
function go.now() end

--- Waits for a time. 0 or less gives way, as `go.yield` does.
---
--- Waits: for `s`.
---
--- Raises: nothing.
---
--- Go: `time.Sleep`
---@param s number seconds
function go.sleep(s) end

--- A channel that gets the time once, then. It has a capacity of 1, is never
--- closed, and can only be received from.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `time.After`
---
--- ```lua
--- local ch = go.chan()
--- local i = go.select(ch, go.after(0.01))
--- assert(i == 2)
--- ```
---@param s number seconds from now; `math.huge` for never
---@return goroutines.chan ch gives `go.now()` of that moment
function go.after(s) end

--- Makes a ticker: something to receive from that gets the time again and again.
--- It stops when nobody holds it any more.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `time.NewTicker`
---
--- ```lua
--- local ticker, n = go.ticker(0.001), 0
--- for _ in ticker do
---   n = n + 1
---   if n == 3 then break end
--- end
--- ticker:stop()
--- ```
---@param s number its period in seconds, above 0
---@return goroutines.ticker ticker
function go.ticker(s) end

--- A ticker. It keeps one tick at most: those that nobody has received are one.
---@class goroutines.ticker
--- Receives a tick, as `ticker:recv()` does, so that `for now in ticker do` runs
--- at each tick.
---
--- Results:
--- - `now` (`number`): `go.now()` at the tick
---
--- Waits: until the next tick; for ever if it is stopped.
---
--- Raises: nothing.
---
--- Go: `for now := range ticker.C`
---@overload fun(): number
local ticker = {}

--- Receives the next tick.
---
--- Waits: until the next tick, or for `timeout`.
---
--- Raises: nothing.
---
--- Go: `<-ticker.C`
---@param timeout? number seconds
---@return number? now `go.now()` at the tick
---@return "timeout"? reason
function ticker:recv(timeout) end

--- Stops it: no tick comes any more, nor one that was due. Those who wait for one
--- go on waiting.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Ticker.Stop`
function ticker:stop() end

--- Sets a new period, which begins now, and starts it again if it was stopped. A
--- tick that was due is dropped.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Ticker.Reset`
---@param s number its period in seconds, above 0
function ticker:reset(s) end

--- Runs `f(...)` in a new goroutine, then. An error that it does not catch goes
--- where `on_error` of `go.configure` says. It runs also if nobody holds the timer.
---
--- Waits: never.
---
--- Raises: `cannot send ... (at ...)` when `f`, one of its upvalues or an argument
--- cannot be sent.
---
--- Go: `time.AfterFunc`
---
--- ```lua
--- local out = go.chan()
--- local timer = go.timer(3600, function() out:send("ran") end)
--- assert(timer:reset(0.001))
--- assert(out:recv() == "ran")
--- assert(not timer:stop())
--- ```
---@param s number seconds from now; `math.huge` for not until a reset
---@param f function what to run; copied now, with its upvalues and the globals it mentions ([values.md](values.md))
---@param ... any its arguments; copied now, as one message with `f`
---@return goroutines.timer timer
function go.timer(s, f, ...) end

--- Something to be run at a time.
---@class goroutines.timer
local timer = {}

--- Stops it, if it is still pending. One that has begun to run goes on.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Timer.Stop`
---@return boolean pending whether it was; then it does not run
function timer:stop() end

--- Sets a new time to run at, also after it has run or was stopped.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Timer.Reset`
---@param s number seconds from now; `math.huge` for not until another reset
---@return boolean pending whether it was
function timer:reset(s) end

-- Mutexes --------------------------------------------------------------------

--- Makes a mutex, unlocked.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `sync.Mutex`
---
--- ```lua
--- local m, wg, total = go.mutex(), go.waitgroup(), go.chan(1)
--- total:send(0)
--- for _ = 1, 10 do
---   wg:go(function()
---     m:with(function() total:send(total:recv() + 1) end)
---   end)
--- end
--- wg:wait()
--- assert(total:recv() == 10)
--- ```
---@return goroutines.mutex m
function go.mutex() end

--- A lock that one goroutine holds at a time. It is not recursive: a second lock by
--- its holder waits. If its holder ends it stays locked; errors and dumps say whose
--- it was.
---
--- A mutex that has just been unlocked may be taken by a goroutine that comes by,
--- before the one that has been woken. But one that has waited for a millisecond gets
--- it from the hands of the holder, in the order of arrival.
---@class goroutines.mutex
local m = {}

--- Locks it.
---
--- Waits: until it is unlocked, or for `timeout`.
---
--- Raises: nothing.
---
--- Go: `Mutex.Lock`
---@param timeout? number seconds
---@return true? locked
---@return "timeout"? reason
function m:lock(timeout) end

--- Locks it if it is unlocked.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Mutex.TryLock`
---@return boolean locked
function m:try_lock() end

--- Unlocks it. Only its holder may.
---
--- Waits: never.
---
--- Raises:
--- - `unlock of unlocked mutex`
--- - `unlock of a mutex that is locked by goroutine 7 "name"`, with `(it has ended)`
---   when it has
---
--- Go: `Mutex.Unlock`, which any goroutine may call there
function m:unlock() end

--- Calls `f(...)` with the mutex locked, and unlocks it when `f` returns, raises, or
--- calls `go.exit`. `f` may yield; then it stays locked until the coroutine goes on
--- or is closed.
---
--- Waits: until the mutex is unlocked.
---
--- Raises:
--- - the error of `f`, unchanged
--- - what `m:unlock()` does, when `f` has unlocked it and returns
---
--- Go: `Lock` and a deferred `Unlock`
---@param f function called in this state; not copied
---@param ... any its arguments
---@return any ... the results of `f`
function m:with(f, ...) end

--- Locks it until the end of a block:
---
--- ```lua
--- local m = go.mutex()
--- do
---   local guard <close> = m:guard()
---   assert(not m:try_lock())
--- end
--- assert(m:try_lock())
--- ```
---
--- Waits: until the mutex is unlocked.
---
--- Raises: nothing.
---
--- Go: `Lock` and a deferred `Unlock`
---@return goroutines.guard guard
function m:guard() end

--- What keeps a mutex locked. It belongs to one Lua state, and cannot be sent. If it is
--- collected without having been closed, the mutex stays locked.
---@class goroutines.guard
--- Unlocks the mutex, once.
---
--- Waits: never.
---
--- Raises: what `m:unlock()` does, unless an error is on its way already.
---
--- Go: `defer m.Unlock()`
---@operator close
local guard = {}

--- Makes a lock for readers and writers, unlocked.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `sync.RWMutex`
---
--- ```lua
--- local rw = go.rwmutex()
--- rw:rlock()
--- assert(rw:try_rlock() and not rw:try_lock())
--- rw:runlock()
--- rw:runlock()
--- assert(rw:lock() and not rw:try_rlock())
--- rw:unlock()
--- ```
---@return goroutines.rwmutex rw
function go.rwmutex() end

--- A lock that any number of readers hold together, or one writer alone. It is given in
--- the order of arrival: a reader that comes while a writer waits, waits as well. So a
--- goroutine that read-locks it twice may wait for itself.
---
--- It knows its writer, as a mutex knows its holder; readers are only counted.
---@class goroutines.rwmutex
local rw = {}

--- Locks it for writing.
---
--- Waits: until nobody holds it, or for `timeout`.
---
--- Raises: nothing.
---
--- Go: `RWMutex.Lock`
---@param timeout? number seconds
---@return true? locked
---@return "timeout"? reason
function rw:lock(timeout) end

--- Locks it for writing if nobody holds it.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `RWMutex.TryLock`
---@return boolean locked
function rw:try_lock() end

--- Unlocks it. Only its writer may.
---
--- Waits: never.
---
--- Raises:
--- - `unlock of unlocked rwmutex`
--- - `unlock of a rwmutex that is locked by readers`, or `by goroutine 7 "name"`
---
--- Go: `RWMutex.Unlock`
function rw:unlock() end

--- Locks it for reading.
---
--- Waits: until no writer holds it or has come before, or for `timeout`.
---
--- Raises: nothing.
---
--- Go: `RWMutex.RLock`
---@param timeout? number seconds
---@return true? locked
---@return "timeout"? reason
function rw:rlock(timeout) end

--- Locks it for reading if no writer holds it or waits for it.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `RWMutex.TryRLock`
---@return boolean locked
function rw:try_rlock() end

--- Undoes one `rlock`, of any goroutine.
---
--- Waits: never.
---
--- Raises:
--- - `runlock of unlocked rwmutex`
--- - `runlock of a rwmutex that is locked by goroutine 7 "name"`
---
--- Go: `RWMutex.RUnlock`
function rw:runlock() end

-- Wait groups ----------------------------------------------------------------

--- Makes a wait group.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `sync.WaitGroup`
---
--- ```lua
--- local wg, sum = go.waitgroup(), go.atomic()
--- for i = 1, 3 do
---   wg:go(function() sum:add(i) end)
--- end
--- assert(wg:wait() and sum:load() == 6)
--- ```
---@param n? integer its count, 0 (default) to 2147483647
---@return goroutines.waitgroup wg
function go.waitgroup(n) end

--- A count of what is still to be done. It may be used again when it is zero.
---@class goroutines.waitgroup
local wg = {}

--- Adds to the count.
---
--- Waits: never.
---
--- Raises: then the count stays what it was:
--- - `negative count of a waitgroup`
--- - `too high a count of a waitgroup`
---
--- Go: `WaitGroup.Add`
---@param n integer how much; may be negative
function wg:add(n) end

--- Takes one off the count.
---
--- Waits: never.
---
--- Raises: `negative count of a waitgroup`
---
--- Go: `WaitGroup.Done`
function wg:done() end

--- Waits until the count is zero.
---
--- Waits: until then, or for `timeout`.
---
--- Raises: nothing.
---
--- Go: `WaitGroup.Wait`
---@param timeout? number seconds
---@return true? done
---@return "timeout"? reason
function wg:wait(timeout) end

--- Starts `f(...)` in a new goroutine, as `go(f, ...)` does, which counts until it has
--- ended, however it does.
---
--- Waits: never.
---
--- Raises: then no goroutine is started, and the count stays what it was:
--- - `cannot send ... (at ...)` when `f`, one of its upvalues or an argument cannot be
---   sent
--- - `too high a count of a waitgroup`
---
--- Go: `WaitGroup.Go`
---@param f function what the goroutine runs; copied, with its upvalues and the globals it mentions ([values.md](values.md))
---@param ... any its arguments; copied, as one message with `f`
function wg:go(f, ...) end

-- Once -----------------------------------------------------------------------

--- Makes something that is done once.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `sync.Once`
---
--- ```lua
--- local once = go.once()
--- assert(once:run(function() return "first" end) == "first")
--- assert(once:run(function() return "second" end) == "first")
--- ```
---@return goroutines.once once
function go.once() end

--- Something that is done once for all goroutines.
---@class goroutines.once
local once = {}

--- Calls `f(...)` here if no goroutine has called this before, and returns copies of its
--- results; all later calls return copies of these. An error counts as done, too: it is
--- raised by all calls, those later with a copy of it.
---
--- Waits: until another goroutine's call has ended.
---
--- Raises:
--- - the error of the function that was called, or that its results cannot be sent
--- - `the function given to 'run' of a once did not return`, when it has called
---   `go.exit`, or raised nil
--- - `bad call of 'run' (it is called by the function that is being run)`
---
--- Go: `Once.Do`, `OnceValues`
---@param f function called in this state; not copied. It cannot yield
---@param ... any its arguments
---@return any ... copies of the results
function once:run(f, ...) end

-- Condition variables --------------------------------------------------------

--- Makes a condition variable.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `sync.NewCond`
---
--- ```lua
--- local m, ready = go.mutex(), go.atomic()
--- local changed = go.cond(m)
--- go(function()
---   m:lock()
---   ready:store(1)
---   changed:broadcast()
---   m:unlock()
--- end)
--- m:lock()
--- while ready:load() == 0 do changed:wait() end
--- m:unlock()
--- ```
---@param mutex goroutines.mutex what guards the condition
---@return goroutines.cond cond
function go.cond(mutex) end

--- Goroutines that wait until another one has changed something. They are woken in the
--- order in which they came.
---@class goroutines.cond
local cond = {}

--- Unlocks the mutex, waits to be woken, and locks the mutex again. The condition may have
--- changed in between, so it is to be looked at in a loop.
---
--- Waits: for a signal or a broadcast, or for `timeout`; and then for the mutex, as long
--- as that takes.
---
--- Raises: `bad call of 'wait' (the mutex is not locked)`, or `(the mutex is locked by
--- goroutine 7 "name")`
---
--- Go: `Cond.Wait`
---@param timeout? number seconds
---@return true? woken
---@return "timeout"? reason the mutex is locked all the same
function cond:wait(timeout) end

--- Wakes the one that has waited longest. The mutex need not be locked.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Cond.Signal`
function cond:signal() end

--- Wakes all that wait. The mutex need not be locked.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Cond.Broadcast`
function cond:broadcast() end

-- Semaphores -----------------------------------------------------------------

--- Makes a semaphore.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `semaphore.NewWeighted` of golang.org/x/sync
---
--- ```lua
--- local slots, wg = go.semaphore(2), go.waitgroup()
--- for i = 1, 5 do
---   slots:acquire()
---   wg:go(function()
---     go.sleep(0.001 * i)
---     slots:release()
---   end)
--- end
--- wg:wait()
--- ```
---@param n integer how many units it has, 1 to 2147483647
---@return goroutines.semaphore sem
function go.semaphore(n) end

--- So many units, for goroutines to acquire and release. First come, first served: who
--- wants few waits behind one that wants many. They belong to nobody: any goroutine may
--- release what another has acquired.
---@class goroutines.semaphore
local sem = {}

--- Acquires units.
---
--- Waits: until so many are free, and all that came before are served; or for `timeout`.
---
--- Raises: nothing.
---
--- Go: `Weighted.Acquire`
---@param k? integer how many, 1 (default) to all
---@param timeout? number seconds
---@return true? acquired
---@return "timeout"? reason none is acquired then
function sem:acquire(k, timeout) end

--- Acquires units if so many are free, and nobody waits.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Weighted.TryAcquire`
---@param k? integer how many, 1 (default) to all
---@return boolean acquired
function sem:try_acquire(k) end

--- Gives units back.
---
--- Waits: never.
---
--- Raises: `release of more than was acquired of a semaphore`. Then none is given back.
---
--- Go: `Weighted.Release`
---@param k? integer how many, 1 (default) to all
function sem:release(k) end

-- Atomic integers ------------------------------------------------------------

--- Makes an atomic integer.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `atomic.Int64`
---
--- ```lua
--- local n, wg = go.atomic(), go.waitgroup()
--- for _ = 1, 4 do
---   wg:go(function()
---     for _ = 1, 100 do n:add(1) end
---   end)
--- end
--- wg:wait()
--- assert(n:load() == 400)
--- ```
---@param i? integer its value, 0 by default
---@return goroutines.atomic a
function go.atomic(i) end

--- A 64-bit integer. All operations on all of them happen in one order, which all
--- goroutines see (sequential consistency); they order what else is shared as well.
---@class goroutines.atomic
local a = {}

--- Its value.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Int64.Load`
---@return integer i
function a:load() end

--- Sets it.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Int64.Store`
---@param i integer the new value
function a:store(i) end

--- Adds to it. It wraps around as Lua's integers do.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Int64.Add`
---@param i integer how much
---@return integer new
function a:add(i) end

--- Sets it, and returns what it was.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Int64.Swap`
---@param i integer the new value
---@return integer old
function a:swap(i) end

--- Sets it to `new` if it is `old`.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Int64.CompareAndSwap`
---@param old integer what it is to be
---@param new integer the new value
---@return boolean swapped
function a:compare_and_swap(old, new) end

-- Maps -----------------------------------------------------------------------

--- Makes a map, empty.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `sync.Map`; `update` is as `Compute` of other libraries' maps
---
--- ```lua
--- local words, wg = go.map(), go.waitgroup()
--- for _ = 1, 3 do
---   wg:go(function()
---     for word in ("a rose is a rose"):gmatch("%a+") do
---       words:update(word, function(n) return (n or 0) + 1 end)
---     end
---   end)
--- end
--- wg:wait()
--- assert(words:get("rose") == 6 and #words == 3)
--- ```
---@return goroutines.map map
function go.map() end

--- A key of a map. A float with an integer's value is that integer, as in tables. Handles
--- are the same key in all goroutines, and stay alive as long as they are in the map.
---@alias goroutines.key string|number|boolean|lightuserdata|userdata

--- A store of values under keys, shared by goroutines. It has copies: what `set` is given
--- and what `get` returns is copied, as a message is. Each method happens at one instant,
--- but for those that look at all keys.
---
--- While a key is being updated, the methods that use this key wait; only `keys`, `pairs`
--- and `#` do not, and see the value it had before.
---@class goroutines.map
--- How many keys have values. Exact if nobody changes the map meanwhile.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: none
---@operator len: integer
--- All keys and values, in no order: `for k, v in pairs(map) do`. The map may change
--- meanwhile. Each of its parts (32, by hash of the key) is seen as it was at one instant,
--- when the loop came to it; so no key comes twice, and one that is there all the time
--- does come.
---
--- Waits: never.
---
--- Raises: what went wrong when a value cannot be rebuilt here
---
--- Go: `Map.Range`
---@operator pairs
local map = {}

--- A copy of the value of a key.
---
--- Waits: while another goroutine updates the key.
---
--- Raises:
--- - what went wrong when the value cannot be rebuilt here; it stays in the map
--- - `bad call of 'get' (it uses a key in the function that updates this key)`
---
--- Go: `Map.Load`
---@param k goroutines.key the key
---@return any v the value; nil if it has none
function map:get(k) end

--- Sets the value of a key.
---
--- Waits: while another goroutine updates the key.
---
--- Raises: then nothing is changed:
--- - `cannot send ... (at ...)` when `v` cannot be sent
--- - `bad call of 'set' (it uses a key in the function that updates this key)`
---
--- Go: `Map.Store`
---@param k goroutines.key the key
---@param v goroutines.value? a copy of this; nil deletes the key
function map:set(k, v) end

--- Deletes a key, if there is such a one.
---
--- Waits: while another goroutine updates the key.
---
--- Raises: `bad call of 'delete' (it uses a key in the function that updates this key)`
---
--- Go: `Map.Delete`
---@param k goroutines.key the key
function map:delete(k) end

--- Sets the value of a key to what `f` gives for the value it has: `f(old)`, called once,
--- with a copy. Nobody else uses the key meanwhile; other keys may be used, also by `f`. If
--- `f` raises, or calls `go.exit`, nothing is changed, and the key is free again.
---
--- Waits: while another goroutine updates the key. Who updates several keys in one another
--- has to see to it that others do not so in another order.
---
--- Raises:
--- - the error of `f`, unchanged
--- - `cannot send ... (at ...)` when its result cannot be sent
--- - what went wrong when the old value cannot be rebuilt here
--- - `bad call of 'update' (it uses a key in the function that updates this key)`
---
--- Go: none
---@param k goroutines.key the key
---@param f function called in this state; not copied. It cannot yield
---@return any new the first result of `f`, itself; nil deletes the key
function map:update(k, f) end

--- Sets the value of a key to `new` if it is `old`.
---
--- Waits: while another goroutine updates the key.
---
--- Raises: then nothing is changed:
--- - `cannot send ... (at ...)` when `new` cannot be sent
--- - `bad call of 'compare_and_swap' (it uses a key in the function that updates this key)`
---
--- Go: `Map.CompareAndSwap`
---@param k goroutines.key the key
---@param old boolean|number|string|lightuserdata|userdata|nil what it is to be, by `==`; nil: none. A copy is equal to no table or function
---@param new goroutines.value? a copy of this; nil deletes the key
---@return boolean swapped
function map:compare_and_swap(k, old, new) end

--- All keys, in no order; as `pairs` gives them.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `maps.Keys`
---@return goroutines.key[] keys
function map:keys() end

-- Barriers -------------------------------------------------------------------

--- Makes a barrier.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: none. As `pthread_barrier_init`.
---
--- ```lua
--- local barrier, wg = go.barrier(3), go.waitgroup()
--- for _ = 1, 3 do
---   wg:go(function() assert(barrier:wait()) end)
--- end
--- wg:wait()
--- ```
---@param n integer for how many, 1 to 2147483647
---@return goroutines.barrier barrier
function go.barrier(n) end

--- Where goroutines wait for each other. When so many have come all go on, and it begins
--- anew.
---@class goroutines.barrier
local barrier = {}

--- Waits until so many goroutines wait here, this one among them.
---
--- Waits: until then, or for `timeout`.
---
--- Raises: nothing.
---
--- Go: none. As `pthread_barrier_wait`.
---@param timeout? number seconds
---@return true? met
---@return "timeout"? reason it has left, and is not counted any more
function barrier:wait(timeout) end

-- Streams --------------------------------------------------------------------

--- What can be read and written byte by byte: connections, and the pipes of
--- processes. One goroutine at a time may read, and one may write; a second one
--- raises `bad call of 'read' (...)`. Any goroutine may close it, or set time
--- limits, at any time.
---
--- Failures of the system are returned as `nil, message, code`, with the error's
--- name as the code: `nil, "connection refused", "ECONNREFUSED"`. A stream that
--- was closed, by whomever, gives `nil, "closed"`.
---@class goroutines.stream
--- Closes it at the end of the block.
---@operator close
local stream = {}

--- Reads by formats, as files of `io` do:
---
--- | format | reads |
--- |---|---|
--- | `"l"` (default) | a line without its end |
--- | `"L"` | a line with its end |
--- | `"n"` | a number |
--- | `"a"` | all until the end; `""` at the end |
--- | a number | so many bytes, or what there is before the end |
--- | `"s"` | what is there, at least one byte |
---
--- At the end of the stream the result is nil, and formats behind it are not read.
--- If the time limit passes nothing is lost: what was read is there for the next
--- call.
---
--- Waits: until it has what was asked for, as long as the time limit for reading.
---
--- Raises: nothing.
---
--- Go: `bufio.Reader`
---@param ... string|integer formats
---@return any v what the first format gives; one result for each
---@return string? reason `"timeout"`, `"closed"`, or the message
---@return string? code the error's name
function stream:read(...) end

--- An iterator that reads by formats until the end.
---
--- Waits: never; the iterator does, as `stream:read()`.
---
--- Raises: nothing; the iterator raises what is no end, such as `timeout`.
---
--- Go: `bufio.Scanner`
---@param ... string|integer formats, as of `stream:read()`; `"l"` if there are none
---@return function next
function stream:lines(...) end

--- Writes all of the strings and numbers, at once if there is room. After a failure
--- or a passed time limit some of them may have been written.
---
--- Waits: until the system has taken all, as long as the time limit for writing.
---
--- Raises: nothing.
---
--- Go: `net.Buffers.WriteTo`
---@param ... string|number what to write
---@return goroutines.stream? stream itself
---@return string? reason `"timeout"`, `"closed"`, or the message
---@return string? code the error's name
function stream:write(...) end

--- Ends writing: the other side finds the end of the stream. Reading goes on. What is
--- no connection is closed.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `TCPConn.CloseWrite`
---@return true? done
---@return string? reason `"closed"` or the message
---@return string? code the error's name
function stream:shutdown() end

--- Closes it. Those who read or write get `nil, "closed"`. A stream that nobody has
--- any more is closed by the garbage collector.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Conn.Close`
---@return true? done
---@return "closed"? reason when it was closed already
function stream:close() end

--- Sets how long each call that reads or writes may take. It holds at once also
--- for calls of other goroutines that wait, counted from now.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Conn.SetDeadline`, which names a point in time
---@param s? number seconds; nil for no limit, as at first; 0 or less does not wait
function stream:set_timeout(s) end

--- Sets how long each call that reads may take.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Conn.SetReadDeadline`
---@param s? number as of `stream:set_timeout()`
function stream:set_read_timeout(s) end

--- Sets how long each call that writes may take.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Conn.SetWriteDeadline`
---@param s? number as of `stream:set_timeout()`
function stream:set_write_timeout(s) end

--- What the process was started with, as a stream. It has a buffer of its own:
--- what one of `io.stdin` and `go.stdin` has read, the other does not see.
---
--- Go: `os.Stdin`
---@type goroutines.stream
go.stdin = nil

--- Where the process's output goes. What stock `io` has not yet written goes first.
---
--- Go: `os.Stdout`
---@type goroutines.stream
go.stdout = nil

--- Where its errors go.
---
--- Go: `os.Stderr`
---@type goroutines.stream
go.stderr = nil

-- Signals --------------------------------------------------------------------

--- Listens to signals of the process: a channel that gets their names, with a
--- capacity of 16; signals that come while it is full are dropped. Closing it ends
--- the listening; so does the garbage collector when nobody has it any more. When
--- nobody listens to a signal, it does again what it did before.
---
--- Waits: never for long.
---
--- Raises: `bad argument ...` for what is no signal, or cannot be caught: `"KILL"`,
--- `"STOP"`, faults, and the one of `preempt_signal`.
---
--- Go: `signal.Notify`
---
--- ```lua
--- local stop = go.signal("INT", "TERM")
--- local i, name = go.select(stop, go.after(0.01))
--- if i == 1 then print("stopped by", name) end
--- stop:close()
--- ```
---@param ... string names of signals, as `"INT"`
---@return goroutines.chan? ch
---@return string? message
---@return string? code the error's name
function go.signal(...) end

-- Network --------------------------------------------------------------------

--- [io.md](io.md) tells how servers are written.
---@class goroutines.net
local net = {}

--- TCP, Unix sockets, datagrams, names of hosts.
---@type goroutines.net
go.net = net

--- Connects by TCP. The addresses of a name are tried one after the other.
---
--- Waits: until it is connected or the last address fails, or for `opts.timeout`.
---
--- Raises: nothing.
---
--- Go: `net.Dialer.Dial`
---
--- ```lua
--- local l = go.net.listen("127.0.0.1", 0)
--- go(function()
---   for conn in l do
---     go(function()
---       for line in conn:lines() do conn:write(line:upper(), "\n") end
---     end)
---   end
--- end)
--- local conn <close> = assert(go.net.connect("127.0.0.1", l:port()))
--- conn:write("hello\n")
--- assert(conn:read() == "HELLO")
--- ```
---@param host string a name or an address; `""` is this machine
---@param port integer at that host
---@param opts? goroutines.connect_options see below
---@return goroutines.connection? conn
---@return string? reason `"timeout"` or the message
---@return string? code the error's name; `EAI_...` for names
function net.connect(host, port, opts) end

--- Options of `go.net.connect` and `go.net.connect_unix`.
---@class goroutines.connect_options
---@field timeout? number seconds until it gives up; none: as long as the system tries
---@field nodelay? boolean as `conn:set_nodelay()`; true
---@field keepalive? number as `conn:set_keepalive()`; none

--- Connects to the Unix socket at a path.
---
--- Waits: while the listener's queue is full, or for `opts.timeout`.
---
--- Raises: nothing.
---
--- Go: `net.Dial("unix", path)`
---@param path string where it is
---@param opts? goroutines.connect_options see below
---@return goroutines.connection? conn
---@return string? reason `"timeout"` or the message
---@return string? code the error's name
function net.connect_unix(path, opts) end

--- Listens for connections by TCP.
---
--- Waits: for the address, if `host` is a name.
---
--- Raises: nothing.
---
--- Go: `net.Listen`
---@param host string an address of this machine, or a name of one; `"*"` or `""` for all, of IPv4 and IPv6
---@param port integer 0 picks a free one
---@param opts? goroutines.listen_options see below
---@return goroutines.listener? listener
---@return string? message
---@return string? code the error's name
function net.listen(host, port, opts) end

--- Options of `go.net.listen` and `go.net.listen_unix`.
---@class goroutines.listen_options
---@field backlog? integer how many connections may wait to be accepted; as many as the system allows
---@field reuseport? boolean others that say so too may listen at the same port; false
---@field ipv6only? boolean no connections of IPv4 to an address of IPv6; false

--- Listens at a path, which must not exist, and is removed when the listener is
--- closed.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `net.Listen("unix", path)`
---@param path string where it is
---@param opts? goroutines.listen_options see below
---@return goroutines.listener? listener
---@return string? message
---@return string? code the error's name
function net.listen_unix(path, opts) end

--- The addresses of a host, in the order in which they are best tried.
---
--- Waits: for the answer.
---
--- Raises: nothing.
---
--- Go: `net.LookupHost`
---@param name string of the host
---@return string[]? addresses
---@return string? message
---@return string? code the error's name, `EAI_...`
function net.resolve(name) end

--- A socket for datagrams.
---
--- Waits: for the address, if `host` is a name.
---
--- Raises: nothing.
---
--- Go: `net.ListenUDP`
---
--- ```lua
--- local a, b = go.net.udp(), go.net.udp("127.0.0.1")
--- assert(a:send("ping", "127.0.0.1", b:port()))
--- local data, host, port = b:receive(1)
--- assert(data == "ping" and port == a:port())
--- ```
---@param host? string the address to receive at; all if there is none
---@param port? integer none or 0 picks a free one
---@return goroutines.udp? udp
---@return string? message
---@return string? code the error's name
function net.udp(host, port) end

--- A connection, of TCP or by a Unix socket: a stream with two ends.
---@class goroutines.connection: goroutines.stream
local conn = {}

--- The address of the other end.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Conn.RemoteAddr`
---@return string? host or the path of a Unix socket, `""` if it has none
---@return integer|string|nil port of TCP; else `"closed"` or the message
---@return string? code the error's name
function conn:peer() end

--- The address of this end.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Conn.LocalAddr`
---@return string? host or the path of a Unix socket, `""` if it has none
---@return integer|string|nil port of TCP; else `"closed"` or the message
---@return string? code the error's name
function conn:address() end

--- Whether little data is sent at once, as at first, or held back for a moment for
--- more to come. Of TCP only.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `TCPConn.SetNoDelay`
---@param on boolean whether it is
---@return true? done
---@return string? reason `"closed"` or the message
---@return string? code the error's name
function conn:set_nodelay(on) end

--- Has the system ask, when nothing comes for so long, whether the other side is still
--- there. Of TCP only.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `TCPConn.SetKeepAlivePeriod`
---@param s? number seconds, at most 32,767; nil or 0 for not, as at first
---@return true? done
---@return string? reason `"closed"` or the message
---@return string? code the error's name
function conn:set_keepalive(s) end

--- What accepts connections. Any number of goroutines may do so at a time.
---@class goroutines.listener
--- Accepts a connection, as `listener:accept()` does, so that
--- `for conn in listener do` runs for each until the listener is closed.
---
--- Results:
--- - `conn` (`goroutines.connection?`): nil when it is closed
---
--- Waits: until there is one.
---
--- Raises: what else went wrong, such as too many open files.
---
--- Go: none
---@overload fun(): goroutines.connection?
--- Closes it at the end of the block.
---@operator close
local listener = {}

--- Accepts a connection.
---
--- Waits: until there is one, or for `timeout`.
---
--- Raises: nothing.
---
--- Go: `Listener.Accept`
---@param timeout? number seconds
---@return goroutines.connection? conn
---@return string? reason `"timeout"`, `"closed"`, or the message
---@return string? code the error's name
function listener:accept(timeout) end

--- Where it listens.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Listener.Addr`
---@return string? host or the path of a Unix socket
---@return integer|"closed"|nil port of TCP
function listener:address() end

--- The port at which it listens.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Listener.Addr`
---@return integer? port nil for a Unix socket
---@return "closed"? reason
function listener:port() end

--- Closes it. Those who accept get `nil, "closed"`, and loops over it end.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `Listener.Close`
---@return true? done
---@return "closed"? reason when it was closed already
function listener:close() end

--- A socket for datagrams. Any number of goroutines may use it at a time.
---@class goroutines.udp
--- Closes it at the end of the block.
---@operator close
local udp = {}

--- Sends a datagram.
---
--- Waits: until the system has room for it; for the address, if `host` is a name.
---
--- Raises: nothing.
---
--- Go: `UDPConn.WriteTo`
---@param data string the bytes
---@param host string a name or an address
---@param port integer at that host
---@return true? done
---@return string? reason `"closed"` or the message
---@return string? code the error's name
function udp:send(data, host, port) end

--- Receives a datagram.
---
--- Waits: until there is one, or for `timeout`.
---
--- Raises: nothing.
---
--- Go: `UDPConn.ReadFrom`
---@param timeout? number seconds
---@return string? data
---@return string? host the sender's address; or `"timeout"`, `"closed"`, or the message
---@return integer|string|nil port the sender's; or the error's name
function udp:receive(timeout) end

--- Where it receives.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `UDPConn.LocalAddr`
---@return string? host
---@return integer|"closed"|nil port
function udp:address() end

--- The port at which it receives.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `UDPConn.LocalAddr`
---@return integer? port
---@return "closed"? reason
function udp:port() end

--- Closes it. Those who receive get `nil, "closed"`.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `UDPConn.Close`
---@return true? done
---@return "closed"? reason when it was closed already
function udp:close() end

-- Files ----------------------------------------------------------------------

--- Files and directories. The calls block the thread they run on, and others go
--- on at once elsewhere. Failures are `nil, message, code`, the message with the path
--- in front: `nil, "x: no such file or directory", "ENOENT"`.
---@class goroutines.fs
local fs = {}

--- Files and directories, without keeping other goroutines.
---@type goroutines.fs
go.fs = fs

--- Opens a file.
---
--- Waits: for the disk.
---
--- Raises: nothing.
---
--- Go: `os.OpenFile`
---@param path string where it is
---@param mode? string as of `io.open`; `"r"`
---@return goroutines.file? f
---@return string? message
---@return string? code the error's name
function fs.open(path, mode) end

--- Reads the whole of a file.
---
--- Waits: for the disk.
---
--- Raises: nothing.
---
--- Go: `os.ReadFile`
---@param path string where it is
---@return string? data
---@return string? message
---@return string? code the error's name
function fs.read_file(path) end

--- Writes the whole of a file, which is made, or emptied before.
---
--- Waits: for the disk.
---
--- Raises: nothing.
---
--- Go: `os.WriteFile`
---@param path string where it is
---@param data string the bytes
---@return true? done
---@return string? message
---@return string? code the error's name
function fs.write_file(path, data) end

--- Tells what a path leads to.
---
--- Waits: for the disk.
---
--- Raises: nothing.
---
--- Go: `os.Stat`
---@param path string where it is
---@return goroutines.fs_info? info
---@return string? message
---@return string? code the error's name
function fs.stat(path) end

--- Tells what is at a path, also if it is a link.
---
--- Waits: for the disk.
---
--- Raises: nothing.
---
--- Go: `os.Lstat`
---@param path string where it is
---@return goroutines.fs_info? info
---@return string? message
---@return string? code the error's name
function fs.lstat(path) end

--- What `go.fs.stat` tells.
---@class goroutines.fs_info
---@field type "file"|"directory"|"link"|"fifo"|"socket"|"char"|"block"|"unknown" what it is
---@field size integer bytes
---@field mode integer permissions
---@field mtime number when it was last written to, in seconds since the epoch
---@field atime number when it was last read
---@field ctime number when it was last changed in any way
---@field uid integer its owner
---@field gid integer its group
---@field ino integer its number
---@field nlink integer how many names it has

--- Lists a directory, sorted by name.
---
--- Waits: for the disk.
---
--- Raises: nothing.
---
--- Go: `os.ReadDir`
---@param path string where it is
---@return goroutines.fs_entry[]? entries
---@return string? message
---@return string? code the error's name
function fs.readdir(path) end

--- An entry of a directory.
---@class goroutines.fs_entry
---@field name string without the directory
---@field type string as of `go.fs.stat`

--- Makes a directory.
---
--- Waits: for the disk.
---
--- Raises: nothing.
---
--- Go: `os.Mkdir`
---@param path string where it is
---@param mode? integer permissions, less the umask; octal 777
---@return true? done
---@return string? message
---@return string? code the error's name
function fs.mkdir(path, mode) end

--- Makes a directory with a name of its own.
---
--- Waits: for the disk.
---
--- Raises: nothing.
---
--- Go: `os.MkdirTemp`
---@param template string a path that ends in `XXXXXX`
---@return string? path
---@return string? message
---@return string? code the error's name
function fs.mkdtemp(template) end

--- Renames a file or directory; what had that name is replaced.
---
--- Waits: for the disk.
---
--- Raises: nothing.
---
--- Go: `os.Rename`
---@param path string where it is
---@param to string its new path
---@return true? done
---@return string? message
---@return string? code the error's name
function fs.rename(path, to) end

--- Removes a file.
---
--- Waits: for the disk.
---
--- Raises: nothing.
---
--- Go: `os.Remove`
---@param path string where it is
---@return true? done
---@return string? message
---@return string? code the error's name
function fs.unlink(path) end

--- Removes an empty directory.
---
--- Waits: for the disk.
---
--- Raises: nothing.
---
--- Go: `os.Remove`
---@param path string where it is
---@return true? done
---@return string? message
---@return string? code the error's name
function fs.rmdir(path) end

--- Makes a symbolic link.
---
--- Waits: for the disk.
---
--- Raises: nothing.
---
--- Go: `os.Symlink`
---@param target string what it leads to
---@param path string where it is made
---@return true? done
---@return string? message
---@return string? code the error's name
function fs.symlink(target, path) end

--- Tells what a symbolic link leads to.
---
--- Waits: for the disk.
---
--- Raises: nothing.
---
--- Go: `os.Readlink`
---@param path string where it is
---@return string? target
---@return string? message
---@return string? code the error's name
function fs.readlink(path) end

--- Copies a file; what had that name is replaced.
---
--- Waits: for the disk.
---
--- Raises: nothing.
---
--- Go: none
---@param path string where it is
---@param to string path of the copy
---@return true? done
---@return string? message
---@return string? code the error's name
function fs.copyfile(path, to) end

--- Watches a file, or what is in a directory: a channel of `{ name, event }` by name,
--- where the event is `"change"` (of the content) or `"rename"` (made, renamed or
--- removed). It has a capacity of 64; what comes while it is full is dropped. Closing
--- it ends the watching; so does the garbage collector.
---
--- Waits: never for long.
---
--- Raises: nothing.
---
--- Go: none
---@param path string where it is
---@return goroutines.chan? ch
---@return string? message
---@return string? code the error's name
function fs.watch(path) end

--- An open file. One goroutine at a time may use it: a second one raises
--- `bad call of 'read' (...)`.
---@class goroutines.file
--- Closes it at the end of the block.
---@operator close
local f = {}

--- Reads by formats, as `stream:read()`.
---
--- Waits: for the disk.
---
--- Raises: nothing.
---
--- Go: `bufio.Reader`
---@param ... string|integer formats, as of `stream:read()`
---@return any v what the first format gives; one result for each
---@return string? reason `"closed"` or the message
---@return string? code the error's name
function f:read(...) end

--- An iterator that reads by formats until the end, as `stream:lines()`.
---
--- Waits: never; the iterator does, for the disk.
---
--- Raises: nothing; the iterator raises failures.
---
--- Go: `bufio.Scanner`
---@param ... string|integer formats, as of `stream:read()`
---@return function next
function f:lines(...) end

--- Writes all of the strings and numbers, where it has been read or written to.
---
--- Waits: for the disk.
---
--- Raises: nothing.
---
--- Go: `File.Write`
---@param ... string|number what to write
---@return goroutines.file? f itself
---@return string? reason `"closed"` or the message
---@return string? code the error's name
function f:write(...) end

--- Moves to another place, as files of `io` do.
---
--- Waits: for the disk.
---
--- Raises: nothing.
---
--- Go: `File.Seek`
---@param whence? "set"|"cur"|"end" counted from where; `"cur"`
---@param offset? integer bytes; 0
---@return integer? position from the start
---@return string? reason `"closed"` or the message
---@return string? code the error's name
function f:seek(whence, offset) end

--- Has the disk take what was written.
---
--- Waits: for the disk.
---
--- Raises: nothing.
---
--- Go: `File.Sync`
---@return true? done
---@return string? reason `"closed"` or the message
---@return string? code the error's name
function f:sync() end

--- Closes it.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `File.Close`
---@return true? done
---@return "closed"? reason when it was closed already
function f:close() end

-- Processes ------------------------------------------------------------------

--- Child processes.
---@class goroutines.processes
local process = {}

--- Starting and running other programs.
---@type goroutines.processes
go.process = process

--- Starts a program, which is found as a shell finds it. All descriptors but those
--- below are closed in it, and the signals that this process began with blocked or
--- ignored are so in it.
---
--- Waits: until the program has started.
---
--- Raises: nothing.
---
--- Go: `exec.Command` and `Cmd.Start`
---
--- ```lua
--- local p = assert(go.process.spawn({ "tr", "a-z", "A-Z", stdin = "pipe",
---   stdout = "pipe" }))
--- p.stdin:write("hello")
--- p.stdin:close()
--- assert(p.stdout:read("a") == "HELLO")
--- assert(p:wait() == 0)
--- ```
---@param options goroutines.spawn_process the words of the command, and options
---@return goroutines.process? p
---@return string? message
---@return string? code the error's name
function process.spawn(options) end

--- Options of `go.process.spawn`. The list part is the program and its arguments.
--- A stream that is given to a child is best closed here: it is the child's.
---@class goroutines.spawn_process
---@field stdin? "inherit"|"null"|"pipe"|goroutines.stream where its input comes from; `"inherit"`
---@field stdout? "inherit"|"null"|"pipe"|goroutines.stream where its output goes; `"inherit"`
---@field stderr? "inherit"|"null"|"pipe"|goroutines.stream where its errors go; `"inherit"`
---@field cwd? string its directory
---@field env? table<string,string|number> its environment, by name, instead of this process's

--- Runs a program to its end: gives it its input, and gathers its output.
---
--- Waits: until it has ended and its output as well, or for `options.timeout`.
---
--- Raises: nothing.
---
--- Go: `Cmd.Output`
---
--- ```lua
--- local r = assert(go.process.run({ "sort", stdin = "b\na\n", timeout = 10 }))
--- assert(r.code == 0 and r.stdout == "a\nb\n")
--- ```
---@param options goroutines.run_process the words of the command, and options
---@return goroutines.run_result? result
---@return string? reason `"timeout"`, or the message if it could not be started
---@return string? code the error's name
function process.run(options) end

--- Options of `go.process.run`. The list part, `cwd` and `env` are as of
--- `go.process.spawn`.
---@class goroutines.run_process
---@field stdin? string its input; nothing
---@field stdout? "inherit"|"null"|goroutines.stream where its output goes; into the result
---@field stderr? "inherit"|"null"|goroutines.stream where its errors go; into the result
---@field timeout? number seconds; then it is killed

--- What became of a program that was run.
---@class goroutines.run_result
---@field code? integer its exit code
---@field signal? string the name of the signal that ended it
---@field stdout? string its output
---@field stderr? string its errors

--- A child process.
---@class goroutines.process
---@field pid integer its number
---@field stdin? goroutines.stream our end of the pipe, where `"pipe"` was asked for
---@field stdout? goroutines.stream the same
---@field stderr? goroutines.stream the same
local p = {}

--- Waits for its end. Any number of goroutines may, any number of times.
---
--- Waits: until it has ended, or for `timeout`.
---
--- Raises: nothing.
---
--- Go: `Cmd.Wait`
---@param timeout? number seconds
---@return integer? code its exit code
---@return string? reason the name of the signal that ended it, or `"timeout"`
function p:wait(timeout) end

--- Sends it a signal.
---
--- Waits: never for long.
---
--- Raises: nothing.
---
--- Go: `Process.Signal`
---@param signal? string its name, as `"KILL"`; `"TERM"`
---@return true? done
---@return string? message
---@return string? code the error's name; `ESRCH` when it has ended
function p:kill(signal) end

-- Settings and counters ------------------------------------------------------

--- Changes settings of the whole process, all that are given or none; without an
--- argument it returns the settings now. Any goroutine may call it.
---
--- Waits: never, but where modules of `preload` do when they are loaded.
---
--- Raises:
--- - `bad argument #1 to 'configure' (option '...': ...)`, also with what a module of
---   `preload` raises
--- - `cannot send ... (at ...)` when `init` cannot be sent
---
--- Go: some are variables of the environment there, such as `GODEBUG`
---
--- ```lua
--- local errors = go.chan(16)
--- go.configure({ on_error = errors, time_slice = 0.005 })
--- go(error, "oops")
--- assert(errors:recv().err == "oops")
--- ```
---@param settings? goroutines.settings those to change
---@return goroutines.settings? settings when called without an argument
function go.configure(settings) end

--- The settings of `go.configure`.
---@class goroutines.settings
--- Where errors go that nobody handles. `"report"`: to stderr, the default.
--- `"exit"`: to stderr, and the process ends with status 1. A channel that can be
--- sent to: there, as a `goroutines.failure`; dropped when it is full.
---@field on_error? "report"|"exit"|goroutines.chan
--- Seconds a goroutine may compute while others are runnable: above 0, 0.010 at
--- first. Less than 0.00002 counts as that.
---@field time_slice? number
--- Bytes of the C stack of goroutines that start later: 524288 to 1073741824, 524288
--- at first. Whole pages: rounded up.
---@field stack_size? integer
--- How one that computes is made to give way. `"signal"`: by a signal to its thread,
--- the default. `"count"`: by a hook at every so many VM instructions. `"off"`: it
--- is not.
---@field preempt? "signal"|"count"|"off"
--- The number of the signal for that, one that can be caught; `SIGURG` at first.
---@field preempt_signal? integer
--- Run in each new state before its function, without arguments; copied now, with its
--- upvalues and the globals it mentions ([values.md](values.md)). The globals it sets
--- are there for the function. False, the default: nothing; the settings now have no
--- such key then. The goroutine fails if it raises.
---@field init? function|false
--- Names of modules, 64 at most. They are loaded now, once, into a state of which
--- the states of goroutines are copies from then on that need more than the base
--- library, channels and this module: there `require` finds them loaded, each
--- goroutine with a copy of its own of all they hold. They are looked for as the
--- program does now. Code of theirs runs here, as in a C function: it is not preempted.
--- A module that keeps an object with a finalizer (a handle of this module is one), and
--- a list one of whose modules has a key that is an object, or a coroutine, or
--- needs more than 512 KB, is left out: it is loaded in each goroutine that
--- requires it, as without this, and `preload_failure` of `go.stats` tells why. A
--- process can have eight different lists. False, the default: none; the settings
--- now have no such key then.
---@field preload? string[]|false
--- Seconds that the `__close` handlers and finalizers of a cancelled goroutine may
--- wait in all ([Cancellation](#cancellation)): 5 at first; 0: not at all;
--- `math.huge`: for ever. The idea is that of structured-concurrency libraries, which
--- put such a limit around each cleanup by hand.
---@field close_timeout? number

--- What a channel gets that is set as `on_error`.
---@class goroutines.failure
---@field id integer the number of the goroutine that failed
---@field name string? its name, if it was given one
---@field err any the error, as a task's `join` gives it
---@field traceback string where it was raised, and where the goroutine was started

--- Writes where all goroutines are: number and name; in brackets whether it is
--- running, runnable, or what it waits for, how long if that is 0.1 s or more, and
--- `leaked` if it can never go on; then what it waits on, a Lua traceback, and who
--- started it. One that is in a C call has no traceback. Those that run are asked to
--- give way for a moment; it is not one instant for all.
---
--- With `sigquit` in `GOROUTINES_DEBUG` of the environment, each SIGQUIT (`Ctrl-\`)
--- has that written to stderr, and the program goes on.
---
--- Waits: never, but for the file.
---
--- Raises: out of memory; the file is closed.
---
--- Go: `pprof.Lookup("goroutine").WriteTo(w, 2)`
---@param file? string|file* a path, or an open file; `nil`: stderr
---@return true|nil done `nil`: it could not be opened or written
---@return string? message
---@return string? code as `"ENOENT"`
function go.dump(file) end

--- Begins to write a timeline of the whole process, or ends it: which goroutine runs on
--- which thread and when, what it goes off for (`chan receive`, `preempted`), arrows from
--- those who wake or start others to these, and how many goroutines there are and how
--- many of them wait for a processor. `https://ui.perfetto.dev` and
--- `chrome://tracing` open it. A goroutine has its name there, or else where it was
--- started.
---
--- One that is not ended is complete when the process exits. While it is written each
--- switch takes some two microseconds more, and a megabyte holds about 3,000 switches.
---
--- Waits: never, but for the file.
---
--- Raises: one is being written already; out of memory; in a child after `fork`.
---
--- Go: `runtime/trace`. The format: Chrome's Trace Event Format, as an array in JSON.
---@param path? string the file, which is made or emptied; `nil`: ends
---@return boolean|nil done `true`; `false`: there was none to end; `nil`: the file could not be opened, or not all could be written
---@return string? message
---@return string? code as `"ENOENT"`
function go.trace(path) end

--- Counters of the whole process.
---
--- With `schedtrace=1000` in `GOROUTINES_DEBUG` of the environment, some of them are
--- written to stderr each 1,000 milliseconds: the time since the start, processors and
--- threads, goroutines, how many of these wait in the queues of all processors and in
--- the one of each. Several words are separated by commas.
---
--- Waits: never.
---
--- Raises: nothing.
---
--- Go: `runtime/metrics`
---@return goroutines.stats stats
function go.stats() end

--- The counters of `go.stats`. Those up to `threads` tell what there is now, the
--- others what has been since the start.
---@class goroutines.stats
---@field goroutines integer those that exist, main included
---@field leaked integer those of them that can never go on unless they are cancelled: they wait, without a timeout or a deadline, on channels, locks and the like or for tasks, and nobody has these but such goroutines. To find them takes time in proportion to the number of goroutines that wait and of the handles in their states, about a microsecond each, and these do not run meanwhile
---@field families integer main states that have goroutines, in a C host ([embedding.md](embedding.md)); 1 otherwise
---@field channels integer those that exist, also of tickers and `go.after`
---@field timers integer those that exist, also of tickers and `go.after`
---@field sync_objects integer mutexes, wait groups, maps and the like that exist
---@field descriptors integer open ones that goroutines may wait for: sockets, pipes
---@field messages integer encoded values: under way, or kept by tasks, timers and settings
---@field handles integer handles, in all Lua states
---@field procs integer as `go.procs()`
---@field idle_procs integer processors that have nothing to run
---@field threads integer threads that run goroutines, main's included
---@field stacks integer C stacks that have been made, in use or free
---@field stacks_without_guard integer of these, those whose overflow would not be caught
---@field preemptions integer times a goroutine was made to give way
---@field signals integer signals sent for that
---@field steals integer times a processor took goroutines from another
---@field handoffs integer times a processor was handed to another thread
---@field retakes integer times a processor was taken from a thread that stayed in C
---@field states_copied integer Lua states made by copying a ready one
---@field functions_in_images integer functions that are started so often that ready states hold them already, counted once for each kind of state; at most 16 functions in a process
---@field states_dropped integer Lua states that ended without being closed: nothing in them wanted finalizing
---@field preload_failure? string why modules of `go.configure{ preload = ... }` are loaded in each goroutine all the same, and which
---@field image_failure? string why states are not copied but built, on a Lua that is not as it is known to be

return go
