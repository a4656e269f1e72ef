// SPDX-License-Identifier: MIT
// Streams: connections, and pipes of any kind. Both have the methods of this
// file; those of sockets are connections' only.
#include "io/stream.h"

#include <math.h>
#include <string.h>

#include "io/socket.h"
#include "lib/lib.h"

static void stream_retain(void *object) {
  gr_stream_retain(object);
}

static void stream_release(void *object) {
  gr_stream_release(object);
}

static void open_connection(lua_State *L);
static void open_stream(lua_State *L);

const gr_handle_type gr_connection_type = {
    "goroutines.connection", stream_retain, stream_release, open_connection};
const gr_handle_type gr_stream_type = {"goroutines.stream", stream_retain,
                                       stream_release, open_stream};

static bool is_socket(const gr_stream *s) {
  return s->kind == GR_STREAM_TCP || s->kind == GR_STREAM_UNIX;
}

void gr_stream_push(lua_State *L, gr_stream *s) {
  gr_handle_push(L, is_socket(s) ? &gr_connection_type : &gr_stream_type, s, 0);
}

static gr_stream *check_self(lua_State *L, const char *name) {
  gr_arg_runtime(L, name);
  gr_handle *handle = gr_handle_get(L, 1);
  if (!handle || !handle->object ||
      (handle->type != &gr_stream_type && handle->type != &gr_file_type))
    handle = gr_arg_handle(L, &gr_connection_type, name);
  return handle->object;
}

// --- reading: the formats of io's read, and "s" ---

static void check_formats(lua_State *L, int first, const char *name) {
  luaL_checkstack(L, lua_gettop(L) + LUA_MINSTACK, "too many formats");
  for (int i = first; i <= lua_gettop(L); i++) {
    if (lua_type(L, i) == LUA_TNUMBER) {
      gr_arg_integer(L, i, i - 1, name, 0, INT64_MAX / 4);
      continue;
    }
    const char *format =
        lua_type(L, i) == LUA_TSTRING ? lua_tostring(L, i) : NULL;
    if (!format)
      gr_arg_type_error(L, i, i - 1, name, "format");
    format += *format == '*';
    if (!*format || !strchr("nlLas", *format))
      gr_arg_error(L, i - 1, name, "invalid format");
  }
}

// A numeral as it is read byte by byte, after Lua's own reading of numbers.
typedef struct numeral {
  gr_stream *s;
  int status; // of the last peek; GR_EOF is none of the above
  unsigned char byte;
  char text[201];
  size_t len;
} numeral;

static bool peek(numeral *n) {
  n->status = gr_stream_peek(n->s, &n->byte);
  return n->status == 0;
}

static bool accept_any(numeral *n, const char *set) {
  if (n->status != 0 || !n->byte || !strchr(set, n->byte))
    return false;
  if (n->len >= sizeof n->text - 1) {
    n->text[0] = '\0'; // too long to be one
    return false;
  }
  n->text[n->len++] = (char)n->byte;
  n->text[n->len] = '\0';
  gr_stream_skip(n->s);
  peek(n);
  return true;
}

static int accept_digits(numeral *n, bool hex) {
  int count = 0;
  while (accept_any(n, hex ? "0123456789abcdefABCDEF" : "0123456789"))
    count++;
  return count;
}

static int scan_number(numeral *n) {
  while (peek(n) && n->byte && strchr(" \t\n\v\f\r", n->byte))
    gr_stream_skip(n->s);
  if (n->status)
    return n->status;
  int digits = 0;
  bool hex = false;
  accept_any(n, "+-");
  if (accept_any(n, "0")) {
    hex = accept_any(n, "xX");
    digits = !hex;
  }
  digits += accept_digits(n, hex);
  if (accept_any(n, "."))
    digits += accept_digits(n, hex);
  if (digits > 0 && accept_any(n, hex ? "pP" : "eE")) {
    accept_any(n, "+-");
    accept_digits(n, false);
  }
  return n->status == GR_EOF ? 0 : n->status;
}

