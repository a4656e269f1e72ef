// SPDX-License-Identifier: MIT
// The Lua face: what its files share. A function here checks its arguments
// first, holding nothing; then enters the runtime, where no Lua is called; then
// leaves it and pushes its results.
#ifndef GR_LIB_H
#define GR_LIB_H

#include <lauxlib.h>
#include <lua.h>

#include "base/base.h"
#include "sched/sched.h"
#include "sync/channel.h"
#include "sync/task.h"
#include "sync/timer.h"
#include "value/handle.h"
#include "value/home.h"
#include "value/message.h"

// --- arguments (args.c); `name` is the function's, as Lua sees it ---

// Raises "bad argument #arg to 'name' (why)". Self is not counted: a method's
// first argument is 1, at stack index 2.
int gr_arg_error(lua_State *L, int arg, const char *name, const char *why);

// Raises in the child of a fork, and when main has ended. The checks below do
// so, too: only a function that begins with none of them calls it.
void gr_arg_apart_error(lua_State *L, const char *name);
static inline void gr_arg_runtime(lua_State *L, const char *name) {
  if (gr_is_apart())
    gr_arg_apart_error(L, name);
}

// "... (what expected, got ...)" about the value at the index.
int gr_arg_type_error(lua_State *L, int index, int arg, const char *name,
                      const char *what);

// Raises if there are more than `max` values on the stack.
void gr_arg_count(lua_State *L, int max, const char *name);

// A timeout in seconds at the index, as a deadline: absent is GR_NEVER.
uint64_t gr_arg_deadline(lua_State *L, int index, int arg, const char *name);

// Seconds as nanoseconds, rounded up; must be positive.
uint64_t gr_arg_period(lua_State *L, int index, int arg, const char *name);

// Seconds, any number but NaN, as a point in time from now on.
uint64_t gr_deadline_after(lua_Number seconds);

lua_Integer gr_arg_integer(lua_State *L, int index, int arg, const char *name,
                           lua_Integer min, lua_Integer max);
void gr_arg_function(lua_State *L, int index, int arg, const char *name);

// Raises: there is no such handle at index 1.
int gr_arg_bad_self(lua_State *L, const gr_handle_type *type, const char *name);

// The handle of this type at index 1: a method's self.
static inline gr_handle *gr_arg_handle(lua_State *L, const gr_handle_type *type,
                                       const char *name) {
  gr_arg_runtime(L, name);
  gr_handle *handle = gr_handle_test(L, 1, type);
  if (GR_UNLIKELY(!handle))
    gr_arg_bad_self(L, type, name);
  return handle;
}

// Its object.
static inline void *gr_arg_self(lua_State *L, const gr_handle_type *type,
                                const char *name) {
  return gr_arg_handle(L, type, name)->object;
}

// The channel at the index to receive from: of a channel or a ticker. NULL when
// there is neither, or when it can only be sent to.
gr_channel *gr_receive_channel(lua_State *L, int index);

// --- how waits end (wait.c) ---

// True when the wait is to be done again: it was interrupted by the host's
// hook, which has run, and did not raise. Raises for GR_DEADLOCK, GR_NOMEM.
bool gr_wait_again(lua_State *L, gr_status status);

// Pushes nil, "timeout" or nil, "closed".
int gr_push_failure(lua_State *L, gr_status status);

// --- input and output (io.c) ---

// Whether an operation is to be done again, as gr_wait_again.
bool gr_io_again(lua_State *L, int status);

// Pushes what an operation that failed returns: nil and "timeout", "closed", or
// the message and the error's name. Raises if another goroutine was there
// first: `name` is the function's, as Lua sees it.
int gr_io_push_failure(lua_State *L, int status, const char *name);

// Pushes true, or the failure.
int gr_io_push_result(lua_State *L, int status, const char *name);

// Raises the failure as io.lines does; pushes nil for GR_CLOSED.
int gr_io_end_loop(lua_State *L, int status, const char *name);

// A table of options at the index: checks that it is a table, or absent, and
// that it has these keys only. `keys` ends with NULL.
void gr_arg_options(lua_State *L, int index, int arg, const char *name,
                    const char *const *keys);

