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
  { "with_context", 1, function() go.with_context() end },
  { "with_context", 1, function() go.with_context("id", nothing) end },
  { "with_context", 1, function() go.with_context(nothing) end },
  { "with_context", 1, function() go.with_context({ "x" }, nothing) end },
  { "with_context", 1, function() go.with_context({ [{}] = 1 }, nothing) end },
  { "with_context", 2, function() go.with_context({}) end },
  { "with_context", 2, function() go.with_context({}, 1) end },
  { "configure", 1, function() go.configure(1) end },
  { "configure", 1, function() go.configure({ time_slise = 1 }) end },
  { "configure", 1, function() go.configure({ "x" }) end },
  { "configure", 1, function() go.configure({ time_slice = 0 }) end },
  { "configure", 1, function() go.configure({ time_slice = -1 }) end },
  { "configure", 1, function() go.configure({ time_slice = NAN }) end },
  { "configure", 1, function() go.configure({ time_slice = "x" }) end },
  { "configure", 1, function() go.configure({ close_timeout = -1 }) end },
  { "configure", 1, function() go.configure({ close_timeout = NAN }) end },
  { "configure", 1, function() go.configure({ close_timeout = "5" }) end },
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
  { "lock", 1, function() go.mutex():lock("x") end },
  { "lock", 1, function() go.mutex():lock(NAN) end },
  { "with", 1, function() go.mutex():with() end },
  { "with", 1, function() go.mutex():with(1) end },
  { "lock", 1, function() go.rwmutex():lock({}) end },
  { "lock", 1, function() go.rwmutex():lock(NAN) end },
  { "rlock", 1, function() go.rwmutex():rlock("x") end },
  { "rlock", 1, function() go.rwmutex():rlock(NAN) end },
  { "waitgroup", 1, function() go.waitgroup(-1) end },
  { "waitgroup", 1, function() go.waitgroup("x") end },
  { "waitgroup", 1, function() go.waitgroup(2^31) end },
  { "add", 1, function() go.waitgroup():add() end },
  { "add", 1, function() go.waitgroup():add("1") end },
  { "add", 1, function() go.waitgroup():add(1.5) end },
  { "add", 1, function() go.waitgroup():add(2^40) end },
  { "wait", 1, function() go.waitgroup():wait("x") end },
  { "wait", 1, function() go.waitgroup():wait(NAN) end },
  { "go", 1, function() go.waitgroup():go() end },
  { "go", 1, function() go.waitgroup():go("f") end },
  { "run", 1, function() go.once():run() end },
  { "run", 1, function() go.once():run(1) end },
  { "cond", 1, function() go.cond() end },
  { "cond", 1, function() go.cond(1) end },
  { "cond", 1, function() go.cond(go.rwmutex()) end },
  { "wait", 1, function() go.cond(go.mutex()):wait("x") end },
  { "wait", 1, function() go.cond(go.mutex()):wait(NAN) end },
  { "semaphore", 1, function() go.semaphore() end },
  { "semaphore", 1, function() go.semaphore(0) end },
  { "semaphore", 1, function() go.semaphore("1") end },
  { "semaphore", 1, function() go.semaphore(2^31) end },
  { "acquire", 1, function() go.semaphore(1):acquire(0) end },
  { "acquire", 1, function() go.semaphore(1):acquire(2) end },
  { "acquire", 1, function() go.semaphore(1):acquire("1") end },
  { "acquire", 2, function() go.semaphore(1):acquire(1, "x") end },
  { "acquire", 2, function() go.semaphore(1):acquire(nil, NAN) end },
  { "try_acquire", 1, function() go.semaphore(1):try_acquire(2) end },
  { "release", 1, function() go.semaphore(1):release(-1) end },
  { "release", 1, function() go.semaphore(1):release(2) end },
  { "barrier", 1, function() go.barrier() end },
  { "barrier", 1, function() go.barrier(0) end },
  { "barrier", 1, function() go.barrier(1.5) end },
  { "wait", 1, function() go.barrier(2):wait("x") end },
  { "wait", 1, function() go.barrier(2):wait(NAN) end },
  { "atomic", 1, function() go.atomic("1") end },
  { "atomic", 1, function() go.atomic(1.5) end },
  { "atomic", 1, function() go.atomic(2^63) end },
  { "store", 1, function() go.atomic():store() end },
  { "store", 1, function() go.atomic():store({}) end },
  { "add", 1, function() go.atomic():add() end },
  { "add", 1, function() go.atomic():add(NAN) end },
  { "swap", 1, function() go.atomic():swap("1") end },
  { "compare_and_swap", 1, function() go.atomic():compare_and_swap() end },
  { "compare_and_swap", 2, function() go.atomic():compare_and_swap(1) end },
  { "get", 1, function() go.map():get() end },
  { "set", 1, function() go.map():set() end },
  { "set", 2, function() go.map():set("k") end },
  { "delete", 1, function() go.map():delete({}) end },
  { "update", 1, function() go.map():update(nil, nothing) end },
  { "update", 2, function() go.map():update("k") end },
  { "update", 2, function() go.map():update("k", 1) end },
  { "compare_and_swap", 1, function() go.map():compare_and_swap() end },
  { "compare_and_swap", 2, function() go.map():compare_and_swap("k", {}) end },
}