static int read_number(lua_State *L, gr_stream *s) {
  numeral n = {.s = s};
  gr_enter();
  int status = scan_number(&n);
  gr_leave();
  if (status == 0 && !lua_stringtonumber(L, n.text))
    lua_pushnil(L);
  return status;
}

static int take_format(lua_State *L, int index, gr_stream *s,
                       const char **bytes, size_t *len) {
  if (lua_type(L, index) == LUA_TNUMBER)
    return gr_stream_take_count(s, (size_t)lua_tointeger(L, index), bytes, len);
  const char *format = lua_tostring(L, index);
  switch (format[*format == '*']) {
  case 'l':
    return gr_stream_take_line(s, false, bytes, len);
  case 'L':
    return gr_stream_take_line(s, true, bytes, len);
  case 'a':
    return gr_stream_take_all(s, bytes, len);
  default:
    return gr_stream_take_some(s, bytes, len);
  }
}

typedef struct taken {
  const char *bytes;
  size_t len;
} taken;

static int push_taken(lua_State *L) {
  const taken *t = lua_touserdata(L, 1);
  lua_pushlstring(L, t->bytes, t->len);
  return 1;
}

// Pushes the string, or the error if there is no memory for it, which it
// returns then: the reading is to be ended all the same. A protected call is
// not needed where it is certain that there is.
static int push_string(lua_State *L, taken t) {
  if (GR_LIKELY(gr_home_has_string(L, t.len))) {
    lua_pushlstring(L, t.bytes, t.len);
    return LUA_OK;
  }
  lua_pushcfunction(L, push_taken);
  lua_pushlightuserdata(L, &t);
  return lua_pcall(L, 1, 1, 0);
}

// Reads one format and pushes the value, or nil at the end or for what is no
// number; or the error, see above. Nothing is pushed when the status is neither
// 0 nor GR_EOF.
static int read_format(lua_State *L, int index, gr_stream *s, int *failed) {
  taken t;
  const char *format = "";
  int status;
  if (lua_type(L, index) == LUA_TSTRING) {
    format = lua_tostring(L, index);
    format += *format == '*';
  }
  if (*format == 'n') {
    status = read_number(L, s);
  } else {
    gr_enter();
    status = take_format(L, index, s, &t.bytes, &t.len);
    gr_leave();
    if (status == 0)
      *failed = push_string(L, t);
  }
  if (status == GR_EOF)
    lua_pushnil(L);
  return status;
}

// Up to the first nil, or what is not to be told by one.
static int read_all(lua_State *L, int last, gr_stream *s, int *failed) {
  for (int i = 2; i <= last; i++) {
    int status = read_format(L, i, s, failed);
    if (*failed || (status && status != GR_EOF))
      return status;
    if (lua_isnil(L, -1))
      break;
  }
  return 0;
}

// Reads the formats that are on the stack above self. Returns the status; the
// results are above them if that is 0.
static int read_formats(lua_State *L, gr_stream *s) {
  int top = lua_gettop(L), status;
  gr_wait_point(L);
  do {
    int failed = LUA_OK;
    lua_settop(L, top);
    gr_enter();
    status = gr_stream_read_begin(s);
    gr_leave();
    if (status)
      return status;
    status = read_all(L, top, s, &failed);
    gr_enter();
    gr_stream_read_end(s, !failed && status == 0);
    gr_leave();
    if (failed)
      lua_error(L);
  } while (gr_io_again(L, status));
  return status;
}

static int stream_read(lua_State *L) {
  gr_stream *s = check_self(L, "read");
  if (lua_gettop(L) == 1)
    lua_pushliteral(L, "l");
  check_formats(L, 2, "read");
  int top = lua_gettop(L);
  int status = read_formats(L, s);
  if (status)
    return gr_io_push_failure(L, status, "read");
  return lua_gettop(L) - top;
}

// --- lines ---

