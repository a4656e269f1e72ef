local go = require("goroutines")
local helper = require("spec.helper")

local blocked, within = helper.blocked, helper.within

local function lock(m, timeout)
  return m:lock(timeout)
end

-- A task whose goroutine holds the mutex until the channel is closed.
local function holding(m, gate, name)
  local locked = go.chan()
  local task = go.spawn({ name = name }, function()
    m:lock()
    locked:close()
    gate:recv()
    m:unlock()
  end)
  locked:recv()
  return task
end

describe("a mutex", function()
  it("is locked by one at a time", function()
    local m = go.mutex()
    assert.is_true(m:lock())
    assert.is_false(m:try_lock())
    assert.is_nil(m:unlock())
    assert.is_true(m:try_lock())
    m:unlock()
  end)

  it("keeps out others while it is locked", function()
    helper.each_procs({ 1, 2, 4 }, function()
      local m, counts, wg = go.mutex(), go.chan(1), go.waitgroup()
      counts:send(0)
      for i = 1, 10 do
        wg:go(function()
          for _ = 1, 1000 do
            if i % 3 == 0 then
              while not m:try_lock() do
                go.yield()
              end
            else
              m:lock()
            end
            -- Empty for whoever is inside but the first.
            local n = assert(counts:recv(0))
            assert(counts:send(n + 1, 0))
            m:unlock()
          end
        end)
      end
      wg:wait()
      assert.equal(10000, counts:recv())
    end)
  end)

  it("can be tried without waiting, truthfully", function()
    local m = go.mutex()
    m:lock()
    assert.same({ true, false },
      { go.spawn(function() return m:try_lock() end):join() })
    m:unlock()
    local gate = go.chan()
    local task = holding(m, gate)
    assert.is_false(m:try_lock())
    gate:close()
    task:join()
    assert.is_true(m:try_lock())
    m:unlock()
  end)

  it("is not recursive: a second lock waits", function()
    local m = go.mutex()
    m:lock()
    assert.same({ nil, "timeout" }, { m:lock(0) })
    assert.same({ nil, "timeout" }, { m:lock(-1) })
    assert.same({ nil, "timeout" }, { m:lock(0.001) })
    m:unlock()
    assert.is_true(m:lock(0))
    m:unlock()
    assert.is_true(m:lock(math.huge))
    m:unlock()
    assert.is_true(m:lock(nil))
    m:unlock()
  end)

  it("waits no less than the timeout", function()
    local m = go.mutex()
    m:lock()
    local start = go.now()
    assert.same({ nil, "timeout" }, { m:lock(0.03) })
    assert.is_true(go.now() - start >= 0.03)
    m:unlock()
  end)

  it("serves those who wait in the order of their arrival", function()
    local m, order = go.mutex(), go.chan(10)
    m:lock()
    for i = 1, 10 do
      blocked(function()
        m:lock()
        order:send(i)
        m:unlock()
      end)
    end
    go.sleep(0.002) -- the first has starved: from hand to hand
    m:unlock()
    for i = 1, 10 do
      assert.equal(i, order:recv())
    end
  end)

  it("is not lost by one that times out in the queue", function()
    local m = go.mutex()
    m:lock()
    local first = helper.blocked_shortly(lock, m, 0.005)
    local second = blocked(function()
      m:lock()
      m:unlock()
      return "locked"
    end)
    assert.same({ true, nil, "timeout" }, { first:join() })
    m:unlock()
    assert.same({ true, "locked" }, { second:join() })
    assert.is_true(m:try_lock())
    m:unlock()
  end)

  it("is had now and then beside one that locks it again at once", function()
    helper.each_procs({ 1, 2, 4 }, function()
      local m, stop = go.mutex(), go.atomic()
      local hog = go.spawn(function()
        while stop:load() == 0 do
          m:lock()
          local until_ns = go.now() + 0.0001
          while go.now() < until_ns do end
          m:unlock()
        end
      end)
      local start = go.now()
      for _ = 1, 10 do
        go.sleep(0.0001)
        m:lock()
        m:unlock()
      end
      assert.is_true(go.now() - start < within(2))
      stop:store(1)
      assert.is_true(hog:join())
    end)
  end)

  it("is one and the same in all goroutines", function()
    local m, box = go.mutex(), go.chan(1)
    box:send({ m })
    local copy = box:recv()[1]
    assert.equal(m, copy)
    assert.equal(1, ({ [m] = 1 })[copy])
    assert.equal(tostring(m), tostring(copy))
    local _, text = go.spawn(function() return tostring(m) end):join()
    assert.equal(tostring(m), text)
    assert.matches("^mutex: 0x", text)
    assert.is_true(go.spawn(function(a, b) assert(a == b) end, m, m):join())
  end)

  it("can be locked in coroutines, by their goroutine", function()
    local m = go.mutex()
    local locks = coroutine.wrap(function()
      m:lock()
      coroutine.yield()
      m:unlock()
    end)
    locks()
    assert.is_false(m:try_lock())
    locks()
    assert.is_true(m:try_lock())
    m:unlock()
  end)

  it("is freed while it is locked", function()
    for _ = 1, 10 do
      go.mutex():lock()
      assert.is_true(go.spawn({ name = "gone" }, function()
        go.mutex():lock()
      end):join())
    end
  end)
end)