// Raises about an option of that table.
int gr_option_error(lua_State *L, int arg, const char *name, const char *key,
                    const char *why);

// A string at the index; without zeros in it if it goes to the system.
const char *gr_arg_text(lua_State *L, int index, int arg, const char *name);

// The part of the module that is made when it is first asked for.
int gr_lib_index(lua_State *L);
void gr_lib_open_parts(lua_State *L); // all: [-0, +0], the module on top

void gr_lib_net(lua_State *L);     // pushes a table
void gr_lib_udp(lua_State *L);     // adds to it
void gr_lib_process(lua_State *L); // pushes a table

// go.fs: pushes a table; go.fs.open; nil, "path: message", code.
void gr_lib_fs(lua_State *L);
int gr_fs_open_file(lua_State *L);
int gr_fs_push_failure(lua_State *L, int err, const char *path);

// The strings and numbers above self as parts, which are `parts` (with this
// room) or, if there are more, pushed.
enum { GR_PARTS_ON_STACK = 16 };
struct iovec *gr_collect_parts(lua_State *L, struct iovec *parts);

// Adds the methods that files have in common with streams.
void gr_stream_add_reading(lua_State *L);

typedef struct gr_stream gr_stream;
// Pushes a stream; takes over the reference.
void gr_stream_push(lua_State *L, gr_stream *s);
int gr_push_address(lua_State *L, const void *address);
typedef struct gr_socket gr_socket;
// The methods that listeners and datagram sockets share.
int gr_socket_push_address(lua_State *L, gr_socket *s);
int gr_socket_push_port(lua_State *L, gr_socket *s);
int gr_socket_push_close(lua_State *L, gr_socket *s);
int gr_socket_push_text(lua_State *L, gr_socket *s, const char *kind);
int gr_wait_fd(lua_State *L);
int gr_go_signal(lua_State *L);

// Registers the types with messages. Once a process.
void gr_lib_io_init(void);

// --- objects of sync (sync.c) ---

// Registers the type with these methods, a tostring, and further metamethods
// (or NULL); for its `open`.
void gr_sync_register(lua_State *L, const gr_handle_type *type,
                      const luaL_Reg *methods, const luaL_Reg *meta);

// Gives the new handle on top its object, or raises if there is none: NULL.
int gr_sync_set(lua_State *L, gr_handle *handle, void *object);

// Waits by this function until it gives something else than GR_INTERRUPTED.
// Raises what gr_wait_again does; else returns the status.
typedef gr_status (*gr_sync_wait)(void *object, uint64_t deadline_ns);
gr_status gr_sync_wait_for(lua_State *L, gr_sync_wait wait, void *object,
                           uint64_t deadline_ns);

// Pushes true, or nil and "timeout".
int gr_sync_push_outcome(lua_State *L, gr_status status);

// Pushes and returns 'goroutine 7 "name"', with " (it has ended)" if it has.
const char *gr_sync_push_holder(lua_State *L, uint64_t id);

// --- what is held during a call (scope.c) ---

// Lets go of the object, and sets it to NULL. The error that has ended the call
// is at the index; nil also where there is none, or where it is not known.
typedef struct gr_scope gr_scope;
typedef void (*gr_scope_leave)(lua_State *L, gr_scope *scope, int err);

struct gr_scope {
  gr_scope_leave leave;
  void *object;      // what is held, or NULL: nothing (yet)
  bool is_abandoned; // by a coroutine that has failed: leave does not raise
};

// In each state, before the first one; more than once does nothing.
void gr_scope_register(lua_State *L);

// Makes a scope and inserts it at index 2 of the running C function. [-0, +1,
// m]
gr_scope *gr_scope_open(lua_State *L, gr_scope_leave leave);

// Leaves all scopes in a coroutine that has failed; its error is on top of L.
void gr_scope_abandon(lua_State *L, lua_State *co);

// --- states (state.c) ---

