-- Cancellation, shields and deadlines.

local go = require("goroutines")
local helper = require("spec.helper")

local function closing(f)
  return setmetatable({}, { __close = f })
end

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

describe("cancellation is held back", function()
  -- Each returns true if its handler could wait.
  local HANDLERS = {
    ["at the end of a block"] = function(wait)
      pcall(go.sleep, 3600)
      do
        local _ <close> = closing(wait)
      end
    end,
    ["at a return"] = function(wait)
      pcall(go.sleep, 3600)
      local function f()
        local _ <close> = closing(wait)
        return 1
      end
      f()
    end,
    ["while the cancellation unwinds"] = function(wait)
      pcall(function()
        local _ <close> = closing(wait)
        go.sleep(3600)
      end)
    end,
    ["while the cancellation unwinds out of the goroutine"] = function(wait)
      local _ <close> = closing(wait)
      go.sleep(3600)
    end,
    ["while another error unwinds"] = function(wait)
      pcall(go.sleep, 3600)
      pcall(function()
        local _ <close> = closing(wait)
        error("another")
      end)
    end,
    ["in xpcall"] = function(wait)
      xpcall(function()
        local _ <close> = closing(wait)
        go.sleep(3600)
      end, function(e) return e end)
    end,
    ["in pcall in a coroutine"] = function(wait)
      coroutine.wrap(function()
        pcall(function()
          local _ <close> = closing(wait)
          coroutine.yield()
        end)
      end)()
      local co = coroutine.wrap(function()
        pcall(function()
          local _ <close> = closing(wait)
          go.sleep(3600)
        end)
      end)
      co()
    end,
    ["in coroutine.close"] = function(wait)
      local co = coroutine.create(function()
        local _ <close> = closing(wait)
        coroutine.yield()
      end)
      coroutine.resume(co)
      pcall(go.sleep, 3600)
      coroutine.close(co)
    end,
    ["in coroutine.wrap"] = function(wait)
      pcall(coroutine.wrap(function()
        local _ <close> = closing(wait)
        go.sleep(3600)
      end))
    end,
    ["by go.exit"] = function(wait)
      pcall(go.sleep, 3600)
      local _ <close> = closing(wait)
      go.exit()
    end,
    ["in a finalizer"] = function(wait)
      pcall(go.sleep, 3600)
      setmetatable({}, { __gc = wait })
      collectgarbage()
    end,
    ["in a finalizer at the end"] = function(wait)
      kept = setmetatable({}, { __gc = wait }) -- luacheck: ignore
      go.sleep(3600)
    end,
    ["in with_timeout"] = function(wait)
      go.with_timeout(100, function()
        local _ <close> = closing(wait)
        go.sleep(3600)
      end)
    end,
    ["in nested functions of a handler"] = function(wait)
      pcall(function()
        local _ <close> = closing(function()
          local ok, err = pcall(function() wait() end)
          if not ok then error(err, 0) end
        end)
        go.sleep(3600)
      end)
    end,
    ["in go.shield"] = function(wait)
      pcall(go.sleep, 3600)
      go.shield(wait)
    end,
  }

  for name, f in pairs(HANDLERS) do
    it(name, function()
      local done = go.chan(8)
      local task = helper.blocked(function(body)
        body(function()
          go.sleep(0.002)
          go.yield()
          for _ = 1, 30000 do end
          done:send("handled")
        end)
      end, f)
      task:cancel()
      assert.equal("handled", done:recv(helper.within(5)))
      task:join()
    end)
  end

  it("in go.shield that begins before it, and strikes afterwards", function()
    local task = helper.blocked(function()
      local a, b = go.shield(function(...) go.sleep(0.02) return ... end, "x", nil)
      local ok, err = pcall(go.sleep, 0)
      return a, b, ok, go.is_cancelled(err)
    end)
    assert.same({ true, "x", nil, false, true }, { cancelled(task) })
  end)

  it("for what is started in go.shield", function()
    local task = helper.blocked(function()
      pcall(go.sleep, 3600)
      return go.shield(function()
        return go.spawn(function() go.sleep(0.001) return "ran" end):join()
      end)
    end)
    assert.same({ true, true, "ran" }, { cancelled(task) })
  end)

  it("not by an error of go.shield's function, which is raised unchanged", function()
    local err = {}
    local ok, got = pcall(go.shield, error, err)
    assert.is_false(ok)
    assert.equal(err, got)
  end)
end)