describe("the holder of a mutex", function()
  local function failure(f, ...)
    local ok, message = pcall(f, ...)
    assert.is_false(ok)
    return message
  end

  it("is the only one who may unlock it", function()
    local m, gate = go.mutex(), go.chan()
    assert.equal("unlock of unlocked mutex", failure(m.unlock, m))
    local task = holding(m, gate, "worker")
    assert.equal(('unlock of a mutex that is locked by goroutine %d "worker"')
      :format(task.id), failure(m.unlock, m))
    gate:close()
    task:join()
    assert.equal("unlock of unlocked mutex", failure(m.unlock, m))
  end)

  it("has a number where it has no name", function()
    local m = go.mutex()
    m:lock()
    local _, _, message = go.spawn(pcall, m.unlock, m):join()
    assert.equal("unlock of a mutex that is locked by goroutine 1", message)
    m:unlock()
  end)

  it("is where the error is raised", function()
    local m = go.mutex()
    local message = failure(function() m:unlock() end)
    assert.matches("mutex_spec.lua:%d+: unlock of unlocked mutex", message)
  end)

  it("keeps it when it ends, and is remembered", function()
    for _, how in ipairs({ "return", "error('oops', 0)", "go.exit()" }) do
      local m = go.mutex()
      local task = go.spawn({ name = "gone" }, load([[
        local m, go = ...
        m:lock()
      ]] .. how), m, go)
      task:join()
      assert.is_false(m:try_lock())
      assert.same({ nil, "timeout" }, { m:lock(0.001) })
      assert.equal(("unlock of a mutex that is locked by goroutine %d " ..
        '"gone" (it has ended)'):format(task.id), failure(m.unlock, m))
    end
  end)

  it("is remembered by its number after many others", function()
    local m = go.mutex()
    local task = go.spawn({ name = "first" }, function() m:lock() end)
    task:join()
    for i = 1, 300 do
      local other = go.mutex()
      go.spawn({ name = "later " .. i }, function() other:lock() end):join()
    end
    assert.equal(("unlock of a mutex that is locked by goroutine %d " ..
      "(it has ended)"):format(task.id), failure(m.unlock, m))
  end)

  it("may be main", function()
    local m = go.mutex()
    m:lock()
    local task = blocked(function()
      m:lock()
      m:unlock()
    end)
    m:unlock()
    assert.is_true(task:join())
  end)
end)

