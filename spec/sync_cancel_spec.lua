-- Waits for what goroutines share end when the goroutine is cancelled, and
-- nothing is lost by that.

local go = require("goroutines")
local helper = require("spec.helper")

local blocked = helper.blocked

-- Cancels a task that waits; it ends with that error.
local function cancel(task)
  assert.is_true(task:cancel())
  local ok, err = task:join(helper.within(5))
  assert.is_false(ok)
  assert.is_true(go.is_cancelled(err))
end

-- What a cancelled goroutine gets from a call that could be done at once.
local function refused(f)
  local gate, box = go.chan(), go.chan(1)
  local task = blocked(function()
    pcall(gate.recv, gate)
    local ok, err = pcall(f)
    go.shield(function() box:send({ ok, go.is_cancelled(err) }) end)
  end)
  task:cancel()
  task:join()
  return box:recv()
end

describe("a cancelled goroutine", function()
  it("leaves the queue of a mutex", function()
    local m = go.mutex()
    m:lock()
    local first, second = blocked(m.lock, m), blocked(m.with, m, print)
    local third = blocked(function() m:lock() m:unlock() return "had it" end)
    cancel(first)
    cancel(second)
    m:unlock()
    assert.same({ true, "had it" }, { third:join() })
    assert.is_true(m:try_lock())
    m:unlock()
  end)

  it("lets go what it holds by with and guards", function()
    local m, gate = go.mutex(), go.chan()
    cancel(blocked(function() m:with(function() gate:recv() end) end))
    assert.is_true(m:try_lock())
    m:unlock()
    cancel(blocked(function()
      local _ <close> = m:guard()
      gate:recv()
    end))
    assert.is_true(m:try_lock())
    m:unlock()
  end)

  it("lets those behind it in a rwmutex go on", function()
    local rw = go.rwmutex()
    rw:rlock()
    local writer = blocked(rw.lock, rw)
    local reader = blocked(function() rw:rlock() rw:runlock() end)
    cancel(writer)
    assert.is_true(reader:join())
    rw:runlock()
    assert.is_true(rw:try_lock())
    cancel(blocked(rw.rlock, rw))
    rw:unlock()
    assert.is_true(rw:try_lock())
    rw:unlock()
  end)

  it("lets those behind it at a semaphore go on", function()
    local s = go.semaphore(2)
    s:acquire()
    local large = blocked(s.acquire, s, 2)
    local small = blocked(s.acquire, s)
    cancel(large)
    assert.is_true(small:join())
    s:release(2)
    assert.is_true(s:try_acquire(2))
    s:release(2)
  end)

  it("holds the mutex again after a wait for a signal", function()
    local m, woken = go.mutex(), go.chan(1)
    local c = go.cond(m)
    local task = blocked(function()
      m:lock()
      local ok, err = pcall(c.wait, c)
      m:unlock() -- raises if it is not held
      return ok, go.is_cancelled(err)
    end)
    local other = blocked(function()
      m:lock()
      c:wait()
      m:unlock()
      woken:send(true)
    end)
    m:lock()
    task:cancel()
    c:signal() -- for the first one, or if it has gone for the other
    m:unlock()
    assert.is_true(task:join())
    c:signal()
    assert.is_true(woken:recv())
    other:join()
  end)

  it("has left a barrier", function()
    local b = go.barrier(2)
    cancel(blocked(b.wait, b))
    assert.same({ nil, "timeout" }, { b:wait(0) })
  end)

  it("does not wait for a group or a once any more", function()
    local wg, once, gate = go.waitgroup(1), go.once(), go.chan()
    cancel(blocked(wg.wait, wg))
    wg:done()
    local runner = blocked(once.run, once, function() gate:recv() return 1 end)
    cancel(blocked(once.run, once, print))
    gate:close()
    assert.same({ true, 1 }, { runner:join() })
  end)

  it("tells others of a once that it was cancelled in it", function()
    local once, gate = go.once(), go.chan()
    cancel(blocked(function() once:run(function() gate:recv() end) end))
    local ok, err = pcall(once.run, once, print)
    assert.is_false(ok)
    assert.is_true(go.is_cancelled(err))
  end)

  it("frees the key that it updates, and the place where it waits", function()
    local m, gate, inside = go.map(), go.chan(), go.chan()
    m:set("k", 1)
    local user = go.spawn(function()
      m:update("k", function()
        inside:close()
        gate:recv()
      end)
    end)
    inside:recv()
    cancel(blocked(m.set, m, "k", { 2 }))
    local third = blocked(m.get, m, "k")
    cancel(user)
    assert.same({ true, 1 }, { third:join() })
    m:set("k", 2)
    assert.equal(2, m:get("k"))
  end)

  it("gets the error also where it need not wait", function()
    local m, rw, wg = go.mutex(), go.rwmutex(), go.waitgroup()
    local s, b, once, map = go.semaphore(1), go.barrier(1), go.once(), go.map()
    once:run(function() end)
    for name, f in pairs({
      lock = function() m:lock() end,
      with = function() m:with(print) end,
      guard = function() m:guard() end,
      write = function() rw:lock() end,
      read = function() rw:rlock() end,
      group = function() wg:wait() end,
      acquire = function() s:acquire() end,
      barrier = function() b:wait() end,
      run = function() once:run(print) end,
      get = function() map:get(1) end,
      set = function() map:set(1, 2) end,
      delete = function() map:delete(1) end,
      update = function() map:update(1, print) end,
      swap = function() map:compare_and_swap(1, nil, 2) end,
    }) do
      assert.same({ false, true }, refused(f), name)
    end
    assert.is_true(m:try_lock() and rw:try_lock() and s:try_acquire())
    assert.equal(0, #map)
    m:unlock()
    rw:unlock()
    s:release()
  end)

  it("can use all of it while cancellation is held back", function()
    local m, map, gate = go.mutex(), go.map(), go.chan()
    m:lock()
    local task = blocked(function()
      pcall(gate.recv, gate)
      go.shield(function()
        m:with(function() map:set("k", "in a shield") end)
      end)
    end)
    task:cancel()
    go.sleep(0.005)
    m:unlock()
    task:join()
    assert.equal("in a shield", map:get("k"))
  end)
end)