// Upvalues: the stream, formats...
static int next_line(lua_State *L) {
  int count = (int)lua_tointeger(L, lua_upvalueindex(1));
  lua_settop(L, 0);
  luaL_checkstack(L, 3 * count + LUA_MINSTACK, "too many formats");
  for (int i = 0; i < count; i++)
    lua_pushvalue(L, lua_upvalueindex(2 + i));
  gr_stream *s = check_self(L, "lines");
  int status = read_formats(L, s);
  if (status)
    return gr_io_end_loop(L, status, "lines");
  return lua_gettop(L) - count;
}

static int stream_lines(lua_State *L) {
  enum { FORMATS_MAX = 200 };
  check_self(L, "lines");
  if (lua_gettop(L) == 1)
    lua_pushliteral(L, "l");
  check_formats(L, 2, "lines");
  if (lua_gettop(L) > FORMATS_MAX)
    luaL_error(L, "too many arguments to 'lines'");
  lua_pushinteger(L, lua_gettop(L));
  lua_insert(L, 1);
  lua_pushcclosure(L, next_line, lua_gettop(L));
  return 1;
}

// --- writing ---

struct iovec *gr_collect_parts(lua_State *L, struct iovec *parts) {
  int count = lua_gettop(L) - 1;
  for (int i = 0; i < count; i++) {
    int type = lua_type(L, i + 2);
    if (type != LUA_TSTRING && type != LUA_TNUMBER)
      gr_arg_type_error(L, i + 2, i + 1, "write", "string");
  }
  if (count > GR_PARTS_ON_STACK)
    parts = lua_newuserdatauv(L, (size_t)count * sizeof *parts, 0);
  for (int i = 0; i < count; i++) {
    const char *bytes = lua_tolstring(L, i + 2, &parts[i].iov_len);
    parts[i].iov_base = (void *)(uintptr_t)bytes;
  }
  return parts;
}

static int stream_write(lua_State *L) {
  gr_stream *s = check_self(L, "write");
  struct iovec on_stack[GR_PARTS_ON_STACK];
  size_t count = (size_t)lua_gettop(L) - 1;
  struct iovec *parts = gr_collect_parts(L, on_stack);
  int status;
  gr_wait_point(L);
  do { // what has been written already is no longer in the parts
    gr_enter();
    status = gr_stream_write(s, parts, count);
    gr_leave();
  } while (gr_io_again(L, status));
  if (status)
    return gr_io_push_failure(L, status, "write");
  lua_settop(L, 1);
  return 1;
}

static int stream_shutdown(lua_State *L) {
  gr_stream *s = check_self(L, "shutdown");
  gr_arg_count(L, 1, "shutdown");
  gr_enter();
  int status = gr_stream_shutdown(s);
  gr_leave();
  return gr_io_push_result(L, status, "shutdown");
}

static int stream_close(lua_State *L) {
  gr_stream *s = check_self(L, "close");
  gr_enter();
  bool done = gr_stream_close(s);
  gr_leave();
  return gr_io_push_result(L, done ? 0 : GR_CLOSED, "close");
}

// --- settings ---

static int set_timeouts(lua_State *L, const char *name, bool read, bool write) {
  gr_stream *s = check_self(L, name);
  uint64_t timeout_ns = GR_NEVER;
  gr_arg_count(L, 2, name);
  if (!lua_isnoneornil(L, 2)) {
    gr_arg_deadline(L, 2, 1, name); // checks it
    lua_Number ns = ceil(lua_tonumber(L, 2) * 1e9);
    timeout_ns = ns <= 0 ? 0 : ns >= 9e18 ? GR_NEVER : (uint64_t)ns;
  }
  gr_enter();
  if (read)
    gr_descriptor_set_timeout(&s->d, GR_READ, timeout_ns);
  if (write)
    gr_descriptor_set_timeout(&s->d, GR_WRITE, timeout_ns);
  gr_leave();
  return 0;
}

static int stream_set_timeout(lua_State *L) {
  return set_timeouts(L, "set_timeout", true, true);
}

static int stream_set_read_timeout(lua_State *L) {
  return set_timeouts(L, "set_read_timeout", true, false);
}

