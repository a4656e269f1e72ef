local go = require("goroutines")
local helper = require("spec.helper")

-- Globals are those of a program of its own, with these locals.
local PRELUDE = [[
local go = require("goroutines")
local function joined(task) return select(2, assert(task:join())) end
local function run(f, ...) return joined(go.spawn(f, ...)) end
local function failure(f, ...)
  local ok, message = go.spawn(f, ...):join()
  assert(not ok)
  return message
end
]]

local function output(script)
  return helper.output({ PRELUDE .. script })
end

describe("a global that a goroutine's function mentions", function()
  it("is there: a function, a table, a scalar", function()
    assert.equal("6\tconf\t7\n", output([[
      function double(x) return x * 2 end
      config = { name = "conf" }
      limit = 7
      print(run(function() return double(3), config.name, limit end))
    ]]))
  end)

  it("is there in each way to start a goroutine", function()
    assert.equal("go\nspawn\ntimer\ntimer again\n", output([[
      function show(ch, what) ch:send(what) end
      local ch = go.chan()
      go(function() show(ch, "go") end)
      print(ch:recv())
      go.spawn({ name = "n" }, function() show(ch, "spawn") end)
      print(ch:recv())
      go.timer(0, function() show(ch, "timer") end)
      print(ch:recv())
      go.timer(0, function(more) more(ch, "timer again") end,
        function(...) show(...) end)
      print(ch:recv())
    ]]))
  end)

  it("is there if the function itself is the global", function()
    assert.equal("120\n", output([[
      function factorial(n) return n <= 1 and 1 or n * factorial(n - 1) end
      print(run(factorial, 5))
    ]]))
  end)

  it("is a snapshot of when the goroutine was started", function()
    assert.equal("before\tlist before\nbefore\n", output([[
      word, list = "before", { "list before" }
      local start = go.chan()
      local task = go.spawn(function()
        start:recv()
        return word, list[1]
      end)
      word, list[1] = "after", "list after"
      start:send(true)
      print(joined(task))
      word = "before"
      run(function() word = "the goroutine's" end)
      print(word)
    ]]))
  end)

  it("is a snapshot for a timer, too", function()
    assert.equal("before\n", output([[
      word = "before"
      local ch = go.chan()
      go.timer(0.001, function() ch:send(word) end)
      word = "after"
      print(ch:recv())
    ]]))
  end)

  it("is found in nested functions", function()
    assert.equal("deep\tdeeper\n", output([[
      deep, deeper = "deep", "deeper"
      print(run(function()
        local function inner()
          return (function() return deep, (function() return deeper end)() end)()
        end
        return inner()
      end))
    ]]))
  end)

  it("is found as a field of _G, and of _ENV", function()
    assert.equal("1\t2\t3\t4\n", output([[
      one, two, three, four = 1, 2, 3, 4
      print(run(function()
        local g = _G
        return _G.one, g.two, _ENV.three, _G._G._G.four
      end))
    ]]))
  end)

  it("is found by rawget and by a string in the function", function()
    assert.equal("1\t2\n", output([[
      one, two = 1, 2
      print(run(function()
        local name = "two"
        return rawget(_G, "one"), _G[name]
      end))
    ]]))
  end)

  it("may have a name of any length", function()
    for _, length in ipairs({ 39, 40, 41, 42, 255, 256, 70000 }) do
      local name = ("x"):rep(length)
      assert.equal("found\tfound\n", output(([[
        %s = "found"
        print(run(function()
          return %s, (function() return _G.%s end)()
        end))
      ]]):format(name, name, name)))
    end
  end)

  it("is found in a function with many constants", function()
    for _, count in ipairs({ 254, 255, 256, 257, 300, 70000 }) do
      local constants = {}
      for i = 1, count do
        constants[i] = ("t[%d] = 'c%d'"):format(i % 100 + 1, i)
      end
      assert.equal("last\tcalled\n", output(([[
        last = "last"
        function called() return "called" end
        print(run(function()
          local t = {}
          %s
          return last, called()
        end))
      ]]):format(table.concat(constants, "\n"))))
    end
  end)

  it("is found in the function that assigns it, too", function()
    assert.equal("2\t1\n", output([[
      count = 1
      print(run(function()
        count = count + 1
        return count
      end), count)
    ]]))
  end)

  it("does not have to exist", function()
    assert.equal("nil\tnil\tset\n", output([[
      print(run(function()
        local before = missing
        return before, _G.missing, (function() missing = "set" return missing end)()
      end))
    ]]))
  end)

  it("may be false", function()
    assert.equal("false\n", output([[
      flag = false
      print(run(function() return flag end))
    ]]))
  end)

  it("is left behind if nothing mentions it", function()
    assert.equal("nil\n", output([[
      other = coroutine.create(print)
      secret = "secret"
      print(run(function() return _G["sec" .. ("ret")] end))
    ]]))
  end)

  it("does not follow a function in a message", function()
    assert.equal("nil\n", output([[
      secret = "secret"
      local ch = go.chan(1)
      ch:send(function() return secret end)
      print(run(function(c) return c:recv()() end, ch))
    ]]))
  end)
end)

