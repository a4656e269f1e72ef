-- Cancellation of one goroutine, and its error.

local go = require("goroutines")
local helper = require("spec.helper")

local closing = helper.closing

-- Cancels the task's goroutine and returns what join gives.
local function cancelled(task, reason)
  assert.is_true(task:cancel(reason))
  return task:join(helper.within(5))
end

local function assert_cancelled(task, reason)
  local ok, err, traceback = cancelled(task, reason)
  assert.equal(false, ok)
  assert.is_true(go.is_cancelled(err))
  assert.same(reason, err.reason)
  assert.is_string(traceback)
  assert.equal("cancelled", task:status())
end

-- Ways of waiting for ever, in a goroutine of its own.
local WAITS = {
  ["chan send"] = function() go.chan():send(1) end,
  ["chan receive"] = function() go.chan():recv() end,
  ["a channel's loop"] = function() for _ in go.chan() do end end,
  ["select"] = function() go.select(go.chan(), go.chan():sending(1)) end,
  ["an empty select"] = function() go.select() end,
  ["sleep"] = function() go.sleep(3600) end,
  ["a long timeout"] = function() go.chan():recv(3600) end,
  ["ticker"] = function() go.ticker(3600):recv() end,
  ["join"] = function()
    local task <close> = setmetatable({ go.spawn(go.sleep, 3600) }, {
      __close = function(self) self[1]:cancel() self[1]:join() end,
    })
    task[1]:join()
  end,
  ["mutex"] = function() local m = go.mutex() m:lock() m:lock() end,
  ["rwmutex"] = function() local m = go.rwmutex() m:lock() m:rlock() end,
  ["semaphore"] = function() local s = go.semaphore(1) s:acquire() s:acquire() end,
  ["waitgroup"] = function() go.waitgroup(1):wait() end,
  ["barrier"] = function() go.barrier(2):wait() end,
  ["cond"] = function()
    local m = go.mutex()
    m:lock()
    go.cond(m):wait()
  end,
  ["one that computes"] = function() while true do end end,
  ["one that computes in pcall in a coroutine"] = function()
    coroutine.wrap(function() error(select(2, pcall(function() while true do end end)), 0) end)()
  end,
  ["yielding"] = function() while true do go.yield() end end,
  ["a wait in a comparator"] = function()
    table.sort({ 3, 2, 1 }, function() go.sleep(3600) end)
  end,
  ["a wait in a coroutine"] = function()
    coroutine.wrap(function() go.sleep(3600) end)()
  end,
}

