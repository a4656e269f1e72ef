local go = require("goroutines")
local helper = require("spec.helper")

local blocked = helper.blocked

local function acquire(s, n, timeout)
  return s:acquire(n, timeout)
end

describe("a semaphore", function()
  it("gives so many units", function()
    local s = go.semaphore(3)
    assert.is_true(s:acquire())
    assert.is_true(s:acquire(2))
    assert.is_false(s:try_acquire())
    assert.is_nil(s:release())
    assert.is_false(s:try_acquire(2))
    assert.is_true(s:try_acquire(1))
    s:release(3)
    assert.is_true(s:try_acquire(3))
    s:release(3)
  end)

  it("bears hammering", function()
    helper.each_procs({ 1, 2, 4 }, function(procs)
      local n, loops = procs * 2, 500
      local s, wg, used = go.semaphore(n), go.waitgroup(), go.atomic()
      for i = 1, n do
        wg:go(function()
          for _ = 1, loops do
            s:acquire(i)
            assert(used:add(i) <= n)
            if i == 1 then
              go.yield()
            end
            used:add(-i)
            s:release(i)
          end
        end)
      end
      assert.is_true(wg:wait(20))
      assert.is_true(s:try_acquire(n))
      s:release(n)
    end)
  end)

  it("refuses to be given more than was taken", function()
    local s = go.semaphore(2)
    local ok, message = pcall(s.release, s)
    assert.is_false(ok)
    assert.equal("release of more than was acquired of a semaphore", message)
    s:acquire()
    assert.is_false((pcall(s.release, s, 2)))
    s:release()
    assert.is_false((pcall(s.release, s)))
  end)

  it("is tried truthfully", function()
    local s = go.semaphore(2)
    local tries = { s:acquire(1), s:try_acquire(1), s:try_acquire(1) }
    s:release(2)
    tries[4] = s:try_acquire(1)
    s:acquire(1)
    assert.same({ true, true, false, true }, tries)
    s:release(2)
  end)

  it("has time limits", function()
    local s = go.semaphore(2)
    local tries = { s:acquire(2), (s:acquire(1, 0.005)) or false }
    s:release(2)
    tries[3] = s:acquire(1, 0)
    tries[4] = (s:acquire(2, 0.005)) or false
    assert.same({ true, false, true, false }, tries)
    assert.same({ nil, "timeout" }, { s:acquire(2, 0) })
    assert.same({ nil, "timeout" }, { s:acquire(2, -1) })
    s:release()
    assert.is_true(s:try_acquire(2))
    s:release(2)
  end)

  it("refuses a request that can never be met, and serves others", function()
    local s = go.semaphore(2)
    local ok, message = pcall(s.acquire, s, 3)
    assert.is_false(ok)
    assert.matches("bad argument #1 to 'acquire' %(3 is not from 1 to 2%)", message)
    assert.is_true(s:acquire(2, 0))
    s:release(2)
  end)

  it("does not starve a request for many", function()
    helper.each_procs({ 1, 2 }, function()
      local n = 8
      local s, stop, wg = go.semaphore(n), go.atomic(), go.waitgroup()
      for _ = 1, n do
        s:acquire()
        wg:go(function()
          while stop:load() == 0 do
            go.yield()
            s:release()
            s:acquire()
          end
          s:release()
        end)
      end
      assert.is_true(s:acquire(n - 1, helper.within(10)))
      stop:store(1)
      s:release(n - 1)
      wg:wait()
    end)
  end)

  it("serves first come, first served", function()
    local s, order = go.semaphore(4), go.chan(5)
    s:acquire(4)
    for i, units in ipairs({ 3, 1, 4, 1, 1 }) do
      blocked(function()
        s:acquire(units)
        order:send(i)
        s:release(units)
      end)
    end
    assert.is_false(s:try_acquire())
    s:release(1) -- enough for some, but not for the first
    assert.is_false(s:try_acquire())
    assert.same({ nil, "timeout" }, { order:recv(0.005) })
    s:release(3)
    local seen = {}
    for i = 1, 5 do
      seen[i] = order:recv()
    end
    -- The first two are served together, and so are the last two.
    assert.equal(3, seen[1] + seen[2])
    assert.equal(3, seen[3])
    assert.equal(9, seen[4] + seen[5])
  end)

  it("lets the next ones go on when the first times out", function()
    local s = go.semaphore(4)
    s:acquire(2)
    local large = helper.blocked_shortly(acquire, s, 4, 0.01)
    local small = helper.blocked_shortly(acquire, s, 1)
    local last = helper.blocked_shortly(acquire, s, 1)
    assert.same({ true, true }, { small:join() })
    assert.same({ true, true }, { last:join() })
    assert.same({ true, nil, "timeout" }, { large:join() })
    assert.is_false(s:try_acquire())
    s:release(4)
  end)

  it("takes no units for one that timed out", function()
    local s = go.semaphore(1)
    s:acquire()
    local task = helper.blocked_shortly(acquire, s, 1, 0.002)
    assert.same({ true, nil, "timeout" }, { task:join() })
    s:release()
    assert.is_true(s:try_acquire())
    s:release()
  end)

  it("may be released by another than who acquired", function()
    local s = go.semaphore(1)
    s:acquire()
    local task = blocked(acquire, s)
    assert.is_true(go.spawn(function() s:release() end):join())
    assert.is_true(task:join())
    s:release()
  end)

  it("is one and the same in all goroutines", function()
    local s = go.semaphore(1)
    local _, text = go.spawn(tostring, s):join()
    assert.equal(tostring(s), text)
    assert.matches("^semaphore: 0x", text)
  end)
end)