describe("go.with_timeout", function()
  it("gives the results of what ends in time", function()
    assert.same({ true }, { go.with_timeout(1, function() end) })
    assert.equal(4, select("#", go.with_timeout(1, function() return 1, nil, nil end)))
    assert.same({ true, 3 }, { go.with_timeout(math.huge, function(a, b) return a + b end, 1, 2) })
  end)

  it("ends what waits", function()
    local start = go.now()
    assert.same({ nil, "timeout" }, { go.with_timeout(0.02, go.sleep, 3600) })
    local took = go.now() - start
    assert.is_true(took >= 0.02 and took < helper.within(1), took)
  end)

  it("ends one that computes", function()
    assert.same({ nil, "timeout" },
      { go.with_timeout(0.02, function() while true do end end) })
  end)

  it("polls with 0, and takes a negative time for 0", function()
    for _, s in ipairs({ 0, -1, -math.huge }) do
      assert.same({ nil, "timeout" }, { go.with_timeout(s, go.yield) })
      assert.same({ true, 1 }, { go.with_timeout(s, function() return 1 end) })
    end
  end)

  it("raises errors unchanged, also timeouts and cancellations of others", function()
    local err = setmetatable({}, { __tostring = function() return "e" end })
    local ok, got = pcall(go.with_timeout, 1, error, err)
    assert.is_false(ok)
    assert.equal(err, got)
    local _, other = go.spawn({ timeout = 0.001 }, go.sleep, 3600):join()
    ok, got = pcall(go.with_timeout, 1, error, other)
    assert.is_false(ok)
    assert.equal(other, got)
    assert.same({ true, nil, "timeout" },
      { go.with_timeout(1, function() return go.chan():recv(0.001) end) })
  end)

  it("gives the results of what catches the error and returns", function()
    assert.same({ true, false, true }, { go.with_timeout(0.005, function()
      local ok, err = pcall(go.sleep, 3600)
      return ok, go.is_cancelled(err)
    end) })
    go.sleep(0) -- and is over then
  end)

  it("may be nested: the first that ends counts", function()
    assert.same({ nil, "timeout" }, { go.with_timeout(0.01, function()
      return go.with_timeout(100, go.sleep, 3600)
    end) })
    assert.same({ true, nil, "timeout" }, { go.with_timeout(100, function()
      return go.with_timeout(0.01, go.sleep, 3600)
    end) })
    assert.same({ nil, "timeout" }, { go.with_timeout(0.01, function()
      go.with_timeout(0.001, go.sleep, 3600)
      go.sleep(3600)
    end) })
    local ok = go.with_timeout(0.01, function()
      return go.with_timeout(0.02, pcall, go.sleep, 3600)
    end)
    assert.is_true(ok)
  end)

  it("reaches what was started in it, and that in turn", function()
    local done = go.chan(3)
    local function tell(name)
      return closing(function(_, err) done:send({ name, go.is_cancelled(err) }) end)
    end
    local result = { go.with_timeout(0.02, function()
      go(function()
        local _ <close> = tell("child")
        go(function()
          local _ <close> = tell("grandchild")
          while true do go.yield() end
        end)
        go.sleep(3600)
      end)
      go.waitgroup():go(function()
        local _ <close> = tell("of a wait group")
        go.sleep(3600)
      end)
      return "left at once"
    end) }
    assert.same({ true, "left at once" }, result)
    local names = {}
    for _ = 1, 3 do
      local name, is = table.unpack(done:recv(helper.within(5)))
      names[name] = is
    end
    assert.same({ child = true, grandchild = true, ["of a wait group"] = true }, names)
  end)

  it("reaches nobody outside", function()
    local task = go.spawn(function() go.sleep(0.03) return "ran" end)
    go.with_timeout(0.005, go.sleep, 3600)
    local after = go.spawn(function() go.sleep(0.01) return "ran" end)
    assert.same({ true, "ran" }, { task:join() })
    assert.same({ true, "ran" }, { after:join() })
  end)

  it("does not outlive go.exit in it", function()
    for _ = 1, 10 do
      go.spawn(function()
        go.with_timeout(3600, function() go.with_timeout(3600, go.exit) end)
      end):join()
    end
    collectgarbage()
  end)

  it("refuses a yield out of it", function()
    local ok, err = coroutine.resume(coroutine.create(function()
      return pcall(go.with_timeout, 1, coroutine.yield)
    end))
    assert.is_true(ok)
    assert.is_false(err)
  end)

  it("checks its arguments", function()
    for _, case in ipairs({
      { { "x", print }, "bad argument #1 to 'with_timeout' (number expected, got string)" },
      { { 1 }, "bad argument #2 to 'with_timeout'" },
      { { 1, 2 }, "bad argument #2 to 'with_timeout'" },
      { { 0 / 0, print }, "bad argument #1 to 'with_timeout'" },
      { {}, "bad argument #1 to 'with_timeout'" },
    }) do
      local ok, err = pcall(go.with_timeout, table.unpack(case[1]))
      assert.is_false(ok)
      assert.equal(case[2], err:sub(1, #case[2]))
    end
    assert.is_false((pcall(go.shield)))
    assert.is_false((pcall(go.is_cancelled)))
    assert.is_false(go.is_cancelled(nil))
    assert.is_false(go.is_cancelled("cancelled"))
  end)
end)

describe("the option timeout of go.spawn", function()
  it("cancels the goroutine and what it has started", function()
    local done = go.chan(1)
    local task = go.spawn({ timeout = 0.01 }, function()
      go(function()
        local _ <close> = closing(function() done:send("child") end)
        go.sleep(3600)
      end)
      go.sleep(3600)
    end)
    local ok, err = task:join(helper.within(5))
    assert.equal(false, ok)
    assert.is_true(go.is_cancelled(err))
    assert.equal("child", done:recv(helper.within(5)))
  end)

  it("does nothing to what ends in time", function()
    assert.same({ true, 1 }, { go.spawn({ timeout = 100 }, function() return 1 end):join() })
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

describe("100 goroutines that are cancelled at random", function()
  -- Messages go through two stages; each goroutine counts what it holds.
  it("account for every message, and every handler has run", function()
    for _, procs in ipairs({ 1, 2, 4 }) do
      local _ <close> = helper.procs(procs)
      local first, second = go.chan(2), go.chan(2)
      local mutex, ended = go.mutex(), go.atomic()
      local sent, received, dropped = go.atomic(), go.atomic(), go.atomic()
      local tasks = {}
      for i = 1, 100 do
        local kind = i % 3
        tasks[i] = go.spawn(function()
          local _ <close> = closing(function() ended:add(1) end)
          while true do
            if kind == 0 then
              first:send(1)
              sent:add(1)
            elseif kind == 1 then
              local v = first:recv()
              local _ <close> = closing(function() if v then dropped:add(1) end end)
              mutex:with(go.yield)
              second:send(v)
              v = nil
            else
              second:recv()
              received:add(1)
            end
          end
        end)
      end
      math.randomseed(procs)
      for i = 100, 2, -1 do
        local j = math.random(i)
        tasks[i], tasks[j] = tasks[j], tasks[i]
      end
      for i = 1, 100 do
        if i % 10 == 0 then go.sleep(0.001) end
        tasks[i]:cancel(i)
      end
      for i = 1, 100 do
        local ok, err = tasks[i]:join()
        assert.is_true(not ok and go.is_cancelled(err))
        assert.equal(i, err.reason)
      end
      assert.equal(100, ended:load())
      assert.equal(sent:load(), received:load() + dropped:load() + #first + #second)
      assert.is_true(mutex:try_lock())
    end
  end)
end)