describe("task:cancel", function()
  for name, wait in pairs(WAITS) do
    it("ends a goroutine that waits: " .. name, function()
      helper.each_procs({ 1, 2 }, function()
        local ready = go.chan(1)
        local task = go.spawn(function(f) ready:send(true) f() end, wait)
        ready:recv()
        go.sleep(0.002)
        assert_cancelled(task, "enough")
      end)
    end)
  end

  it("ends one that has not begun, at its first wait", function()
    local _ <close> = helper.procs(1)
    local ch = go.chan(2)
    local task = go.spawn(function()
      ch:send("not reached")
    end)
    assert_cancelled(task)
    assert.equal(0, #ch)
  end)

  it("leaves alone what does not wait", function()
    local _ <close> = helper.procs(1)
    local task = go.spawn(function() return 1 end)
    task:cancel()
    assert.same({ true, 1 }, { task:join() })
    assert.equal("done", task:status())
    assert.is_false(task:cancel())
  end)

  it("gives the error again at each wait, however often it is caught", function()
    local task = helper.blocked(function()
      local errors = {}
      for i = 1, 3 do
        local ok, err = pcall(go.sleep, 3600)
        errors[i] = not ok and go.is_cancelled(err) and err.reason
      end
      local ch = go.chan(1) -- even one that could complete at once
      errors[4] = select(2, pcall(ch.send, ch, 1)).reason
      errors[5] = #ch
      return table.unpack(errors)
    end)
    assert.same({ true, 7, 7, 7, 7, 0 }, { cancelled(task, 7) })
  end)

  it("keeps the first reason", function()
    local task = helper.blocked(function() return select(2, pcall(go.sleep, 3600)).reason end)
    local _ <close> = helper.procs(1)
    task:cancel({ 1 })
    task:cancel({ 2 })
    assert.same({ true, { 1 } }, { task:join() })
  end)

  it("may be called by the goroutine itself, and for main", function()
    assert_cancelled(go.spawn(function()
      go.self():cancel("own")
      go.sleep(0)
    end) and helper.blocked(function() go.sleep(3600) end))
    assert.equal("false\ttrue\tmain\n", helper.output({ [[
      local go = require("goroutines")
      local main = go.self()
      go(function() go.sleep(0.01) main:cancel("main") end)
      local ok, err = pcall(go.sleep, 10)
      print(ok, go.is_cancelled(err), err.reason)
    ]] }))
  end)

  it("is not told as a failure", function()
    local result = helper.lua({ [[
      local go = require("goroutines")
      go.with_timeout(0.01, function()
        go(go.sleep, 10)
        go.sleep(10)
      end)
      local task = go.spawn(go.sleep, 10)
      task:cancel()
      task = nil
      go.sleep(0.02)
      collectgarbage()
    ]] })
    assert.same({ 0, "", "" }, { result.code, result.stdout, result.stderr })
  end)

  it("starts cancelled what the goroutine starts from then on", function()
    local ch = go.chan(2)
    local before = go.spawn(function() ch:send((pcall(go.sleep, 0.05))) end)
    local task = helper.blocked(function()
      pcall(go.sleep, 3600)
      local child = go.spawn(go.sleep, 3600)
      return go.shield(child.join, child)
    end)
    local ok, joined, err = cancelled(task, "parent")
    assert.same({ true, false, "parent" }, { ok, joined, err.reason })
    before:join()
    assert.is_true(ch:recv())
  end)

  it("does not strike within 1,000 instructions of a wait", function()
    local _ <close> = helper.configure({ time_slice = 0.0001 })
    for _ = 1, 20 do
      local ch = go.chan(1)
      local task = go.spawn(function()
        local taken, closed = 0, 0
        local ok, err = pcall(function()
          while true do
            for _ = 1, 50 do
              local v = ch:recv()
              taken = taken + 1
              local _ <close> = closing(function() closed = closed + v end)
              for _ = 1, 20 do end
            end
          end
        end)
        return taken, closed, go.is_cancelled(err), ok
      end)
      local sender = go.spawn(function() while true do ch:send(1) end end)
      go.sleep(0.002)
      local ok, taken, closed, is = cancelled(task)
      assert.is_true(ok and is)
      assert.equal(taken, closed)
      sender:cancel()
      sender:join()
    end
  end)

  it("loses no message, which is received or stays in the channel", function()
    helper.each_procs({ 1, 2 }, function()
      for _ = 1, 300 do
        local ch, got = go.chan(), go.chan(1)
        local task = go.spawn(function()
          local ok, v = pcall(ch.recv, ch)
          go.shield(got.send, got, ok and v or false)
        end)
        local sender = go.spawn(function() return ch:send("message", 0.001) end)
        task:cancel()
        local _, sent = sender:join()
        task:join()
        assert.equal(sent and "message" or false, got:recv())
      end
    end)
  end)

  it("passes on a lock that is handed over in that instant", function()
    helper.each_procs({ 1, 2 }, function()
      local mutex, sem = go.mutex(), go.semaphore(1)
      for _ = 1, 300 do
        mutex:lock()
        sem:acquire()
        local tasks = {
          go.spawn(function() mutex:with(function() end) end),
          go.spawn(function() sem:acquire() sem:release() end),
        }
        go.yield()
        mutex:unlock()
        sem:release()
        for i = 1, 2 do
          tasks[i]:cancel()
          tasks[i]:join()
        end
        assert.is_true(mutex:lock(1))
        assert.is_true(sem:acquire(1, 1))
        mutex:unlock()
        sem:release()
      end
    end)
  end)

  it("has cond:wait take the mutex again first", function()
    local mutex = go.mutex()
    local cond = go.cond(mutex)
    local task = helper.blocked(function()
      mutex:lock()
      local ok, err = pcall(cond.wait, cond)
      mutex:unlock() -- it is ours
      return ok, go.is_cancelled(err)
    end)
    assert.same({ true, false, true }, { cancelled(task) })
    assert.is_true(mutex:try_lock())
    mutex:unlock()
  end)

  it("checks its arguments", function()
    local task = helper.blocked(function() go.sleep(3600) end)
    assert.is_false((pcall(task.cancel, task, coroutine.create(print))))
    assert.is_false((pcall(task.cancel, task, 1, 2)))
    assert.is_false((pcall(task.cancel, {})))
    assert.equal("waiting", task:status())
    assert_cancelled(task)
  end)
end)

describe("the error of a cancellation", function()
  it("crosses between goroutines, and is the same there", function()
    local ch = go.chan(1)
    local task = helper.blocked(function()
      local _, err = pcall(go.sleep, 3600)
      go.shield(ch.send, ch, { err, tostring(err) })
      error(err, 0)
    end)
    local _, err = cancelled(task, "because")
    local sent, text = table.unpack(ch:recv())
    assert.equal(err, sent)
    assert.equal("cancelled: because", text)
    assert.equal("cancelled: because", tostring(err))
    assert.equal("because", err.reason)
    assert.is_nil(err.other)
  end)

  it("is plain without a reason", function()
    local _, err = cancelled(helper.blocked(go.sleep, 3600))
    assert.equal("cancelled", tostring(err))
    assert.is_nil(err.reason)
  end)
end)