describe("mutex:with", function()
  it("calls the function with the mutex locked", function()
    local m = go.mutex()
    local results = table.pack(m:with(function(...)
      assert.is_false(m:try_lock())
      return select("#", ...), ...
    end, 1, nil, 3, nil))
    assert.same({ n = 5, 4, 1, nil, 3 }, results)
    assert.is_true(m:try_lock())
    m:unlock()
  end)

  it("unlocks it on an error, which it does not change", function()
    local m, err = go.mutex(), {}
    local ok, message = pcall(m.with, m, error, err)
    assert.is_false(ok)
    assert.equal(err, message)
    assert.is_true(m:try_lock())
    m:unlock()
  end)

  it("unlocks it on go.exit, also in coroutines", function()
    local m = go.mutex()
    for _, run in ipairs({
      function(f) f() end,
      function(f) pcall(f) end,
      function(f) coroutine.wrap(f)() end,
      function(f) table.sort({ 1, 2, 3 }, f) end,
    }) do
      local task = go.spawn(function()
        m:with(run, function() go.exit("out") end)
      end)
      assert.same({ true, "out" }, { task:join() })
      assert.is_true(m:try_lock())
      m:unlock()
    end
  end)

  it("lets the function yield", function()
    local m = go.mutex()
    local co = coroutine.wrap(function()
      return m:with(function(a) return a, coroutine.yield("inside") end, "a")
    end)
    assert.equal("inside", co())
    assert.is_false(m:try_lock())
    assert.same({ "a", "b" }, { co("b") })
    assert.is_true(m:try_lock())
    m:unlock()
  end)

  it("unlocks it when the coroutine it is in fails", function()
    local m = go.mutex()
    local function fails() error("oops", 0) end
    local task = go.spawn(function()
      local other = coroutine.create(function() m:with(table.sort, { 2, 1 }, fails) end)
      local ok, message = coroutine.resume(other)
      m:lock()
      m:unlock()
      return ok, message, debug.traceback(other):find("sort", 1, true) ~= nil,
        coroutine.close(other)
    end)
    assert.same({ true, false, "oops", true, false, "oops" }, { task:join() })
    local inner = go.mutex()
    local co = coroutine.create(function()
      m:with(function() inner:with(fails) end)
    end)
    assert.same({ false, "oops" }, { coroutine.resume(co) })
    assert.is_true(inner:try_lock())
    assert.is_true(m:try_lock())
    coroutine.close(co)
    assert.is_false(m:try_lock())
    m:unlock()
    inner:unlock()
    assert.is_false(pcall(coroutine.wrap(function() m:with(fails) end)))
    assert.is_true(m:try_lock())
    m:unlock()
  end)

  it("unlocks it when the coroutine it is in is closed", function()
    local m = go.mutex()
    local co = coroutine.create(function() m:with(coroutine.yield) end)
    coroutine.resume(co)
    assert.is_false(m:try_lock())
    assert.is_true(coroutine.close(co))
    assert.is_true(m:try_lock())
    m:unlock()
  end)

  it("waits for others", function()
    local m, gate = go.mutex(), go.chan()
    local task = holding(m, gate)
    local waiting = blocked(function() return m:with(function() return 1 end) end)
    gate:close()
    assert.same({ true, 1 }, { waiting:join() })
    task:join()
  end)

  it("tells when the function has unlocked it, but hides no error", function()
    local m = go.mutex()
    local ok, message = pcall(m.with, m, function() m:unlock() end)
    assert.is_false(ok)
    assert.matches("unlock of unlocked mutex", message)
    ok, message = pcall(m.with, m, function()
      m:unlock()
      error("mine", 0)
    end)
    assert.is_false(ok)
    assert.equal("mine", message)
  end)
end)

describe("mutex:guard", function()
  it("unlocks it at the end of the block", function()
    local m = go.mutex()
    do
      local guard <close> = m:guard()
      assert.is_false(m:try_lock())
      assert.equal("guard: " .. tostring(m), tostring(guard))
    end
    assert.is_true(m:try_lock())
    m:unlock()
  end)

  it("unlocks it on an error and on go.exit", function()
    local m = go.mutex()
    for _, leave in ipairs({ error, go.exit, function() end }) do
      go.spawn(function()
        local _ <close> = m:guard()
        leave("out")
      end):join()
      assert.is_true(m:try_lock())
      m:unlock()
    end
  end)

  it("waits for others", function()
    local m, gate = go.mutex(), go.chan()
    local task = holding(m, gate)
    local waiting = blocked(function()
      local _ <close> = m:guard()
      return "inside"
    end)
    gate:close()
    assert.same({ true, "inside" }, { waiting:join() })
    task:join()
  end)

  it("unlocks it once", function()
    local m = go.mutex()
    local guard = m:guard()
    local close = getmetatable(guard).__close
    close(guard, nil)
    assert.equal("guard: closed", tostring(guard))
    m:lock()
    close(guard, nil)
    assert.is_false(m:try_lock())
    m:unlock()
  end)

  it("leaves it locked when it is collected", function()
    local m = go.mutex()
    m:guard()
    collectgarbage()
    collectgarbage()
    assert.is_false(m:try_lock())
    m:unlock()
  end)

  it("cannot be sent", function()
    local m = go.mutex()
    local guard <close> = m:guard()
    assert.has_error(function() go.chan(1):send(guard) end)
  end)
end)
