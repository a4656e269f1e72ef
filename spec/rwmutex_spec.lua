local go = require("goroutines")
local helper = require("spec.helper")

local blocked = helper.blocked

local function failure(f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  return message
end

local function rlock(rw)
  rw:rlock()
  rw:runlock()
end

local function lock(rw)
  rw:lock()
  rw:unlock()
end

describe("a rwmutex", function()
  it("lets in readers together, or one writer", function()
    local rw = go.rwmutex()
    assert.is_true(rw:rlock())
    assert.is_true(rw:try_rlock())
    assert.is_false(rw:try_lock())
    rw:runlock()
    assert.is_false(rw:try_lock())
    assert.is_nil(rw:runlock())
    assert.is_true(rw:try_lock())
    assert.is_false(rw:try_rlock())
    assert.is_false(rw:try_lock())
    assert.is_nil(rw:unlock())
    assert.is_true(rw:lock())
    rw:unlock()
  end)

  it("has readers inside at the same time", function()
    for _, row in ipairs({ { 1, 4 }, { 3, 4 }, { 4, 2 } }) do
      local readers, procs = table.unpack(row)
      local _ <close> = helper.procs(procs)
      local rw, inside, leave = go.rwmutex(), go.barrier(readers + 1), go.chan()
      local wg = go.waitgroup()
      for _ = 1, readers do
        wg:go(function()
          rw:rlock()
          inside:wait()
          leave:recv()
          rw:runlock()
        end)
      end
      inside:wait()
      assert.is_false(rw:try_lock())
      leave:close()
      wg:wait()
      assert.is_true(rw:try_lock())
      rw:unlock()
    end
  end)

  it("never has a writer inside with anybody else", function()
    for _, row in ipairs({ { 1, 1 }, { 1, 3 }, { 1, 10 }, { 4, 1 }, { 4, 3 },
      { 4, 10 }, { 2, 5 } }) do
      local procs, readers = table.unpack(row)
      local _ <close> = helper.procs(procs)
      local rw, activity, wg = go.rwmutex(), go.atomic(), go.waitgroup()
      for _ = 1, 2 do
        wg:go(function()
          for i = 1, 200 do
            rw:lock()
            assert(activity:add(10000) == 10000)
            if i % 10 == 0 then
              go.yield()
            end
            assert(activity:add(-10000) == 0)
            rw:unlock()
          end
        end)
      end
      for _ = 1, readers do
        wg:go(function()
          for i = 1, 200 do
            rw:rlock()
            local n = activity:add(1)
            assert(n >= 1 and n < 10000)
            if i % 10 == 0 then
              go.yield()
            end
            activity:add(-1)
            rw:runlock()
          end
        end)
      end
      assert.is_true(wg:wait(20))
      assert.equal(0, activity:load())
    end
  end)

  it("has a writer wait for all readers, and readers for the writer", function()
    local rw = go.rwmutex()
    rw:rlock()
    rw:rlock()
    local writer = blocked(lock, rw)
    rw:runlock()
    assert.same({ nil, "timeout" }, { writer:join(0.01) })
    rw:runlock()
    assert.is_true(writer:join())
    rw:lock()
    local readers = { blocked(rlock, rw), blocked(rlock, rw) }
    assert.same({ nil, "timeout" }, { readers[1]:join(0.01) })
    rw:unlock()
    assert.is_true(readers[1]:join())
    assert.is_true(readers[2]:join())
  end)

  it("serves those who wait in the order of their arrival", function()
    local rw, log = go.rwmutex(), go.chan(9)
    rw:lock()
    for i, kind in ipairs({ "r", "r", "w", "r", "w" }) do
      blocked(function()
        if kind == "r" then
          rw:rlock()
          log:send(kind .. i)
          rw:runlock()
        else
          rw:lock()
          log:send(kind .. i)
          rw:unlock()
        end
      end)
    end
    rw:unlock()
    local seen = {}
    for i = 1, 5 do
      seen[i] = log:recv()
    end
    -- The first two are inside together.
    table.sort(seen, function(a, b) return a:sub(2) < b:sub(2) end)
    assert.same({ "r1", "r2", "w3", "r4", "w5" }, seen)
  end)

  it("does not starve a writer among readers that come and go", function()
    helper.each_procs({ 1, 2 }, function()
      local rw, stop, wg = go.rwmutex(), go.atomic(), go.waitgroup()
      for _ = 1, 3 do
        wg:go(function()
          while stop:load() == 0 do
            rw:rlock()
            go.yield()
            rw:runlock()
          end
        end)
      end
      for _ = 1, 10 do
        assert.is_true(rw:lock(helper.within(5)))
        rw:unlock()
      end
      stop:store(1)
      wg:wait()
    end)
  end)

  it("lets no reader pass a writer that waits", function()
    local rw = go.rwmutex()
    rw:rlock()
    local writer = blocked(lock, rw)
    assert.is_false(rw:try_rlock())
    assert.same({ nil, "timeout" }, { rw:rlock(0.001) })
    rw:runlock()
    assert.is_true(writer:join())
  end)

  it("lets the readers behind a writer go on that times out", function()
    local rw = go.rwmutex()
    rw:rlock()
    local writer = helper.blocked_shortly(function() return rw:lock(0.01) end)
    local reader = helper.blocked_shortly(rlock, rw)
    assert.is_true(reader:join())
    assert.same({ true, nil, "timeout" }, { writer:join() })
    assert.is_true(rw:try_rlock())
    rw:runlock()
    rw:runlock()
  end)

  it("has time limits", function()
    local rw = go.rwmutex()
    rw:lock()
    for _, timeout in ipairs({ 0, -1, 0.001 }) do
      assert.same({ nil, "timeout" }, { rw:lock(timeout) })
      assert.same({ nil, "timeout" }, { rw:rlock(timeout) })
    end
    rw:unlock()
    assert.is_true(rw:rlock(0))
    rw:runlock()
    assert.is_true(rw:lock(0))
    rw:unlock()
  end)

  it("refuses to be unlocked in the wrong way", function()
    local rw = go.rwmutex()
    assert.equal("unlock of unlocked rwmutex", failure(rw.unlock, rw))
    assert.equal("runlock of unlocked rwmutex", failure(rw.runlock, rw))
    rw:rlock()
    assert.equal("unlock of a rwmutex that is locked by readers",
      failure(rw.unlock, rw))
    rw:runlock()
    rw:lock()
    assert.equal("runlock of a rwmutex that is locked by goroutine 1",
      failure(rw.runlock, rw))
    local _, _, message = go.spawn(pcall, rw.unlock, rw):join()
    assert.equal("unlock of a rwmutex that is locked by goroutine 1", message)
    rw:unlock()
    assert.equal("unlock of unlocked rwmutex", failure(rw.unlock, rw))
  end)

  it("stays locked when its writer ends, who is remembered", function()
    local rw = go.rwmutex()
    local task = go.spawn({ name = "writer" }, function() rw:lock() end)
    task:join()
    assert.is_false(rw:try_rlock())
    assert.equal(("unlock of a rwmutex that is locked by goroutine %d " ..
      '"writer" (it has ended)'):format(task.id), failure(rw.unlock, rw))
  end)

  it("may be read-locked by one and released by another", function()
    local rw = go.rwmutex()
    go.spawn(function() rw:rlock() end):join()
    assert.is_true(go.spawn(function() rw:runlock() end):join())
    assert.is_true(rw:try_lock())
    rw:unlock()
  end)

  it("is one and the same in all goroutines", function()
    local rw = go.rwmutex()
    local _, text = go.spawn(tostring, rw):join()
    assert.equal(tostring(rw), text)
    assert.matches("^rwmutex: 0x", text)
  end)
end)
