package = "goroutines"
version = "scm-1"
source = { url = "git+file://." }
description = {
  summary = "Go's goroutines and channels for Lua 5.4",
  detailed = [[
Runs isolated Lua states as goroutines on several threads. They communicate
over channels, wait without blocking a thread, and are preempted when they
compute for long.]],
  license = "MIT",
}
supported_platforms = { "unix" }
dependencies = { "lua >= 5.4, < 5.5" }
external_dependencies = { LIBUV = { header = "uv.h" } }
build = {
  type = "cmake",
  variables = {
    CMAKE_BUILD_TYPE = "Release",
    GR_TESTS = "OFF",
    CMAKE_INSTALL_PREFIX = "$(PREFIX)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    LIBUV_INCDIR = "$(LIBUV_INCDIR)",
    LIBUV_LIBDIR = "$(LIBUV_LIBDIR)",
    LUADIR = "$(LUADIR)",
    LIBDIR = "$(LIBDIR)",
  },
}