// Pushes the module's table, made at the first use; opens what main's state, or
// one of a goroutine that is no copy, needs.
void gr_state_open_main(lua_State *L);
void gr_state_open(lua_State *L);
void gr_state_push_module(lua_State *L);
bool gr_state_is_open(lua_State *L); // one of them has been called

// Once a process: what makes the states of goroutines cheap.
void gr_state_init(void);

// Makes a state for the running goroutine, with this limit (0: none), in which
// the call is to be made; NULL when out of memory. It may be open already; it
// has what the call needs, at least.
lua_State *gr_state_new(gr_home *at, size_t limit, const gr_block *call);

// The running goroutine meets code that may use anything: it gets what its
// state lacks of a full one.
void gr_state_complete(lua_State *L);

// Closes it, running finalizers, or lets it go if there are none.
void gr_state_close(lua_State *L);

// Lets it go without running any code of Lua's; what it has of ours is
// released. The running goroutine does not go back to it.
void gr_state_abandon(lua_State *L);

// It has failed: what is to be done then must not fail for the limit.
void gr_state_lift_limit(lua_State *L);

// --- goroutines (run.c) ---

typedef struct gr_run_options {
  const char *name;      // or NULL
  size_t memory_limit;   // of its state; 0: none
  uint64_t cpu_limit_ns; // 0: none
  uint64_t timeout_ns;   // from now; 0: none
  bool detached;         // nobody joins
  gr_block *context;     // what it inherits, or NULL; stays the caller's
  gr_family *family;     // NULL: that of the running goroutine
} gr_run_options;

// What runs a goroutine's function in its state.
int gr_run_call(lua_State *L);

// Starts a goroutine that runs the call encoded in the block, which is taken
// over. Returns a task with a reference for the caller (none if detached:
// NULL), or raises when out of memory.
gr_task *gr_run_start(lua_State *L, gr_block *call, const gr_run_options *o);

// Makes it runnable, with its timeout. It is in its scope. Inside the runtime.
void gr_run_launch(gr_goroutine *g, const gr_run_options *o);

// The same without a Lua state to raise in: NULL when out of memory. The
// goroutine is not yet runnable: it is to be passed to gr_ready_woken.
gr_goroutine *gr_run_prepare(gr_block *call, const gr_run_options *o,
                             const char *creator, uint64_t parent,
                             gr_task **task);

// Reads the arguments of a function `spawn` from the index on up to the top:
// [options,] f, arguments... The call is what then lies at *first and above it.
// The name in the options is in their table.
gr_run_options gr_spawn_read(lua_State *L, int index, int *first);

// task:join(timeout), as a method.
int gr_task_join_method(lua_State *L);

// Ends the running goroutine now with the values on top of the stack as its
// results; no pcall catches it.
GR_NORETURN void gr_run_exit(lua_State *L, int results);

// The same with an error: not to be caught either.
GR_NORETURN void gr_run_fail(lua_State *L, const char *message);

// Ends the running goroutine now, without running any code of Lua's: its family
// has ended.
GR_NORETURN void gr_run_abandon(void);

// It does so, if its family has ended; in a finalizer it raises first.
void gr_run_end_struck(lua_State *L);
static inline void gr_run_end_with_family(lua_State *L, gr_goroutine *g) {
  if (GR_UNLIKELY(atomic_load(&g->struck) & GR_STRUCK_END))
    gr_run_end_struck(L);
}

// The task of the running goroutine.
gr_task *gr_run_self(void);

// Where the running Lua code is, "file:line".
void gr_run_where(lua_State *L, char creator[GR_CREATOR_BYTES]);

// The running main ends, and nobody finds it by its task any more.
void gr_run_end_main(void);

// An error has been caught: does not return if the goroutine has to end with
// it. (protect.c)
void gr_protect_caught(lua_State *L);

// Raises if the running goroutine has used up its CPU time.
void gr_protect_strike(lua_State *L);

// Whether a finalizer runs in the running goroutine, in its coroutine L.
bool gr_protect_is_finalizing(lua_State *L);

// The function pcall of every state.
int gr_protect_pcall(lua_State *L);

