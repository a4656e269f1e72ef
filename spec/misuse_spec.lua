local go = require("goroutines")
local helper = require("spec.helper")

local NAN = 0 / 0
local function nothing() end

-- Calls of a method of a timer or ticker, which is stopped after it.
local function on(handle, f)
  return function()
    local ok, message = pcall(f, handle)
    handle:stop()
    assert(ok, message)
  end
end

local function timer(f)
  return function() on(go.timer(3600, nothing), f)() end
end

local function ticker(f)
  return function() on(go.ticker(3600), f)() end
end

-- Calls with a wrong argument: the function, the argument's number, the call.
local CALLS = {
  { "go", 1, function() go() end },
  { "go", 1, function() go(nil) end },
  { "go", 1, function() go(1) end },
  { "go", 1, function() go("print") end },
  { "go", 1, function() go({ name = "no options here" }, nothing) end },
  { "spawn", 1, function() go.spawn() end },
  { "spawn", 1, function() go.spawn(nil) end },
  { "spawn", 1, function() go.spawn(nil, nothing) end },
  { "spawn", 1, function() go.spawn("name", nothing) end },
  { "spawn", 2, function() go.spawn({}) end },
  { "spawn", 2, function() go.spawn({}, "f") end },
  { "spawn", 1, function() go.spawn({ nam = "x" }, nothing) end },
  { "spawn", 1, function() go.spawn({ name = {} }, nothing) end },
  { "spawn", 1, function() go.spawn({ "x" }, nothing) end },
  { "configure", 1, function() go.configure(1) end },
  { "configure", 1, function() go.configure({ time_slise = 1 }) end },
  { "configure", 1, function() go.configure({ "x" }) end },
  { "configure", 1, function() go.configure({ time_slice = 0 }) end },
  { "configure", 1, function() go.configure({ time_slice = -1 }) end },
  { "configure", 1, function() go.configure({ time_slice = NAN }) end },
  { "configure", 1, function() go.configure({ time_slice = "x" }) end },
  { "configure", 1, function() go.configure({ stack_size = 0 }) end },
  { "configure", 1, function() go.configure({ stack_size = "x" }) end },
  { "configure", 1, function() go.configure({ preempt = "no" }) end },
  { "configure", 1, function() go.configure({ preempt = 1 }) end },
  { "configure", 1, function() go.configure({ on_error = "no" }) end },
  { "configure", 1, function() go.configure({ on_error = print }) end },
  { "chan", 1, function() go.chan(-1) end },
  { "chan", 1, function() go.chan(2^60) end },
  { "chan", 1, function() go.chan(math.maxinteger) end },
  { "chan", 1, function() go.chan(1.5) end },
  { "chan", 1, function() go.chan(NAN) end },
  { "chan", 1, function() go.chan(math.huge) end },
  { "chan", 1, function() go.chan("x") end },
  { "chan", 1, function() go.chan({}) end },
  { "send", 1, function() go.chan():send() end },
  { "send", 1, function() go.chan():send(nil) end },
  { "send", 1, function() go.chan():send(nil, 0) end },
  { "send", 2, function() go.chan():send(1, "x") end },
  { "send", 2, function() go.chan():send(1, NAN) end },
  { "send", 2, function() go.chan():send(1, {}) end },
  { "send", 2, function() go.chan(1):send(1, true) end },
  { "recv", 1, function() go.chan():recv("x") end },
  { "recv", 1, function() go.chan():recv(NAN) end },
  { "recv", 1, function() go.chan():recv({}) end },
  { "sending", 1, function() go.chan():sending() end },
  { "sending", 1, function() go.chan():sending(nil) end },
  { "select", 1, function() go.select(nil) end },
  { "select", 1, function() go.select(1) end },
  { "select", 1, function() go.select(go.default, go.chan()) end },
  { "select", 2, function() go.select(go.chan(), "x") end },
  { "select", 2, function() go.select(go.chan(), nil, go.chan()) end },
  { "select", 3, function() go.select(false, go.chan(), true) end },
  { "join", 1, function() go.spawn(nothing):join("x") end },
  { "join", 1, function() go.spawn(nothing):join(NAN) end },
  { "sleep", 1, function() go.sleep() end },
  { "sleep", 1, function() go.sleep(nil) end },
  { "sleep", 1, function() go.sleep("x") end },
  { "sleep", 1, function() go.sleep(NAN) end },
  { "after", 1, function() go.after() end },
  { "after", 1, function() go.after("x") end },
  { "after", 1, function() go.after(NAN) end },
  { "timer", 1, function() go.timer() end },
  { "timer", 1, function() go.timer(nothing, 1) end },
  { "timer", 1, function() go.timer(NAN, nothing) end },
  { "timer", 2, function() go.timer(1) end },
  { "timer", 2, function() go.timer(1, 2) end },
  { "reset", 1, timer(function(t) t:reset() end) },
  { "reset", 1, timer(function(t) t:reset("x") end) },
  { "reset", 1, timer(function(t) t:reset(NAN) end) },
  { "ticker", 1, function() go.ticker() end },
  { "ticker", 1, function() go.ticker("x") end },
  { "ticker", 1, function() go.ticker(NAN) end },
  { "ticker", 1, function() go.ticker(0) end },
  { "ticker", 1, function() go.ticker(-1) end },
  { "reset", 1, ticker(function(t) t:reset() end) },
  { "reset", 1, ticker(function(t) t:reset("x") end) },
  { "reset", 1, ticker(function(t) t:reset(NAN) end) },
  { "reset", 1, ticker(function(t) t:reset(0) end) },
  { "reset", 1, ticker(function(t) t:reset(-1) end) },
  { "recv", 1, ticker(function(t) t:recv("x") end) },
}

