// SPDX-License-Identifier: MIT
// libcurl's multi interface, as event loops use it (curl_multi_socket_action):
// it tells which descriptors and which time it waits for, and is called when
// one is ready or the time is up. No call blocks, and none calls back into Lua.
// A handle is used by the Lua state that made it, on whatever thread that runs.
//
//   multi = curl_multi.new()
//   multi:add(number, url [, body])  starts a transfer; with a body it is a
//   POST multi:remove(number)             breaks it off, if it is still there
//   multi:wanted()    a table: what is waited for, "12r" or "12w", to a
//   descriptor multi:timeout()   in how many seconds `act` has to be called at
//   the latest multi:act([key])  a descriptor of `wanted` is ready, or the time
//   is up multi:finished()  number, body, status | number, nil, message |
//   nothing
#include <curl/curl.h>
#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TYPE "curl_multi"

typedef struct transfer {
  struct transfer *next;
  lua_Integer number; // the user's
  CURL *easy;
  char *body;
  size_t size, capacity;
  char message[CURL_ERROR_SIZE];
  bool done;
  CURLcode result; // when it is done
} transfer;

// A descriptor that curl waits for. The next one with the same descriptor,
// which curl may have closed and opened in between, has another number.
typedef struct wait {
  struct wait *next;
  lua_Integer number;
  curl_socket_t fd;
  int what; // CURL_POLL_IN, CURL_POLL_OUT or both
} wait;

typedef struct multi {
  CURLM *curl; // NULL: closed
  transfer *transfers;
  wait *waits;
  lua_Integer last_number; // of the waits
  double deadline;         // when its time is up; less than 0: never
} multi;

static double now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

// What curl calls -------------------------------------------------------------

static void drop_wait(multi *m, wait *w) {
  wait **at = &m->waits;
  while (*at != w)
    at = &(*at)->next;
  *at = w->next;
  free(w);
}

// `known` is the wait of this descriptor, if it has one.
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *data,
                     void *known) {
  multi *m = data;
  wait *w = known;
  (void)easy;
  if (what == CURL_POLL_REMOVE) {
    if (w)
      drop_wait(m, w);
    return 0;
  }
  if (!w) {
    w = malloc(sizeof *w);
    if (!w)
      return -1;
    *w = (wait){.next = m->waits, .fd = fd};
    m->waits = w;
    curl_multi_assign(m->curl, fd, w);
  }
  w->number = ++m->last_number;
  w->what = what;
  return 0;
}

static int on_timer(CURLM *curl, long timeout_ms, void *data) {
  multi *m = data;
  (void)curl;
  m->deadline = timeout_ms < 0 ? -1 : now() + (double)timeout_ms * 1e-3;
  return 0;
}

// Taking less than all fails the transfer.
static size_t on_data(char *bytes, size_t one, size_t count, void *data) {
  transfer *t = data;
  if (count > t->capacity - t->size) {
    size_t capacity = 2 * t->capacity + count;
    char *body = realloc(t->body, capacity);
    if (!body)
      return 0;
    t->body = body;
    t->capacity = capacity;
  }
  memcpy(t->body + t->size, bytes, count);
  t->size += count;
  return one * count;
}

// Transfers -------------------------------------------------------------------

static transfer *find(multi *m, lua_Integer number) {
  transfer *t = m->transfers;
  while (t && t->number != number)
    t = t->next;
  return t;
}

static void drop(multi *m, transfer *t) {
  transfer **at = &m->transfers;
  while (*at != t)
    at = &(*at)->next;
  *at = t->next;
  curl_multi_remove_handle(m->curl, t->easy);
  curl_easy_cleanup(t->easy);
  free(t->body);
  free(t);
}

static CURLcode set_options(transfer *t, const char *url, const char *body,
                            size_t size) {
  CURL *easy = t->easy;
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L); // there are other threads
  curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->message);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
  CURLcode code = curl_easy_setopt(easy, CURLOPT_URL, url);
  if (!code && body) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    code = curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, body);
  }
  return code;
}

// What Lua calls --------------------------------------------------------------

static multi *check_multi(lua_State *L) {
  multi *m = luaL_checkudata(L, 1, TYPE);
  luaL_argcheck(L, m->curl, 1, "it is closed");
  return m;
}