// How far cancellation reaches into the goroutine, whose coroutine L runs. The
// scopes of its go.with_timeout calls count from the innermost one: the first
// `free` may strike; the next, up to `shielded`, are held back by handlers only
// (of __close and __gc); from there on go.shield holds back. GR_ALL_SCOPES:
// there is no such frame.
typedef struct gr_reach {
  unsigned free, shielded;
} gr_reach;
gr_reach gr_protect_reach(lua_State *L);

// --- settings of a family (settings.c) ---

// For a new one. False when out of memory.
bool gr_settings_init(gr_family *f);
void gr_settings_clear(gr_family *f); // as they were at first

// What to do about errors nobody handles.
typedef enum gr_on_error { GR_REPORT, GR_REPORT_AND_EXIT, GR_TELL } gr_on_error;
void gr_settings_set_on_error(gr_on_error what, const gr_handle *channel);
void gr_settings_push_on_error(lua_State *L);

// The channel that they go to, with a reference, or NULL.
gr_channel *gr_settings_error_channel(gr_family *f);
bool gr_settings_errors_end_process(gr_family *f);

// The process ends: nobody reads a channel any more.
void gr_settings_at_end(void);

// The function that is run first in each new state, as a block, or NULL. Set
// takes it over; get gives a reference.
void gr_settings_set_init(gr_block *init);
gr_block *gr_settings_get_init(void);

// --- modules loaded ahead (preload.c) ---

typedef struct gr_preload gr_preload;
enum { GR_PRELOAD_NAMES = 64 }; // in a list, at most

// That of the list of names at the index, which is made if there is none yet:
// takes the time that loading takes. NULL if it cannot be: *why_not tells,
// which lives as long as what is on the stack. [-0, +n, v]
const gr_preload *gr_preload_get(lua_State *L, int list, const char **why_not);
void gr_preload_push_names(lua_State *L, const gr_preload *p);

// Pushes why states are made without some of the modules, if they are.
bool gr_preload_push_failure(lua_State *L, const gr_preload *p);

// Makes a full state of the running goroutine with the family's modules, if it
// has any; or NULL.
lua_State *gr_preload_copy(gr_home *at);

// The family's, or NULL.
void gr_settings_set_preload(const gr_preload *p);
const gr_preload *gr_settings_get_preload(void);

// --- cancellation (cancel.c) ---

extern const gr_handle_type gr_cancellation_type;

// Raises if the running goroutine is cancelled and that is not held back; for
// one that is struck, before or after a wait.
void gr_cancel_at_wait(lua_State *L);

// The same in a hook that has fired so many instructions after it was set.
void gr_cancel_in_hook(lua_State *L, int count);

// A goroutine has begun; and it has got into the swing. It finds out which
// memory it uses: see value/hot.h.
enum { GR_LOOKS_AT = 2, GR_LOOKS_AGAIN_AT = 16 };
void gr_run_find_hot(lua_State *L);

static inline void gr_wait_count(lua_State *L, gr_goroutine *g) {
  if (GR_UNLIKELY(++g->waits == g->looks_at))
    gr_run_find_hot(L);
}

// Each waiting call begins with it, holding nothing.
static inline void gr_wait_point(lua_State *L) {
  gr_goroutine *g = gr_self();
  gr_wait_count(L, g);
  g->ignored = 0;
  if (GR_UNLIKELY(atomic_load_explicit(&g->struck, memory_order_relaxed)))
    gr_cancel_at_wait(L);
}

bool gr_cancel_is_error(lua_State *L, int index);

// Whose frames tell how far cancellation reaches.
int gr_cancel_shield(lua_State *L);
int gr_cancel_with_timeout(lua_State *L);

// How long the handlers of a cancelled goroutine may wait in all, in ns.
// GR_NEVER: for ever.
void gr_cancel_set_close_timeout(uint64_t ns);
uint64_t gr_cancel_get_close_timeout(void);

// A goroutine that has not started gets the scope and the cancellation of the
// running one, as far as that is not held back. Outside of the runtime.
void gr_cancel_inherit(lua_State *L, gr_goroutine *g);