-- Calls with an argument too many.
local TOO_MANY = {
  { "mutex", function() go.mutex(1) end },
  { "lock", function() go.mutex():lock(0, 1) end },
  { "try_lock", function() go.mutex():try_lock(0) end },
  { "guard", function() go.mutex():guard(0) end },
  { "rwmutex", function() go.rwmutex(1) end },
  { "lock", function() go.rwmutex():lock(0, 1) end },
  { "rlock", function() go.rwmutex():rlock(0, 1) end },
  { "try_lock", function() go.rwmutex():try_lock(0) end },
  { "try_rlock", function() go.rwmutex():try_rlock(0) end },
  { "waitgroup", function() go.waitgroup(1, 2) end },
  { "add", function() go.waitgroup():add(1, 2) end },
  { "wait", function() go.waitgroup():wait(1, 2) end },
  { "once", function() go.once(print) end },
  { "cond", function() go.cond(go.mutex(), 1) end },
  { "wait", function() go.cond(go.mutex()):wait(1, 2) end },
  { "semaphore", function() go.semaphore(1, 2) end },
  { "acquire", function() go.semaphore(1):acquire(1, 0, 1) end },
  { "try_acquire", function() go.semaphore(1):try_acquire(1, 0) end },
  { "release", function() go.semaphore(1):release(1, 0) end },
  { "barrier", function() go.barrier(1, 2) end },
  { "wait", function() go.barrier(2):wait(1, 2) end },
  { "atomic", function() go.atomic(1, 2) end },
  { "store", function() go.atomic():store(1, 2) end },
  { "add", function() go.atomic():add(1, 2) end },
  { "swap", function() go.atomic():swap(1, 2) end },
  { "compare_and_swap", function() go.atomic():compare_and_swap(1, 2, 3) end },
  { "map", function() go.map({}) end },
  { "get", function() go.map():get(1, 2) end },
  { "set", function() go.map():set(1, 2, 3) end },
  { "delete", function() go.map():delete(1, 2) end },
  { "update", function() go.map():update(1, print, 3) end },
  { "compare_and_swap", function() go.map():compare_and_swap(1, 2, 3, 4) end },
  { "keys", function() go.map():keys(1) end },
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
    f("mutex", go.mutex())
    f("guard", go.mutex():guard())
    f("rwmutex", go.rwmutex())
    f("waitgroup", go.waitgroup())
    f("once", go.once())
    f("cond", go.cond(go.mutex()))
    f("semaphore", go.semaphore(1))
    f("barrier", go.barrier(2))
    f("atomic", go.atomic())
    f("map", go.map())
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
  mutex = { "lock", "try_lock", "unlock", "with", "guard" },
  rwmutex = { "lock", "try_lock", "unlock", "rlock", "try_rlock", "runlock" },
  waitgroup = { "add", "done", "wait", "go" },
  once = { "run" },
  cond = { "wait", "signal", "broadcast" },
  semaphore = { "acquire", "try_acquire", "release" },
  barrier = { "wait" },
  atomic = { "load", "store", "add", "swap", "compare_and_swap" },
  map = { "get", "set", "delete", "update", "compare_and_swap", "keys" },
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

  for i, row in ipairs(TOO_MANY) do
    local name, call = table.unpack(row)
    it(("raises when it is one too many: '%s' (%d)"):format(name, i), function()
      local ok, message = pcall(call)
      assert.is_false(ok)
      local expected = ("too many arguments to '%s'"):format(name)
      assert.equal(expected, message:sub(-#expected))
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
        "__call", "__len", "__tostring", "__close", "__index", "__pairs",
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
        "sending", "join", "status", "traceback", "stop", "reset", "lock",
        "try_lock", "unlock", "with", "guard", "rlock", "try_rlock", "runlock",
        "add", "done", "wait", "go", "run", "signal", "broadcast", "acquire",
        "try_acquire", "release", "load", "store", "swap", "compare_and_swap",
        "get", "set", "delete", "update", "keys",
      }
      for _, handle in ipairs({
        go.chan(), go.self(), go.timer(60, print), go.ticker(60),
        go.spawn(function() end), go.chan():sending(1), go.mutex(),
        go.rwmutex(), go.waitgroup(), go.once(), go.cond(go.mutex()),
        go.semaphore(1), go.barrier(2), go.atomic(), go.map(),
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