-- Calls `f` with every object that there is, and the kind of each.
local function each_handle(f)
  local a_timer, a_ticker = go.timer(3600, nothing), go.ticker(3600)
  local ch = go.chan()
  local ok, message = pcall(function()
    f("channel", ch)
    f("sender", ch:sender())
    f("receiver", ch:receiver())
    f("case", ch:sending(1))
    f("task", go.self())
    f("timer", a_timer)
    f("ticker", a_ticker)
  end)
  a_timer:stop()
  a_ticker:stop()
  assert(ok, message)
end

local METHODS = {
  channel = {
    "send", "recv", "close", "capacity", "is_closed", "sender", "receiver",
    "sending",
  },
  task = { "join", "status", "traceback" },
  timer = { "stop", "reset" },
  ticker = { "stop", "reset" },
}

describe("a wrong argument", function()
  local seen = {}
  for _, row in ipairs(CALLS) do
    local name, argument, call = table.unpack(row)
    local what = ("%d of '%s'"):format(argument, name)
    seen[what] = (seen[what] or 0) + 1
    it(("raises: %s (%d)"):format(what, seen[what]), function()
      local ok, message = pcall(call)
      assert.is_false(ok)
      local expected = ("bad argument #%d to '%s'"):format(argument, name)
      assert.matches(expected, message, 1, true)
      assert.matches("^[^:]*misuse_spec.lua:%d+: ", message)
    end)
  end

  it("raises in a goroutine as in main", function()
    local ok, message = go.spawn(function() go.chan():send(nil) end):join()
    assert.is_false(ok)
    assert.matches("misuse_spec.lua:%d+: bad argument #1 to 'send'", message)
  end)

  it("leaves a channel usable", function()
    local ch = go.chan(1)
    pcall(ch.send, ch, nil)
    pcall(ch.send, ch, 1, "x")
    pcall(ch.recv, ch, "x")
    assert.equal(0, #ch)
    assert.is_true(ch:send("v"))
    assert.equal("v", ch:recv())
  end)

  it("changes no setting, also where others were right", function()
    local before = go.configure()
    pcall(go.configure, { time_slice = 0.5, preempt = "no" })
    pcall(go.configure, { time_slice = 0.5, unknown = true })
    assert.same(before, go.configure())
  end)
end)

describe("a wrong self", function()
  local thread = coroutine.create(nothing)
  local wrong = { nothing, 1, "x", {}, true, io.stdout, thread }

  local function assert_refused(method, name, ...)
    local ok, message = pcall(method, ...)
    assert.is_false(ok)
    assert.matches(name, message, 1, true)
  end

  for kind, names in pairs(METHODS) do
    it("raises in each method of a " .. kind, function()
      each_handle(function(self_kind, self)
        if self_kind ~= kind then
          return
        end
        for _, name in ipairs(names) do
          local method = self[name]
          assert.equal("function", type(method))
          assert_refused(method, name)
          for _, value in ipairs(wrong) do
            assert_refused(method, name, value)
          end
          assert_refused(method, name, go.default, 1)
          if kind ~= "task" then
            assert_refused(method, name, go.self(), 1)
          else
            assert_refused(method, name, go.chan(), 1)
          end
        end
      end)
    end)
  end

  it("raises in metamethods, and does no harm", function()
    each_handle(function(_, handle)
      local meta = debug.getmetatable(handle)
      for _, event in ipairs({
        "__call", "__len", "__tostring", "__close", "__index",
      }) do
        local method = meta[event]
        if type(method) == "function" then
          assert.is_false(pcall(method))
          for _, value in ipairs(wrong) do
            assert.is_false(pcall(method, value))
          end
        end
      end
      for _, value in ipairs(wrong) do
        pcall(meta.__gc, value)
      end
    end)
  end)
end)

describe("a handle", function()
  it("has no fields to set", function()
    each_handle(function(_, handle)
      assert.has_error(function() handle.field = 1 end)
    end)
  end)

  it("has a name and says it", function()
    each_handle(function(_, handle)
      local name = debug.getmetatable(handle).__name
      assert.equal("string", type(name))
      assert.matches("goroutines", name)
      assert.equal("string", type(tostring(handle)))
    end)
  end)

  it("does no harm after its finalizer was called by hand", function()
    local result = helper.lua([[
      local go = require("goroutines")
      local methods = {
        "send", "recv", "close", "capacity", "is_closed", "sender", "receiver",
        "sending", "join", "status", "traceback", "stop", "reset",
      }
      for _, handle in ipairs({
        go.chan(), go.self(), go.timer(60, print), go.ticker(60),
        go.spawn(function() end), go.chan():sending(1),
      }) do
        local meta = debug.getmetatable(handle)
        pcall(meta.__gc, handle)
        pcall(meta.__gc, handle)
        for _, name in ipairs(methods) do
          pcall(function() return handle[name](handle, 0) end)
        end
        pcall(tostring, handle)
      end
      print("survived")
    ]])
    assert.equal("survived\n", result.stdout)
    assert.equal(0, result.code)
  end)
end)