// And is cancelled at the deadline. False when out of memory. Inside the
// runtime.
bool gr_cancel_limit(gr_goroutine *g, uint64_t deadline_ns);

int gr_cancel_method(lua_State *L);

// The cancellation for a method that has a reason at index 2, or none; with a
// reference.
struct gr_cancellation *gr_cancel_check_reason(lua_State *L, const char *name);

// The scope for what the running goroutine starts; with a reference, or NULL.
// Raises when out of memory. Outside of the runtime.
struct gr_cancel_scope *gr_cancel_scope_here(lua_State *L);

// --- dumps (dump.c) ---

// Writes to stderr where the goroutines are, while all but the caller's are
// parked for ever.
void gr_dump_all(void);

// The same of all as they are now, as a text to be freed; NULL when out of
// memory.
char *gr_dump_live(void);

// Has that be written to stderr at each SIGQUIT. By a main; may raise.
void gr_dump_at_quit(lua_State *L);

// Where the task's goroutine is now, or NULL when out of memory; to be freed.
char *gr_dump_task(gr_task *task);

// The running goroutine is, or no longer, in a call that may block its thread.
void gr_mark_blocking(bool blocks);

// --- functions, by topic: each leaves its entries in the table on top ---

void gr_lib_goroutine(lua_State *L);
void gr_lib_channel(lua_State *L);
int gr_ticker_recv(lua_State *L); // methods of tickers
int gr_ticker_call(lua_State *L);
void gr_lib_select(lua_State *L);
void gr_lib_time(lua_State *L);
void gr_lib_config(lua_State *L);
void gr_lib_trace(lua_State *L);
void gr_lib_cancel(lua_State *L);
void gr_lib_context(lua_State *L);
void gr_lib_sync(lua_State *L);
void gr_sync_add_types(void); // of handles, to messages
void gr_lib_mutex(lua_State *L);
void gr_lib_rwmutex(lua_State *L);
void gr_lib_waitgroup(lua_State *L);
void gr_lib_once(lua_State *L);
void gr_lib_cond(lua_State *L);
void gr_lib_semaphore(lua_State *L);
void gr_lib_barrier(lua_State *L);
void gr_lib_atomic(lua_State *L);
void gr_lib_map(lua_State *L);
void gr_lib_group(lua_State *L);

// Replacements in the standard libraries of this state.
void gr_lib_coroutine(lua_State *L);
void gr_lib_hook(lua_State *L);
void gr_lib_standard(lua_State *L);
void gr_lib_print(lua_State *L);
void gr_lib_blocking(lua_State *L);
void gr_lib_protect(lua_State *L);
void gr_lib_loading(lua_State *L);

// Once a process, before the first of these. False when out of memory.
bool gr_loading_init(void);

// The running goroutine leaves its stack for good: if it loads a C module, the
// next may.
void gr_loading_abandon(void);

// The running goroutine gets C code of others.
void gr_loading_become_foreign(void);

// A new coroutine inherits no hook of ours (hook.c).
void gr_hook_init_coroutine(lua_State *co);

// Sets the permanent hook of the mode "count" where there is none.
void gr_hook_count_always(lua_State *L);

// Writes the whole of the text at once.
void gr_write_error(const char *text);

// Pushes "goroutine 7" and the name of the goroutine, if it has one.
void gr_push_title(lua_State *L, const gr_task *task, uint64_t id);

extern const gr_handle_type gr_channel_type, gr_ticker_type, gr_timer_type,
    gr_task_type, gr_mutex_type, gr_rwmutex_type, gr_waitgroup_type,
    gr_once_type, gr_cond_type, gr_semaphore_type, gr_barrier_type,
    gr_atomic_type, gr_map_type, gr_group_type, gr_connection_type,
    gr_stream_type, gr_listener_type, gr_udp_type, gr_process_type,
    gr_file_type;
enum { GR_VIEW_BOTH, GR_VIEW_SENDER, GR_VIEW_RECEIVER };

// Runs before the process ends.
void gr_run_at_end(void);

#endif
