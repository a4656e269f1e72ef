-- Calls every function of the standard libraries and writes what it returns: in
-- a goroutine if GOROUTINE is set, else in plain Lua. What differs from run to
-- run is reduced to what does not.

local function run()
  local lines, covered = {}, {}

  -- A result as text: what has an address is told by its type.
  local function show(v)
    local t = type(v)
    if t == "string" or t == "number" or t == "boolean" or t == "nil" then
      return ("%s %q"):format(math.type(v) or t, v)
    end
    return t
  end

  local function note(name, ...)
    local shown = table.pack(...)
    for i = 1, shown.n do
      shown[i] = show(shown[i])
    end
    lines[#lines + 1] = name .. ": " .. table.concat(shown, ", ", 1, shown.n)
  end

  local function find(name)
    local library, key = name:match("^(%w+)%.(%w+)$")
    if library then
      return _ENV[library][key]
    end
    return _ENV[name]
  end

  -- Calls the function of that name, with its errors.
  local function call(name, ...)
    covered[name] = true
    note(name, pcall(find(name), ...))
  end

  -- The same where only what `digest` makes of the results is comparable.
  local function check(name, digest, ...)
    covered[name] = true
    note(name, digest(find(name)(...)))
  end

  local function sum(...)
    local n = 0
    for _, v in ipairs({ ... }) do
      n = n + v
    end
    return n
  end

  -- The base library.
  call("assert", 1, 2)
  call("assert", false, "no")
  collectgarbage("incremental") -- the interpreter begins otherwise
  call("collectgarbage", "collect")
  check("collectgarbage", function(kb) return kb > 1 end, "count")
  call("collectgarbage", "generational")
  call("collectgarbage", "incremental", 200, 100, 13)
  call("collectgarbage", "step", 0)
  call("collectgarbage", "isrunning")
  call("dofile", "/nonexistent")
  call("error", "text", 0)
  call("error", { 1 })
  call("getmetatable", "")
  call("getmetatable", {})
  check("ipairs", type, {})
  check("load", function(f) return f(2) end, "local n = ... return n * 21")
  call("load", "syntax error")
  call("loadfile", "/nonexistent")
  call("next", {})
  call("next", { 7 })
  check("pairs", function(f, t) return f == next, t[1] end, { 5 })
  call("pcall", error, "caught", 0)
  covered.print = true -- below
  call("rawequal", "a", "a")
  call("rawget", setmetatable({}, { __index = { x = 1 } }), "x")
  call("rawlen", { 1, 2, 3 })
  check("rawset", function(t) return t.k end, {}, "k", "v")
  check("require", function(m) return m == string end, "string")
  check("require", function() end, "table")
  call("select", "#", 1, nil, nil)
  call("select", -1, 1, 2, 3)
  check("setmetatable", function(t) return t.y end, {}, { __index = { y = 2 } })
  call("tonumber", "0x1p4")
  call("tonumber", "zz", 36)
  call("tonumber", "10", 2)
  call("tostring", 1e100)
  call("tostring", -0.0)
  call("tostring", setmetatable({}, { __tostring = function() return "T" end }))
  call("type", nil)
  call("warn", "@on", "never written")
  call("warn", "@off")
  call("xpcall", error, function(m) return "handled " .. m end, "it", 0)

  -- string
  call("string.byte", "hello", 1, -1)
  call("string.char", 104, 105)
  check("string.dump", function(s) return load(s, "", "b")() end,
    function() return "dumped" end)
  call("string.find", "one two", "(%w+) (%w+)")
  call("string.find", "a.b", ".", 1, true)
  call("string.format", "%5d %-5s| %q %a %g %i %c %x %o %e %u", 42, "ab",
    "q\n\0", 1.5, 1e20, 3, 65, 255, 8, 1.25, 7)
  call("string.format", "%5d %-5s|%q %a %g %i %c %x %o %e", 42, "ab", "q\n\0",
    1.5, 1e20, 3, 65, 255, 8, 1.25)
  check("string.gmatch", function(f) return f(), f(), f() end, "a=1, b=2",
    "(%w)=(%w)")
  call("string.gsub", "hello world", "o", { o = "0" })
  call("string.gsub", "abc", "%w", "%0%0", 2)
  call("string.gsub", ("x"):rep(5000), "x", "yz")
  call("string.len", "\0\0")
  call("string.lower", "MiXeD")
  call("string.match", "  trim  ", "^%s*(.-)%s*$")
  call("string.match", "[[x]]", "%b[]")
  call("string.pack", "<i4 z s1 d", 100, "zero", "one", 1.5)
  call("string.packsize", "<i4 d")
  call("string.rep", "ab", 3, ",")
  check("string.rep", string.len, "long", 100000)
  call("string.reverse", "desserts")
  call("string.sub", "substring", 4, -4)
  call("string.unpack", "<I2", "\1\2\3")
  call("string.upper", "up")

  -- table
  call("table.concat", { 1, 2.5, "x" }, "-")
  call("table.concat", { {}, 1 })
  check("table.insert", function() end, {}, 1)
  check("table.move", function(t) return t[2], t[3] end, { 1, 2 }, 1, 2, 2)
  check("table.pack", function(t) return t.n end, nil, nil)
  call("table.remove", { 1, 2, 3 })
  check("table.sort", function() end, { 3, 1, 2 })
  local sorted = {}
  for i = 1, 500 do
    sorted[i] = i * 7919 % 1009
  end
  table.sort(sorted, function(a, b) return a > b end)
  note("sorted", table.unpack(sorted, 1, 200))
  call("table.sort", { 1, "x", {} })
  call("table.unpack", { 1, 2, 3 }, 2)
  call("table.unpack", {}, 1, 1e8)

  -- math
  for _, name in ipairs({ "abs", "ceil", "floor", "sqrt", "exp", "sin", "cos",
    "tan", "asin", "acos", "atan", "log", "deg", "rad", "modf", "type",
    "tointeger" }) do
    call("math." .. name, 0.5)
    call("math." .. name, -3)
  end
  for _, name in ipairs({ "sinh", "cosh", "tanh", "log10", "frexp", "pow",
    "ldexp", "atan2" }) do
    if math[name] then -- of older versions, where they are built in
      call("math." .. name, 3, 2)
    end
  end
  call("math.floor", "x")
  call("math.fmod", -7, 3)
  call("math.fmod", 1, 0)
  call("math.max", 1, 2.5, -1)
  call("math.min", 1, 2.5, -1)
  call("math.ult", 1, -1)
  math.randomseed(42, 7)
  call("math.randomseed", 42, 7)
  call("math.random")
  call("math.random", 100)
  call("math.random", -5, 5)
  call("math.random", 0)
  call("math.random", 2, 1)
  note("constants", math.pi, math.huge, math.maxinteger, math.mininteger)

  -- utf8
  call("utf8.char", 72, 228, 8364, 128512)
  check("utf8.codes", function(f, s, i) return f(s, i) end, "äb")
  call("utf8.codepoint", "ä€", 1, -1)
  call("utf8.codepoint", "\xff")
  call("utf8.len", "ä€b")
  call("utf8.len", "a\xffb")
  call("utf8.offset", "ä€b", 3)
  note("charpattern", utf8.charpattern)

  -- coroutine
  call("coroutine.create", print)
  check("coroutine.resume", function(...) return ... end,
    coroutine.create(function(...)
      return coroutine.yield(...)
    end), 1, 2)
  call("coroutine.resume", coroutine.create(error), "in it", 0)
  check("coroutine.wrap", function(f) return f(1), f(2) end,
    function(a) return coroutine.yield(a) + a end)
  call("coroutine.status", coroutine.create(print))
  check("coroutine.isyieldable", type)
  check("coroutine.running", type)
  call("coroutine.close", coroutine.create(print))
  covered["coroutine.yield"] = true -- above

  -- os
  check("os.clock", math.type)
  call("os.date", "!%Y-%m-%d %H:%M:%S", 86400)
  check("os.date", function(t) return t.year, t.month, t.isdst end, "!*t", 0)
  call("os.date", "%Ez", 0)
  call("os.difftime", 10, 4)
  call("os.execute", "exit 3")
  call("os.execute", "kill $$")
  call("os.getenv", "NO_SUCH_VARIABLE")
  call("os.time", { year = 2000, month = 1, day = 1, hour = 12 })
  call("os.time", { year = 2000 })
  call("os.setlocale", "C")
  call("os.setlocale", "no such locale")
  local path = os.tmpname()
  covered["os.tmpname"] = true
  check("os.rename", function(...) return ... end, path, path .. "x")
  check("os.remove", function(...) return ... end, path .. "x")
  call("os.remove", "/nonexistent/file")
  call("os.rename", "/nonexistent/a", "/nonexistent/b")
  covered["os.exit"] = true -- by specs of its own

  -- io
  local file = assert(io.open(path, "w+"))
  call("io.open", "/nonexistent/file")
  call("io.open", path, "no mode")
  note("write", file:write("one\ntwo\n", 3, " ", 4.5, "\n") == file)
  note("seek", file:seek("set", 0))
  note("read", file:read("l", "L", "n", "n", "a"))
  note("setvbuf", file:setvbuf("full", 1024))
  note("flush", file:flush() == file)
  note("tostring", tostring(file):match("^file %("))
  call("io.type", file)
  call("io.close", file)
  call("io.type", file)
  call("io.type", 1)
  note("closed", pcall(file.read, file))
  check("io.lines", function(f) return f(), f(), f(), f() end, path)
  call("io.lines", "/nonexistent/file")
  local input, output = io.input(), io.output()
  covered["io.input"], covered["io.output"] = true, true
  io.output(path):write("by output")
  io.output():close()
  io.output(output)
  io.input(path)
  call("io.read", "a")
  call("io.read", "a")
  call("io.read", "l")
  io.close(io.input())
  io.input(input)
  check("io.write", function(f) return f == output end)
  check("io.flush", type)
  check("io.popen", function(p) return p:read("a"), p:close() end,
    "echo popen; exit 5")
  check("io.tmpfile", function(f) return f:write("x"):seek("cur", 0) end)
  note("standard", io.type(io.stdin), io.type(io.stdout), io.type(io.stderr))
  os.remove(path)

  -- debug
  local function named(a, b)
    local c = a
    return debug.getlocal(1, 1), debug.getinfo(1, "nSlutr").nparams, b, c
  end
  check("debug.getinfo", function(i) return i.what, i.short_src, i.nups end,
    print)
  check("debug.getinfo", function(i) return i.what, i.linedefined, i.nparams end,
    named)
  call("debug.getlocal", named, 2)
  note("getlocal", named(1, 2))
  call("debug.gethook")
  check("debug.sethook", function() return debug.gethook() end)
  check("debug.getmetatable", function(m) return m.__index == string end, "")
  check("debug.setmetatable", type, {}, {})
  check("debug.getregistry", type)
  call("debug.getupvalue", named, 1)
  call("debug.setupvalue", function() return named end, 1, named)
  check("debug.upvalueid", type, function() return named end, 1)
  check("debug.upvaluejoin", function() end, function() return named end, 1,
    function() return lines end, 1)
  call("debug.getuservalue", io.stdout, 1)
  call("debug.setuservalue", io.stdout, 1, 5)
  check("debug.traceback", function(s) return s:match("^msg\nstack traceback:") end,
    "msg")
  local local_value = 1
  check("debug.setlocal", type, 1, 1, lines)
  note("local", local_value)
  covered["debug.debug"] = true -- reads from a terminal
  covered["debug.setcstacklimit"] = true -- does nothing

  -- package
  call("package.searchpath", "no.such", "./?.lua;./?/init.lua")
  call("package.loadlib", "/nonexistent.so", "*")
  note("package", package.config, #package.searchers, type(package.preload),
    package.loaded._G == _G, type(package.path), type(package.cpath))
  note("version", _VERSION, sum(1, 2, 3))

  for _, library in ipairs({ "string", "table", "math", "utf8", "coroutine",
    "os", "io", "debug", "package" }) do
    for key, value in pairs(_ENV[library]) do
      local name = library .. "." .. key
      if type(value) == "function" and not covered[name] then
        lines[#lines + 1] = "not called: " .. name
      end
    end
  end
  for key, value in pairs(_G) do
    if type(value) == "function" and not covered[key] then
      lines[#lines + 1] = "not called: " .. key
    end
  end
  print(table.concat(lines, "\n"))
  return #lines
end

if os.getenv("GOROUTINE") then
  local go = require("goroutines")
  local before = go.stats().states_copied
  local ok, count = go.spawn(run):join()
  assert(ok, count)
  assert(go.stats().states_copied == before + 1)
else
  run()
end
