local go = require("goroutines")
local helper = require("spec.helper")

-- The line of its caller.
local function here()
  return debug.getinfo(2, "l").currentline
end

-- A task that waits until `gate` is closed.
local function waiter(gate)
  return helper.parked(go.spawn(function() gate:recv() end))
end

describe("go", function()
  it("runs a function with its arguments", function()
    local out = go.chan()
    go(function(ch, ...) ch:send({ select("#", ...), ... }) end, out, 1, nil, 3)
    assert.same({ 3, 1, nil, 3 }, out:recv())
  end)

  it("returns nothing", function()
    assert.equal(0, select("#", go(function() end)))
  end)

  it("gives the function copies of what it captured", function()
    local out, n = go.chan(), 1
    go(function()
      n = n + 1
      out:send(n)
    end)
    assert.equal(2, out:recv())
    assert.equal(1, n)
  end)

  it("starts goroutines from goroutines", function()
    local out = go.chan()
    local function chain(n)
      if n == 0 then
        out:send("end")
      else
        go(chain, n - 1)
      end
    end
    go(chain, 100)
    assert.equal("end", out:recv())
  end)

  it("counts main and every goroutine that has not ended", function()
    local before, gate = go.count(), go.chan()
    for _ = 1, 3 do
      waiter(gate)
    end
    assert.equal(before + 3, go.count())
    gate:close()
    helper.wait_until(function() return go.count() == before end)
  end)
end)

describe("go.yield", function()
  it("lets the others run on one processor", function()
    local _ <close> = helper.procs(1)
    local out = go.chan(1)
    go(function() out:send("ran") end)
    helper.wait_until(function() return #out == 1 end)
    assert.equal("ran", out:recv())
  end)

  it("keeps turns among goroutines that all yield", function()
    local _ <close> = helper.procs(1)
    local turns, start = go.chan(40), go.barrier(2) -- starting takes long
    local function take_turns(name)
      start:wait()
      for _ = 1, 20 do
        turns:send(name)
        go.yield()
      end
    end
    local a, b = go.spawn(take_turns, "a"), go.spawn(take_turns, "b")
    a:join()
    b:join()
    turns:close()
    local longest, run, last = 0, 0, nil
    for name in turns do
      run = name == last and run + 1 or 1
      longest, last = math.max(longest, run), name
    end
    assert.is_true(longest <= 3)
  end)
end)

describe("go.self", function()
  it("is goroutine 1 in main", function()
    assert.equal(1, go.self().id)
    assert.equal("running", go.self():status())
  end)

  it("is the task that spawn returned", function()
    local task = go.spawn({ name = "me" }, function()
      local self = go.self()
      return self, self.id, self.name, self:status()
    end)
    local _, self, id, name, status = assert(task:join())
    assert.is_true(self == task)
    assert.equal(task.id, id)
    assert.equal("me", name)
    assert.equal("running", status)
  end)
end)

describe("a task", function()
  it("has an id of its own and the name it was given", function()
    local a = go.spawn({ name = "worker" }, function() end)
    local b = go.spawn({}, function() end)
    assert.equal("integer", math.type(a.id))
    assert.not_equal(a.id, b.id)
    assert.equal("worker", a.name)
    assert.is_nil(b.name)
    assert.matches("worker", tostring(a))
    assert.matches(tostring(a.id), tostring(a), 1, true)
    a:join()
    b:join()
  end)

  it("tells its status", function()
    local _ <close> = helper.procs(1)
    local _ <close> = helper.configure({ time_slice = 1 }) -- main keeps it
    local gate = go.chan()
    local task = go.spawn(function() gate:recv() end)
    assert.equal("runnable", task:status())
    assert.equal("waiting", helper.parked(task):status())
    gate:close()
    task:join()
    assert.equal("done", task:status())
    task = go.spawn(error, "no")
    task:join()
    assert.equal("failed", task:status())
  end)

  it("is running while it computes", function()
    local _ <close> = helper.procs(2)
    local stop = go.chan(1)
    local task = go.spawn(function()
      go.lock_thread() -- not on main's, which looks at it
      repeat until #stop > 0
    end)
    helper.wait_until(function() return task:status() == "running" end)
    stop:send(true)
    assert.is_true(task:join())
  end)

  it("tells where it is now", function()
    local gate, line = go.chan(), here() + 1
    local task = helper.parked(go.spawn(function() gate:recv() end))
    assert.matches("spawn_spec.lua:" .. line, task:traceback(), 1, true)
    gate:close()
    task:join()
  end)

  it("is the same object wherever it is sent", function()
    local task = go.spawn(function() end)
    local echo = go.spawn(function(t) return t, t.id end, task)
    local _, back, id = assert(echo:join())
    assert.is_true(back == task)
    assert.equal(task.id, id)
    task:join()
  end)
end)

describe("task:join", function()
  it("returns true and the results, nils and count included", function()
    local task = go.spawn(function() return nil, false, 3, nil end)
    local results = table.pack(task:join())
    assert.same({ n = 5, true, nil, false, 3, nil }, results)
    local none = go.spawn(function() end)
    assert.same({ n = 1, true }, table.pack(none:join()))
  end)

  it("gives copies to any number of joiners, any number of times", function()
    local gate = go.chan()
    local task = go.spawn(function()
      gate:recv()
      return { "result" }
    end)
    local joiners = {}
    for i = 1, 5 do
      joiners[i] = helper.parked(go.spawn(function()
        local _, value = task:join()
        value.joiner = i
        return value
      end))
    end
    gate:close()
    for i, joiner in ipairs(joiners) do
      assert.same({ true, { "result", joiner = i } }, { joiner:join() })
    end
    assert.same({ true, { "result" } }, { task:join() })
    assert.same({ true, { "result" } }, { task:join() })
  end)

  it("gives up after its timeout, and may be tried again", function()
    local gate = go.chan()
    local task = waiter(gate)
    assert.same({ nil, "timeout" }, { task:join(0) })
    assert.same({ nil, "timeout" }, { task:join(-1) })
    local start = go.now()
    assert.same({ nil, "timeout" }, { task:join(0.01) })
    assert.is_true(go.now() - start >= 0.01)
    gate:close()
    assert.is_true(task:join(math.huge))
    assert.is_true(task:join(0))
  end)

  it("of oneself is misuse", function()
    local task = go.spawn(function()
      local self = go.self()
      return pcall(self.join, self)
    end)
    local _, ok, message = assert(task:join())
    assert.is_false(ok)
    assert.matches("join", message)
    assert.has_error(function() go.self():join() end)
  end)

  it("works on a task that main has been given", function()
    local tasks = go.chan()
    go(function()
      tasks:send(go.spawn(function() return "deep" end))
    end)
    assert.same({ true, "deep" }, { tasks:recv():join() })
  end)
end)
