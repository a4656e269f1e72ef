local go = require("goroutines")
local helper = require("spec.helper")

local function new()
  local m = go.mutex()
  return m, go.cond(m)
end

-- A task that waits once, and then sends `i`.
local function waiting(m, c, i, woken)
  return helper.blocked(function()
    m:lock()
    c:wait()
    woken:send(i)
    m:unlock()
  end)
end

describe("a condition variable", function()
  it("wakes exactly one by a signal", function()
    local m, c = new()
    local n, awake = 2, go.chan(2)
    local running = go.chan(n)
    for i = 1, n do
      go(function()
        m:lock()
        running:send(true)
        c:wait()
        awake:send(i)
        m:unlock()
      end)
    end
    for _ = 1, n do
      running:recv()
    end
    for left = n, 1, -1 do
      assert.equal(0, #awake)
      m:lock()
      c:signal()
      m:unlock()
      assert.is_number(awake:recv())
      assert.same({ nil, "timeout" }, { awake:recv(0.005) }, left)
    end
    c:signal() -- for nobody
  end)

  it("wakes the one that has waited longest", function()
    local m, c = new()
    local n, woken, tasks = 60, go.chan(60), {}
    for i = 1, n do
      tasks[i] = waiting(m, c, i, woken)
    end
    for i = 1, n do
      c:signal()
      assert.equal(i, woken:recv())
    end
    for i = 1, n do
      assert.is_true(tasks[i]:join())
    end
  end)

  it("wakes all by a broadcast, each once", function()
    local rounds, n = 20, 60
    local m, c = new()
    local running, awake, go_on = go.chan(n), go.chan(n), go.atomic(1)
    for i = 1, n do
      go(function()
        m:lock()
        while go_on:load() == 1 do
          running:send(i)
          c:wait()
          awake:send(i)
        end
        m:unlock()
      end)
    end
    for round = 1, rounds do
      for _ = 1, n do
        running:recv()
      end
      m:lock()
      if round == rounds then
        go_on:store(0)
      end
      c:broadcast()
      m:unlock()
      local seen = {}
      for _ = 1, n do
        local i = awake:recv()
        assert.is_nil(seen[i])
        seen[i] = true
      end
    end
  end)

  it("passes a number from one to the next", function()
    helper.each_procs({ 1, 2, 4 }, function()
      local m, c = new()
      local x, done = go.atomic(), go.chan()
      local function become(from, to)
        m:lock()
        while x:load() ~= from do
          c:wait()
        end
        x:store(to)
        c:broadcast()
        m:unlock()
        done:send(true)
      end
      for i = 0, 2 do
        go(become, i, i + 1)
      end
      for _ = 1, 3 do
        done:recv()
      end
      assert.equal(3, x:load())
    end)
  end)

  it("does not let a newcomer steal a signal", function()
    for _ = 1, 50 do
      local m, c = new()
      local woken = go.chan(1)
      local waiter = waiting(m, c, 1, woken)
      m:lock()
      c:signal() -- for the waiter, who cannot go on yet
      local newcomer = go.spawn(function()
        m:lock()
        local ok, reason = c:wait(0.002)
        m:unlock()
        return ok, reason
      end)
      m:unlock()
      assert.equal(1, woken:recv())
      assert.is_true(waiter:join())
      assert.same({ true, nil, "timeout" }, { newcomer:join() })
    end
  end)

  it("lets the mutex go while it waits, and holds it afterwards", function()
    local m, c = new()
    local task = go.spawn(function()
      m:lock()
      local ok = c:wait()
      local _, message = pcall(m.try_lock, m)
      m:unlock()
      return ok, message
    end)
    helper.parked(task)
    assert.is_true(m:lock())
    c:signal()
    assert.same({ nil, "timeout" }, { task:join(0.005) })
    m:unlock()
    assert.same({ true, true, false }, { task:join() })
  end)

  it("has time limits, and holds the mutex all the same", function()
    local m, c = new()
    m:lock()
    for _, timeout in ipairs({ 0, -1, 0.002 }) do
      assert.same({ nil, "timeout" }, { c:wait(timeout) })
      assert.is_false(m:try_lock())
    end
    m:unlock()
  end)

  it("takes the mutex again however long that takes", function()
    local m, c = new()
    local task = helper.blocked_shortly(function()
      m:lock()
      local ok, reason = c:wait(0.005)
      local at = go.now()
      m:unlock()
      return ok, reason, at
    end)
    m:lock()
    local locked_at = go.now()
    go.sleep(0.02)
    local unlocked_at = go.now()
    m:unlock()
    local _, ok, reason, at = task:join()
    assert.same({ nil, "timeout" }, { ok, reason })
    assert.is_true(at < locked_at or at > unlocked_at)
  end)

  it("loses no signal to one that times out", function()
    local m, c = new()
    local woken = go.chan(1)
    local short = helper.blocked_shortly(function()
      m:lock()
      c:wait(0.003)
      m:unlock()
    end)
    local long = waiting(m, c, "long", woken)
    short:join()
    c:signal()
    assert.equal("long", woken:recv(1))
    long:join()
  end)

  it("refuses to wait without the mutex", function()
    local m, c = new()
    local ok, message = pcall(c.wait, c)
    assert.is_false(ok)
    assert.equal("bad call of 'wait' (the mutex is not locked)", message)
    local gate = go.chan()
    local task = helper.blocked(function()
      m:lock()
      gate:recv()
      m:unlock()
    end)
    ok, message = pcall(c.wait, c, 0)
    assert.is_false(ok)
    assert.equal(("bad call of 'wait' (the mutex is locked by goroutine %d)")
      :format(task.id), message)
    gate:close()
    task:join()
  end)

  it("keeps its mutex", function()
    local c = go.cond(go.mutex())
    collectgarbage()
    assert.is_false((pcall(c.wait, c)))
  end)

  it("works with mutex:with and guards", function()
    local m, c = new()
    local ready = go.atomic()
    local task = helper.blocked(function()
      return m:with(function()
        while ready:load() == 0 do
          c:wait()
        end
        return "seen"
      end)
    end)
    do
      local _ <close> = m:guard()
      ready:store(1)
      c:broadcast()
    end
    assert.same({ true, "seen" }, { task:join() })
  end)

  it("is one and the same in all goroutines", function()
    local _, c = new()
    local _, text = go.spawn(tostring, c):join()
    assert.equal(tostring(c), text)
    assert.matches("^cond: 0x", text)
  end)

  it("holds the mutex when a wait for a signal was interrupted", function()
    assert.equal("false\ttrue\n", helper.lua([[
      local go = require("goroutines")
      local m = go.mutex()
      local c = go.cond(m)
      local keep = go.timer(9, print)
      local pipe = io.popen("sleep 0.2; kill -INT $PPID")
      m:lock()
      local ok = pcall(c.wait, c)
      io.stdout:write(tostring(ok), "\t", tostring(pcall(m.unlock, m)), "\n")
    ]]).stdout)
  end)

  it("holds the mutex when a wait for a signal was a deadlock", function()
    assert.equal("false\ttrue\n", helper.lua([[
      local go = require("goroutines")
      local m = go.mutex()
      local c = go.cond(m)
      m:lock()
      local ok = pcall(c.wait, c)
      io.stdout:write(tostring(ok), "\t", tostring(pcall(m.unlock, m)), "\n")
    ]]).stdout)
  end)
end)