describe("a global that is reached", function()
  it("through another global comes along", function()
    assert.equal("third\n", output([[
      function first() return second() end
      function second() return third end
      third = "third"
      print(run(function() return first() end))
    ]]))
  end)

  it("through the methods of a global table comes along", function()
    assert.equal("hello world\n", output([[
      greeter = { greet = function(name) return greeting .. " " .. name end }
      greeting = "hello"
      print(run(function() return greeter.greet("world") end))
    ]]))
  end)

  it("by two functions that call each other comes along", function()
    assert.equal("true\tfalse\n", output([[
      function even(n) if n == 0 then return true end return odd(n - 1) end
      function odd(n) if n == 0 then return false end return even(n - 1) end
      print(run(function() return even(10), even(7) end))
    ]]))
  end)

  it("through a captured function comes along", function()
    assert.equal("base\n", output([[
      base = "base"
      local function inner() return base end
      local function outer() return inner() end
      print(run(function() return outer() end))
    ]]))
  end)

  it("through an argument's function comes along", function()
    assert.equal("base\tbase\n", output([[
      base = "base"
      local function f() return base end
      print(run(function(g, t) return g(), t.list[1]() end, f, { list = { f } }))
    ]]))
  end)

  it("through an argument's metatable comes along", function()
    assert.equal("method base\tsum base\n", output([[
      base = "base"
      local class = {
        __index = { name = function() return "method " .. base end },
        __add = function() return "sum " .. base end,
      }
      print(run(function(o) return o:name(), o + o end, setmetatable({}, class)))
    ]]))
  end)

  it("through a table nested deeply comes along", function()
    assert.equal("base\n", output([[
      base = "base"
      local t = { f = function() return base end }
      for _ = 1, 1000 do t = { inner = t } end
      print(run(function(v)
        while v.inner do v = v.inner end
        return v.f()
      end, t))
    ]]))
  end)

  it("through a goroutine that a goroutine starts comes along", function()
    assert.equal("base\n", output([[
      base = "base"
      function leaf() return base end
      function branch() return select(2, go.spawn(leaf):join()) end
      go = require("goroutines")
      print(run(function() return branch() end))
    ]]))
  end)
end)

describe("captured globals", function()
  it("share tables with each other, the arguments and upvalues", function()
    assert.equal("true\ttrue\ttrue\n", output([[
      local shared = { 1 }
      a, b = { shared }, shared
      print(run(function(argument)
        return a[1] == b, b == argument, argument == shared
      end, shared))
    ]]))
  end)

  it("share upvalues with the functions of the call", function()
    assert.equal("2\n", output([[
      local n = 0
      function increment() n = n + 1 end
      print(run(function()
        increment()
        increment()
        return n
      end))
    ]]))
  end)

  it("may be cyclic and deep", function()
    assert.equal("true\t1000\n", output([[
      ring = {}
      ring.next = { next = ring }
      deep = {}
      local t = deep
      for _ = 1, 1000 do t.next = {} t = t.next end
      print(run(function()
        local depth, at = 0, deep
        while at.next do at, depth = at.next, depth + 1 end
        return ring.next.next == ring, depth
      end))
    ]]))
  end)

  it("may be handles and this module", function()
    assert.equal("true\t1\n", output([[
      go = require("goroutines")
      jobs = go.chan(1)
      jobs:send(1)
      print(run(function()
        return go == require("goroutines"), (jobs:recv())
      end))
    ]]))
  end)

  it("do not take away the receiver's own standard ones", function()
    assert.equal("true\ttrue\ttrue\n", output([[
      print(run(function(p, s, m)
        return print == p, string == s, math == m
      end, print, string, math))
    ]]))
  end)

  it("take the place of standard ones if they are the program's", function()
    assert.equal("mine: text\nmine: text\n", output([[
      local stock = print
      function print(text) stock("mine: " .. text) end
      run(function() print("text") end)
      local function indirect() print("text") end
      run(function() indirect() end)
    ]]))
  end)

  it("take the place of standard tables, too", function()
    assert.equal("mine\n", output([[
      math = { random = function() return "mine" end }
      print(run(function() return math.random() end))
    ]]))
  end)

  it("are those of `configure`'s init function, too", function()
    assert.equal("setting\tfrom init\n", output([[
      setting = "setting"
      function prepare() from_init = "from init" ready = setting end
      go.configure({ init = function() prepare() end })
      print(run(function() return _G["rea" .. "dy"], _G["from_" .. "init"] end))
    ]]))
  end)

  it("are read past a metatable of the globals", function()
    assert.equal("declared\tnil\n", output([[
      declared = "declared"
      setmetatable(_G, {
        __index = function(_, name) error("undeclared " .. name, 2) end,
        __newindex = function(_, name) error("undeclared " .. name, 2) end,
      })
      print(run(function() return declared, undeclared end))
    ]]))
  end)
end)