static int curl_new(lua_State *L) {
  multi *m = lua_newuserdatauv(L, sizeof *m, 0);
  *m = (multi){.deadline = -1};
  luaL_setmetatable(L, TYPE);
  m->curl = curl_multi_init();
  if (!m->curl)
    return luaL_error(L, "not enough memory");
  curl_multi_setopt(m->curl, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(m->curl, CURLMOPT_SOCKETDATA, m);
  curl_multi_setopt(m->curl, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(m->curl, CURLMOPT_TIMERDATA, m);
  return 1;
}

// Also its finalizer.
static int multi_close(lua_State *L) {
  multi *m = luaL_checkudata(L, 1, TYPE);
  if (!m->curl)
    return 0;
  while (m->transfers)
    drop(m, m->transfers);
  curl_multi_cleanup(m->curl);
  m->curl = NULL;
  while (m->waits)
    drop_wait(m, m->waits);
  return 0;
}

static int multi_add(lua_State *L) {
  multi *m = check_multi(L);
  lua_Integer number = luaL_checkinteger(L, 2);
  const char *url = luaL_checkstring(L, 3);
  size_t size = 0;
  const char *body = luaL_optlstring(L, 4, NULL, &size);
  luaL_argcheck(L, !find(m, number), 2, "there is a transfer of this number");
  transfer *t = calloc(1, sizeof *t);
  CURL *easy = t ? curl_easy_init() : NULL;
  if (!easy) {
    free(t);
    return luaL_error(L, "not enough memory");
  }
  t->easy = easy;
  t->number = number;
  t->next = m->transfers;
  m->transfers = t;
  if (set_options(t, url, body, size) != CURLE_OK ||
      curl_multi_add_handle(m->curl, easy) != CURLM_OK) {
    drop(m, t);
    return luaL_error(L, "curl cannot add a transfer");
  }
  return 0;
}

static int multi_remove(lua_State *L) {
  multi *m = check_multi(L);
  transfer *t = find(m, luaL_checkinteger(L, 2));
  if (t)
    drop(m, t);
  return 0;
}

static void set_wanted(lua_State *L, const wait *w, int what, char mode) {
  if (!(w->what & what))
    return;
  lua_pushfstring(L, "%I%c", (LUAI_UACINT)w->number, mode);
  lua_pushinteger(L, w->fd);
  lua_rawset(L, -3);
}

static int multi_wanted(lua_State *L) {
  multi *m = check_multi(L);
  lua_newtable(L);
  for (const wait *w = m->waits; w; w = w->next) {
    set_wanted(L, w, CURL_POLL_IN, 'r');
    set_wanted(L, w, CURL_POLL_OUT, 'w');
  }
  return 1;
}

static int multi_timeout(lua_State *L) {
  multi *m = check_multi(L);
  if (m->deadline < 0)
    return 0;
  double left = m->deadline - now();
  lua_pushnumber(L, left > 0 ? left : 0);
  return 1;
}

static int multi_act(lua_State *L) {
  multi *m = check_multi(L);
  int running, events = 0;
  curl_socket_t fd = CURL_SOCKET_TIMEOUT;
  if (lua_isnoneornil(L, 2)) {
    m->deadline = -1; // curl sets the next one
  } else {
    char *mode;
    lua_Integer number = strtoll(luaL_checkstring(L, 2), &mode, 10);
    const wait *w = m->waits;
    while (w && w->number != number)
      w = w->next;
    if (!w)
      return 0; // curl waits for it no longer
    fd = w->fd;
    events = *mode == 'r' ? CURL_CSELECT_IN : CURL_CSELECT_OUT;
  }
  CURLMcode code = curl_multi_socket_action(m->curl, fd, events, &running);
  if (code != CURLM_OK)
    return luaL_error(L, "curl: %s", curl_multi_strerror(code));
  return 0;
}

static void push_result(lua_State *L, const transfer *t) {
  if (t->result == CURLE_OK) {
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    lua_pushlstring(L, t->body ? t->body : "", t->size);
    lua_pushinteger(L, status);
  } else {
    lua_pushnil(L);
    lua_pushstring(L,
                   t->message[0] ? t->message : curl_easy_strerror(t->result));
  }
}

static int multi_finished(lua_State *L) {
  multi *m = check_multi(L);
  CURLMsg *message;
  int left;
  while ((message = curl_multi_info_read(m->curl, &left))) {
    char *private;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
    transfer *t = (transfer *)private;
    t->result = message->data.result;
    t->done = true;
  }
  for (transfer *t = m->transfers; t; t = t->next)
    if (t->done) {
      lua_pushinteger(L, t->number);
      push_result(L, t);
      drop(m, t);
      return 3;
    }
  return 0;
}

static const luaL_Reg methods[] = {
    {"add", multi_add},
    {"remove", multi_remove},
    {"wanted", multi_wanted},
    {"timeout", multi_timeout},
    {"act", multi_act},
    {"finished", multi_finished},
    {"__close", multi_close},
    {"__gc", multi_close},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {{"new", curl_new}, {NULL, NULL}};

static void start_curl(void) {
  curl_global_init(CURL_GLOBAL_ALL);
}

int luaopen_curl_multi(lua_State *L);

int luaopen_curl_multi(lua_State *L) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, start_curl);
  luaL_newmetatable(L, TYPE);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  luaL_newlib(L, functions);
  return 1;
}
