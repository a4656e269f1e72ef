// SPDX-License-Identifier: MIT
// The state of a goroutine has them in its home. Others, which are few, have
// them in a userdata; each thread remembers whose it found last, if that says
// when its state is closed: a later one may have its registry at the same
// address. The thread that makes this has its memory by then, so that it sees
// the new epoch. (A host that throws a state's memory away without lua_close
// breaks that, and much else.)
#include "value/notes.h"

#include "value/home.h"

static const char notes_key;
static atomic_uint_least64_t epoch;

static __thread struct {
  const lua_State *main; // the state's own thread, which is there as long
  const void *registry;
  uint64_t epoch;
  gr_notes *notes;
} latest __attribute__((tls_model("initial-exec")));

gr_notes *gr_notes_find(lua_State *L) {
  uint64_t now = atomic_load_explicit(&epoch, memory_order_relaxed);
  if (latest.main == L && latest.epoch == now)
    return latest.notes;
  gr_home *home = gr_home_find(L);
  if (home)
    return &home->notes;
  const void *registry = lua_topointer(L, LUA_REGISTRYINDEX);
  if (latest.registry == registry && latest.epoch == now)
    return latest.notes;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &notes_key);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  gr_notes *notes = lua_touserdata(L, -2);
  if (notes && notes->is_watched) {
    latest.main = lua_tothread(L, -1);
    latest.registry = registry;
    latest.epoch = now;
    latest.notes = notes;
  }
  lua_pop(L, 2);
  return notes;
}

// What is finalized after it may look for it again.
static int finalize(lua_State *L) {
  gr_notes *notes = lua_touserdata(L, 1);
  notes->is_watched = false;
  atomic_fetch_add_explicit(&epoch, 1, memory_order_relaxed);
  return 0;
}

gr_notes *gr_notes_of(lua_State *L) {
  gr_notes *notes = gr_notes_find(L);
  if (notes)
    return notes;
  notes = lua_newuserdatauv(L, sizeof *notes, 0);
  *notes = (gr_notes){.filter = NULL};
  lua_rawsetp(L, LUA_REGISTRYINDEX, &notes_key);
  return notes;
}

void gr_notes_open(lua_State *L) {
  gr_notes *notes = gr_notes_of(L);
  if (notes->is_watched || gr_home_find(L))
    return;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &notes_key);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, finalize);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
  notes->is_watched = true;
}

void gr_notes_forget(lua_State *L) {
  gr_home *home = gr_home_find(L);
  if (home)
    home->notes = (gr_notes){.filter = NULL};
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &notes_key);
}