static int stream_set_write_timeout(lua_State *L) {
  return set_timeouts(L, "set_write_timeout", false, true);
}

static gr_stream *check_connection(lua_State *L, const char *name) {
  return gr_arg_self(L, &gr_connection_type, name);
}

static int conn_set_nodelay(lua_State *L) {
  gr_stream *s = check_connection(L, "set_nodelay");
  gr_arg_count(L, 2, "set_nodelay");
  if (!lua_isboolean(L, 2))
    gr_arg_type_error(L, 2, 1, "set_nodelay", "boolean");
  return gr_io_push_result(L, gr_socket_set_nodelay(&s->d, lua_toboolean(L, 2)),
                           "set_nodelay");
}

static int conn_set_keepalive(lua_State *L) {
  gr_stream *s = check_connection(L, "set_keepalive");
  lua_Number seconds = 0;
  gr_arg_count(L, 2, "set_keepalive");
  if (!lua_isnoneornil(L, 2)) {
    gr_arg_deadline(L, 2, 1, "set_keepalive"); // checks it
    seconds = ceil(lua_tonumber(L, 2));
    if (seconds > 32767)
      gr_arg_error(L, 1, "set_keepalive", "at most 32767 seconds expected");
  }
  return gr_io_push_result(
      L, gr_socket_set_keepalive(&s->d, seconds > 0 ? (int)seconds : 0),
      "set_keepalive");
}

int gr_push_address(lua_State *L, const void *address) {
  char text[GR_ADDRESS_TEXT];
  int port = gr_address_text(address, text);
  lua_pushstring(L, text);
  if (port < 0)
    return 1;
  lua_pushinteger(L, port);
  return 2;
}

static int push_end(lua_State *L, const char *name, bool other) {
  gr_address a;
  gr_arg_count(L, 1, name);
  int status = gr_socket_address(&check_connection(L, name)->d, other, &a);
  return status ? gr_io_push_failure(L, status, name) : gr_push_address(L, &a);
}

static int conn_peer(lua_State *L) {
  return push_end(L, "peer", true);
}

static int conn_address(lua_State *L) {
  return push_end(L, "address", false);
}

static int stream_tostring(lua_State *L) {
  gr_stream *s = check_self(L, "tostring");
  lua_pushfstring(L, "%s: %p%s", is_socket(s) ? "connection" : "stream",
                  (void *)s, gr_descriptor_is_closed(&s->d) ? " (closed)" : "");
  return 1;
}

static const luaL_Reg reading_methods[] = {
    {"read", stream_read},
    {"lines", stream_lines},
    {"close", stream_close},
    {NULL, NULL},
};

void gr_stream_add_reading(lua_State *L) {
  luaL_setfuncs(L, reading_methods, 0);
}

static const luaL_Reg stream_methods[] = {
    {"read", stream_read},
    {"lines", stream_lines},
    {"write", stream_write},
    {"shutdown", stream_shutdown},
    {"close", stream_close},
    {"set_timeout", stream_set_timeout},
    {"set_read_timeout", stream_set_read_timeout},
    {"set_write_timeout", stream_set_write_timeout},
    {NULL, NULL},
};

static const luaL_Reg connection_methods[] = {
    {"peer", conn_peer},
    {"address", conn_address},
    {"set_nodelay", conn_set_nodelay},
    {"set_keepalive", conn_set_keepalive},
    {NULL, NULL},
};

static const luaL_Reg stream_meta[] = {
    {"__close", stream_close}, {"__tostring", stream_tostring}, {NULL, NULL}};

static void open_type(lua_State *L, const gr_handle_type *type) {
  gr_handle_register(L, type);
  luaL_setfuncs(L, stream_meta, 0);
  luaL_newlib(L, stream_methods);
  if (type == &gr_connection_type)
    luaL_setfuncs(L, connection_methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

static void open_connection(lua_State *L) {
  open_type(L, &gr_connection_type);
}

static void open_stream(lua_State *L) {
  open_type(L, &gr_stream_type);
}