describe("a function that rebuilds a value", function()
  local CLASS = [[
    Point = {}
    Point.__index = Point
    function Point.new(x) return setmetatable({ x = x }, Point) end
    function Point.__transfer(self) return Point.new, self.x end
  ]]

  it("finds the globals that it mentions", function()
    assert.equal("true\t3\t4\n", output(CLASS .. [[
      local captured = Point.new(3)
      print(run(function(p)
        return getmetatable(p) == Point and getmetatable(captured) == Point,
          captured.x, p.x
      end, Point.new(4)))
    ]]))
  end)

  it("finds globals that need others which are rebuilt", function()
    assert.equal("1\tfirst\n", output(CLASS .. [[
      base = { origin = Point.new(1), text = "first" }
      local meta = {}
      function meta.__transfer()
        return function() return { base.origin.x, base.text } end
      end
      print(table.unpack(run(function(v) return v end, setmetatable({}, meta))))
    ]]))
  end)

  it("finds globals that are deep, from deep in an argument", function()
    assert.equal("true\t1000\t500\n", output(CLASS .. [[
      local function chain(n, last)
        for _ = 1, n do last = { next = last } end
        return last
      end
      local function length(t)
        local n = 0
        while rawget(t, "next") do t, n = t.next, n + 1 end
        return n, t
      end
      Point.deep = chain(1000, {})
      local v = chain(300, { p = Point.new(1), next = chain(199, {}) })
      print(run(function(t)
        local n = length(t)
        for _ = 1, 300 do t = t.next end
        return getmetatable(t.p) == Point, (length(Point.deep)), n
      end, v))
    ]]))
  end)

  it("cannot use a global that holds the value, and is told so", function()
    local message = output(CLASS .. [[
      local p = Point.new(1)
      Point.all = { p }
      print(failure(function(v) return v end, p))
    ]])
    assert.matches("refers to itself in its __transfer (at global 'Point'",
      message, 1, true)
  end)

  it("may leave for later a global that holds the value", function()
    assert.equal("1\ttrue\n", output([[
      local meta = { __transfer = function(self)
        return function(x) return { x = x, all = function() return all end } end,
          self.x
      end }
      local v = setmetatable({ x = 1 }, meta)
      all = { v }
      print(run(function(copy) return copy.x, all[1] == copy end, v))
    ]]))
  end)

  it("may mention a global that cannot be sent", function()
    local message = output([[
      co = coroutine.create(print)
      local v = setmetatable({}, { __transfer = function()
        return function() return co end
      end })
      print(failure(function(x) return x end, v))
    ]])
    assert.matches("cannot send a coroutine (at global 'co')", message, 1, true)
  end)
end)

