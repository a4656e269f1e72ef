local go = require("goroutines")
local helper = require("spec.helper")

-- What comes out of a channel when `v` is sent.
local function through_channel(v)
  local ch = go.chan(1)
  ch:send(v)
  return ch:recv()
end

-- What a goroutine returns that was called with the values.
local function through_goroutine(...)
  return select(2, assert(go.spawn(function(...) return ... end, ...):join()))
end

-- What `f(...)` returns in a goroutine.
local function in_goroutine(f, ...)
  return select(2, assert(go.spawn(f, ...):join()))
end

local WAYS = { through_channel, through_goroutine }

-- The message of the error that sending `v` raises.
local function refusal(v)
  local ch = go.chan(1)
  local ok, message = pcall(ch.send, ch, v)
  assert.is_false(ok)
  assert.equal(0, #ch)
  return message
end

local function assert_same_number(expected, got)
  assert.equal(math.type(expected), math.type(got))
  assert.equal(("%q"):format(expected), ("%q"):format(got))
end

describe("a scalar", function()
  it("arrives equal: booleans", function()
    for _, way in ipairs(WAYS) do
      assert.is_true(way(true))
      assert.is_false(way(false))
    end
    assert.is_nil((through_goroutine(nil)))
  end)

  it("arrives equal: integers and floats, each as what it is", function()
    local numbers = {
      0, 1, -1, 1.0, 0.1, 1e300, 5e-324, 2^53, 2^63,
      math.maxinteger, math.mininteger, math.huge, -math.huge,
    }
    for _, way in ipairs(WAYS) do
      for _, number in ipairs(numbers) do
        assert_same_number(number, way(number))
        assert_same_number(number, way({ number })[1])
      end
    end
  end)

  it("arrives equal: NaN and the negative zero", function()
    for _, way in ipairs(WAYS) do
      local nan, zero = way(0 / 0), way(-0.0)
      assert.is_true(nan ~= nan)
      assert.equal(-math.huge, 1 / zero)
      local packed = way({ 0 / 0, -0.0 })
      assert.is_true(packed[1] ~= packed[1])
      assert.equal(-math.huge, 1 / packed[2])
    end
  end)

  it("arrives equal: strings of any bytes and length", function()
    local bytes = {}
    for i = 0, 255 do
      bytes[#bytes + 1] = string.char(i)
    end
    local all = table.concat(bytes)
    local strings = { "", "\0", "a\0b\0", all, all:rep(100) }
    for length = 38, 42 do
      strings[#strings + 1] = ("x"):rep(length)
    end
    for _, way in ipairs(WAYS) do
      for _, s in ipairs(strings) do
        assert.is_true(way(s) == s)
        assert.is_true(way({ [s] = s })[s] == s)
      end
    end
  end)

  it("arrives equal: ten megabytes", function()
    local s = ("0123456789"):rep(1024 * 1024)
    for _, way in ipairs(WAYS) do
      assert.is_true(way(s) == s)
      assert.is_true(way({ s = s }).s == s)
    end
  end)

  it("arrives at its place among nils", function()
    local results = table.pack(through_goroutine(nil, 1, nil, false, nil))
    assert.same({ n = 5, nil, 1, nil, false, nil }, results)
  end)
end)

describe("a table", function()
  it("arrives as a deep copy", function()
    local t = { 1, 2, { 3 }, key = { [true] = "yes", [1.5] = "float" } }
    for _, way in ipairs(WAYS) do
      local copy = way(t)
      assert.same(t, copy)
      assert.is_false(copy == t)
      assert.is_false(copy[3] == t[3])
    end
  end)

  it("is copied when it is sent", function()
    local ch, t = go.chan(1), { "before" }
    ch:send(t)
    t[1] = "after"
    assert.same({ "before" }, ch:recv())
    local args = { "before" }
    local task = go.spawn(function(list)
      list[2] = "own"
      return list
    end, args)
    args[1] = "after"
    assert.same({ true, { "before", "own" } }, { task:join() })
    assert.same({ "after" }, args)
  end)

  it("keeps cycles and shared references", function()
    local shared = { "shared" }
    local t = { a = shared, b = { shared }, [shared] = "key" }
    t.self, t.b.parent = t, t
    for _, way in ipairs(WAYS) do
      local copy = way(t)
      assert.is_true(copy.self == copy)
      assert.is_true(copy.b.parent == copy)
      assert.is_true(copy.a == copy.b[1])
      assert.equal("key", copy[copy.a])
    end
  end)

  it("shares across the values of one message", function()
    local shared = {}
    local a, b, c = through_goroutine(shared, { shared }, shared)
    assert.is_true(a == b[1] and a == c)
    local captured, argument = in_goroutine(function(t)
      return shared, t
    end, shared)
    assert.is_true(captured == argument)
  end)

  it("keeps holes, and keys of any kind", function()
    local t = { nil, 2, nil, 4, [-1] = "a", [2^53] = "b", [false] = "c" }
    t[1e15] = "d"
    t[math.mininteger] = "e"
    for _, way in ipairs(WAYS) do
      assert.same(t, way(t))
    end
  end)

  it("may be large", function()
    local list, map = {}, {}
    for i = 1, 100000 do
      list[i], map["key" .. i] = i, i
    end
    for _, way in ipairs(WAYS) do
      local copy = way({ list = list, map = map })
      assert.equal(100000, #copy.list)
      for i = 1, 100000 do
        if copy.list[i] ~= i or copy.map["key" .. i] ~= i then
          error("entry " .. i .. " differs")
        end
      end
    end
  end)

  it("may be a hundred thousand deep", function()
    local deep = "bottom"
    for _ = 1, 100000 do
      deep = { deep }
    end
    for _, way in ipairs(WAYS) do
      local copy, depth = way(deep), 0
      while type(copy) == "table" do
        copy, depth = copy[1], depth + 1
      end
      assert.equal(100000, depth)
      assert.equal("bottom", copy)
    end
  end)

  it("keeps its metatable", function()
    local class = { greeting = "hello" }
    class.__index = class
    function class.greet(self)
      return self.greeting .. " " .. self.name
    end
    local a = setmetatable({ name = "a" }, class)
    local b = setmetatable({ name = "b" }, class)
    for _, way in ipairs(WAYS) do
      local copy = way({ a, b })
      assert.equal("hello a", copy[1]:greet())
      assert.is_true(getmetatable(copy[1]) == getmetatable(copy[2]))
      assert.is_true(getmetatable(copy[1]).__index == getmetatable(copy[1]))
    end
  end)

  it("is read without its metamethods", function()
    local meta = { __index = error, __pairs = error, __len = error }
    local t = setmetatable({ 1, 2 }, meta)
    for _, way in ipairs(WAYS) do
      local copy = way(t)
      assert.equal(1, rawget(copy, 1))
      assert.equal(2, rawlen(copy))
    end
  end)

  it("gets no metamethod called while it is built", function()
    local meta = { __newindex = function() error("called") end }
    local copy = through_channel(setmetatable({ a = 1 }, meta))
    assert.equal(1, copy.a)
    assert.has_error(function() copy.b = 2 end)
  end)
end)

describe("a function", function()
  it("arrives with copies of what it captured", function()
    local n = 10
    local function add(x)
      n = n + x
      return n
    end
    for _, way in ipairs(WAYS) do
      local copy = way(add)
      assert.equal(11, copy(1))
      assert.equal(12, copy(1))
    end
    assert.equal(10, n)
  end)

  it("may be recursive", function()
    local function factorial(n)
      return n <= 1 and 1 or n * factorial(n - 1)
    end
    for _, way in ipairs(WAYS) do
      assert.equal(3628800, way(factorial)(10))
    end
    assert.equal(3628800, in_goroutine(factorial, 10))
  end)

  it("may be one of two that call each other", function()
    local odd
    local function even(n) return n == 0 or odd(n - 1) end
    function odd(n) return n ~= 0 and even(n - 1) end
    assert.is_true(in_goroutine(even, 10))
    assert.is_false(through_channel(even)(7))
  end)

  it("still shares an upvalue with another", function()
    local n = 0
    local function increment() n = n + 1 end
    local function read() return n end
    for _, way in ipairs(WAYS) do
      local pair = way({ increment = increment, read = read })
      pair.increment()
      pair.increment()
      assert.equal(2, pair.read())
    end
    assert.equal(2, in_goroutine(function()
      increment()
      increment()
      return read()
    end))
    assert.equal(0, n)
  end)

  it("keeps apart upvalues that only look the same", function()
    local function counter()
      local n = 0
      return function()
        n = n + 1
        return n
      end
    end
    local pair = through_channel({ counter(), counter() })
    assert.equal(1, pair[1]())
    assert.equal(2, pair[1]())
    assert.equal(1, pair[2]())
  end)

  it("is the same one if it comes twice in a message", function()
    local function f() end
    local copy = through_channel({ f, f })
    assert.is_true(copy[1] == copy[2])
  end)

  it("uses the globals of where it runs", function()
    local value = in_goroutine(function()
      rawset(_G, "spec_global", "goroutine")
      return rawget(_G, "spec_global")
    end)
    assert.equal("goroutine", value)
    assert.is_nil(rawget(_G, "spec_global"))
    assert.equal("3", in_goroutine(function() return tostring(3) end))
  end)

  it("keeps its varargs, its name and its lines", function()
    local function count(...) return select("#", ...) end
    assert.equal(3, through_channel(count)(nil, nil, nil))
    local before = debug.getinfo(count)
    local after = debug.getinfo(through_channel(count))
    assert.equal(before.source, after.source)
    assert.equal(before.linedefined, after.linedefined)
    assert.is_true(after.isvararg)
  end)

  it("may be loaded from text, or without debug information", function()
    assert.equal(7, in_goroutine(load("return ... + 4"), 3))
    local stripped = load(string.dump(load("return ... + 4"), true))
    assert.equal(7, in_goroutine(stripped, 3))
  end)

  it("of C is the same function", function()
    for _, way in ipairs(WAYS) do
      assert.is_true(way(string.format) == string.format)
      assert.is_true(way({ print })[1] == print)
    end
    assert.is_true(in_goroutine(function(f) return f == string.format end,
      string.format))
    assert.equal("1.5", in_goroutine(string.format, "%.1f", 1.5))
  end)

  it("finds this module among what it captured", function()
    assert.is_true(in_goroutine(function()
      return go == require("goroutines")
    end))
  end)
end)

describe("a handle in a message", function()
  it("is the same object, at any depth", function()
    local ch, task = go.chan(), go.self()
    for _, way in ipairs(WAYS) do
      local copy = way({ list = { ch, { task } }, [ch] = "key" })
      assert.is_true(copy.list[1] == ch)
      assert.is_true(copy.list[2][1] == task)
      assert.equal("key", copy[ch])
    end
  end)

  it("lives while it is under way", function()
    local carrier = go.chan(1)
    carrier:send({ through_channel(go.chan(1)) })
    collectgarbage()
    collectgarbage()
    local ch = carrier:recv()[1]
    ch:send("alive")
    assert.equal("alive", ch:recv())
  end)
end)

describe("what cannot be sent", function()
  local function dead() return coroutine.create(print) end

  local function assert_path(path, v)
    local expected = "cannot send a coroutine (at " .. path .. ")"
    assert.matches(expected, refusal(v), 1, true)
  end

  it("is named with its path", function()
    assert_path("value.users[3].co",
      { users = { {}, {}, { co = dead() } } })
    assert_path("value[1][2]", { { 1, dead() } })
    assert.matches("cannot send a coroutine", refusal(dead()), 1, true)
  end)

  it("is found as a key and in a metatable", function()
    local expected = "cannot send a coroutine"
    assert.matches(expected, refusal({ [dead()] = 1 }), 1, true)
    local t = setmetatable({}, { co = dead() })
    assert.matches(expected, refusal({ t }), 1, true)
  end)

  it("is found among what a function captured", function()
    local conn = dead()
    local line = debug.getinfo(1, "l").currentline + 1
    local function query() return conn end
    local where = "upvalue 'conn' of function <"
    local message = refusal(query)
    assert.matches("cannot send a coroutine (at " .. where, message, 1, true)
    assert.matches("values_spec.lua:" .. line .. ">", message, 1, true)
    local ok, spawned = pcall(go.spawn, query)
    assert.is_false(ok)
    assert.matches(where, spawned, 1, true)
  end)

  it("may be userdata", function()
    local file <close> = assert(io.open("/dev/null"))
    assert.matches("cannot send .*%(at value%.file%)", refusal({ file = file }))
  end)

  it("is refused among arguments and in a select, too", function()
    local expected = "cannot send a coroutine"
    local ch = go.chan(1)
    for _, f in ipairs({ go, go.spawn }) do
      local ok, message = pcall(f, print, 1, { dead() })
      assert.is_false(ok)
      assert.matches(expected, message, 1, true)
    end
    local ok, message = pcall(function()
      return go.select(ch:sending({ dead() }))
    end)
    assert.is_false(ok)
    assert.matches(expected, message, 1, true)
    assert.equal(0, #ch)
  end)

  it("leaves both sides as they were", function()
    local ch, t = go.chan(1), { 1, { 2 }, go.chan() }
    t[4] = dead()
    for _ = 1, 100 do
      assert.is_false(pcall(ch.send, ch, t))
    end
    t[4] = nil
    assert.is_true(ch:send(t, 0))
    local copy = ch:recv()
    assert.same({ 1, { 2 } }, { copy[1], copy[2] })
    assert.is_true(copy[3] == t[3])
  end)

  it("starts no goroutine", function()
    local before = go.count()
    assert.is_false(pcall(go, print, dead()))
    assert.equal(before, go.count())
  end)
end)

describe("messages between many states", function()
  it("arrive whole while garbage is collected", function()
    helper.each_procs({ 1, 2, 4 }, function()
      local ch, out, n = go.chan(4), go.chan(4), 100
      local function produce(seed)
        for i = 1, n do
          ch:send({
            i = i, text = ("x"):rep(i * seed % 100),
            list = { i, { i } }, f = function() return i end,
          })
        end
      end
      local function consume()
        for v in ch do
          collectgarbage("step")
          out:send(v.f() == v.i and v.list[2][1] == v.i)
        end
      end
      for i = 1, 4 do
        go(produce, i)
        go(consume)
      end
      for _ = 1, 4 * n do
        assert.is_true(out:recv())
      end
      ch:close()
    end)
  end)
end)
