-- A goroutine that begins to wait may look at the memory of its own state, to
-- find out what is worth fetching before it goes on (value/hot.h). Whatever it
-- looks like, nothing comes of that but time.

local go = require("goroutines")
local helper = require("spec.helper")

-- Enough goroutines for the function to have an image, and enough waits of each
-- for both looks.
local function wait_often(f, ...)
  local tasks = {}
  for i = 1, 40 do
    tasks[i] = go.spawn(f, ...)
  end
  for i = 1, 40 do
    local ok, result = tasks[i]:join()
    assert(ok, result)
    assert.equal("done", result)
  end
end

local function many(count, form)
  local parts = {}
  for i = 1, count do
    parts[i] = (form:gsub("%%", tostring(i)))
  end
  return table.concat(parts)
end

describe("a function that waits", function()
  it("in a loop", function()
    local c, t = go.chan(1), { often = 1 }
    wait_often(function()
      for _ = 1, 20 do
        c:send(t.often)
        go.sleep(0)
        assert(c:recv() == 1)
      end
      return "done"
    end)
  end)

  it("in a coroutine, below others, and after those have ended", function()
    wait_often(function()
      local function nest(n)
        return coroutine.wrap(function()
          if n > 0 then
            nest(n - 1)()
          end
          for _ = 1, 6 do
            go.sleep(0)
          end
        end)
      end
      nest(3)()
      collectgarbage()
      go.sleep(0)
      return "done"
    end)
  end)

  it("deep in calls, on a stack that has been moved", function()
    wait_often(function()
      local function deep(n)
        if n == 0 then
          for _ = 1, 20 do
            go.sleep(0)
          end
          return "done"
        end
        return (deep(n - 1))
      end
      go.sleep(0)
      return deep(500)
    end)
  end)

  it("in metamethods, comparisons, replacements and finalizers", function()
    wait_often(function()
      local t = setmetatable({}, {
        __index = function() go.sleep(0) return 1 end,
        __gc = function() go.sleep(0) end,
      })
      for i = 1, 8 do
        assert(t[i] == 1)
      end
      table.sort({ 3, 2, 1 }, function(a, b) go.sleep(0) return a < b end)
      assert(("ab"):gsub(".", function() go.sleep(0) end) == "ab")
      t = nil
      collectgarbage()
      return t or "done"
    end)
  end)

  it("with names that its tables have no more", function()
    wait_often(function()
      local t, meta = {}, { __index = {} }
      for i = 1, 100 do
        t["name" .. i], meta.__index["name" .. i] = i, i
      end
      setmetatable(t, meta)
      for i = 1, 20 do
        t["name" .. i], t.name50, meta.__index.name50 = nil, nil, nil
        go.sleep(0)
        if i % 5 == 0 then
          collectgarbage()
        end
      end
      meta.__index = nil
      go.sleep(0)
      return t.name50 or "done"
    end)
  end)

  it("with two hundred locals, constants and upvalues", function()
    local f = assert(load(
      many(60, "local up% = %;")
        .. "local go = require('goroutines'); return function()"
        .. many(140, "local v% = 'a constant, %';")
        .. many(60, "up% = up% + 1;")
        .. "for _ = 1, 20 do go.sleep(0) end;"
        .. many(140, "assert(v% == 'a constant, %');")
        .. "return 'done' end"
    ))()
    wait_often(f)
  end)

  it("with less memory than it began with, to grow in", function()
    local function f()
      local list = {}
      for i = 1, 20 do
        list[i] = ("x"):rep(1000)
        go.sleep(0)
      end
      return #list == 20 and "done"
    end
    wait_often(f)
    for _ = 1, 10 do
      local ok, result = go.spawn({ memory_limit = 30000 }, f):join()
      assert.is_true(ok == false or result == "done")
    end
  end)

  it("beside others with the same function, on many processors", function()
    helper.each_procs({ 1, 2, 8 }, function()
      local c = go.chan(10)
      local function f(i)
        for k = 1, 20 do
          if i % 2 == 0 then
            c:send({ i, k })
          else
            assert(#c:recv() == 2)
          end
        end
      end
      local tasks = {}
      for i = 1, 200 do
        tasks[i] = go.spawn(f, i)
      end
      for i = 1, 200 do
        assert(tasks[i]:join())
      end
    end)
  end)
end)

describe("thousands of deadlines", function()
  it("expire when their time has come, whether others are taken out or not", function()
    helper.each_procs({ 1, 2 }, function()
      local n, others, long = helper.times(4000), helper.times(1000), helper.within(60)
      local results = go.chan(n)
      local start = go.now() + 0.3
      local function sleeper(i)
        local at = start + (i * 7919 % n) / n
        go.sleep(at - go.now())
        results:send({ at, go.now() })
      end
      local function waiter(i)
        local c = go.chan()
        go.sleep(math.max(0, start - go.now()))
        c:recv(0.05 + (i % 100) / 1000)
        c:recv(long)
      end
      local waiters = {}
      for i = 1, n do
        go(sleeper, i)
      end
      for i = 1, others do
        waiters[i] = go.spawn(waiter, i)
      end
      go.sleep(math.max(0, start + 0.3 - go.now()))
      for i = 1, others do
        waiters[i]:cancel()
      end
      for _ = 1, n do
        local at, woken = table.unpack((results:recv()))
        assert.is_true(woken >= at)
        assert.is_true(woken < at + helper.within(2))
      end
      for i = 1, others do
        assert.is_false((waiters[i]:join()))
      end
    end)
  end)
end)