describe("a global that cannot be sent", function()
  it("stays away, and does not keep the others", function()
    assert.equal("other\n", output([[
      co, other = coroutine.create(print), "other"
      print(run(function()
        if false then return co end
        return other
      end))
    ]]))
  end)

  it("raises the reason when it is read", function()
    local reason = "cannot send a coroutine (at global 'conf'.list[2].co)"
    local message = output([[
      conf = { list = { 1, { co = coroutine.create(print) } } }
      print(failure(function() return conf.list end))
    ]])
    assert.matches(reason, message, 1, true)
    assert.matches("conf", message, 1, true)
  end)

  it("raises it through _G, and in nested functions, each time", function()
    assert.equal("false\tfalse\tfalse\n", output([[
      co = coroutine.create(print)
      print(run(function()
        return (pcall(function() return co end)),
          (pcall(function() return _G.co end)),
          (pcall(function() return co end))
      end))
    ]]))
  end)

  it("may be assigned, and is usable then", function()
    assert.equal("assigned\tnil\n", output([[
      co = coroutine.create(print)
      print(run(function()
        co = "assigned"
        local text = co
        return text, getmetatable(_G).co
      end))
    ]]))
  end)

  it("may be one of several, each with its reason", function()
    local message = output([[
      co, file = coroutine.create(print), io.tmpfile()
      print(run(function()
        return select(2, pcall(function() return co end)),
          select(2, pcall(function() return file end))
      end))
    ]])
    assert.matches("cannot send a coroutine (at global 'co')", message, 1, true)
    assert.matches("cannot send .*FILE.* %(at global 'file'%)", message)
  end)

  it("takes nothing along that others still need", function()
    assert.equal("shared\tshared\tfalse\n", output([[
      local shared = { "shared" }
      aa = { shared, coroutine.create(print) }
      bb, cc = { shared }, { shared }
      print(run(function()
        local ok = pcall(function() return aa end)
        return bb[1][1], bb[1] == cc[1] and "shared", ok
      end))
    ]]))
  end)

  it("may fail after many and deep ones were written", function()
    assert.equal("1\t2000\tfalse\n", output([[
      local function chain(n, last)
        local t = last
        for _ = 1, n do t = { next = t } end
        return t
      end
      local wide = {}
      for i = 1, 1000 do wide[i] = { i, go.chan() } end
      bad = { wide, chain(2000, coroutine.create(print)) }
      good = { wide, chain(2000, false) }
      print(run(function()
        local ok = pcall(function() return bad end)
        local n, t = 0, good[2]
        while t do t, n = t.next, n + 1 end
        return good[1][1][1], n, ok
      end))
    ]]))
  end)

  it("leaves other missing globals nil", function()
    assert.equal("nil\tnil\n", output([[
      co = coroutine.create(print)
      print(run(function()
        pcall(function() return co end)
        return missing, _G[1]
      end))
    ]]))
  end)
end)

describe("an environment", function()
  it("of a function's own is copied", function()
    assert.equal("own\tnil\nown\n", output([[
      local env = { word = "own" }
      local f = load("return word, other", "=f", "t", env)
      other = "global"
      print(run(f))
      local function g()
        local _ENV <const> = env
        return word
      end
      print(run(g))
    ]]))
  end)

  it("that inherits from the globals finds them", function()
    assert.equal("own\tglobal\tnumber\n", output([[
      word, other = "global", "global"
      local env = setmetatable({ word = "own" }, { __index = _G })
      print(run(load("return word, other, type(1)", "=f", "t", env)))
    ]]))
  end)

  it("that inherits through several tables finds globals", function()
    assert.equal("global\n", output([[
      word = "global"
      local env = _G
      for _ = 1, 3 do env = setmetatable({}, { __index = env }) end
      print(run(load("return word", "=f", "t", env)))
    ]]))
  end)

  it("gets what is assigned, not the globals", function()
    assert.equal("set\tnil\n", output([[
      local env = setmetatable({}, { __index = _G })
      print(run(load("word = 'set' return word, rawget(_G, 'word')", "=f", "t",
        env)))
    ]]))
  end)

  it("need not have its name: stripped functions find globals", function()
    assert.equal("global\n1\n", output([[
      word = "global"
      print(run(load(string.dump(load("return word"), true))))
      local stripped = load(string.dump(function() return count end, true))
      count = 1
      debug.setupvalue(stripped, 1, _G)
      print(run(stripped))
    ]]))
  end)

  it("may be an upvalue of another name", function()
    assert.equal("global\n", output([[
      word = "global"
      local env = _G
      print(run(function() return env.word end))
    ]]))
  end)
end)

describe("the globals of tests", function()
  it("come along as those of programs do", function()
    rawset(_G, "spec_captured", { "captured" })
    local _, value = go.spawn(function()
      return rawget(_G, "spec_captured")[1]
    end):join()
    rawset(_G, "spec_captured", nil)
    assert.equal("captured", value)
  end)
end)
