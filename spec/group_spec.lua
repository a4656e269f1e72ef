-- Groups: tasks that are waited for together, and cancelled together.

local go = require("goroutines")
local helper = require("spec.helper")

local function closing(f)
  return setmetatable({}, { __close = f })
end

-- Waits for ever, until it is cancelled.
local function forever()
  go.sleep(3600)
end

local function fail(message)
  error(message, 0)
end

local function id(...)
  return ...
end

local PROCS = { 1, 2, 4 }

-- The group's wait, with a time limit that a correct group never reaches.
local function wait(g)
  return g:wait(helper.within(20))
end

local function assert_cancelled(reason, ok, err, ...)
  assert.is_nil(ok)
  assert.is_true(go.is_cancelled(err), tostring(err))
  assert.same(reason, err.reason)
  assert.equal(0, select("#", ...))
end

local function statuses(tasks)
  local list = {}
  for i, task in ipairs(tasks) do
    list[i] = task:status()
  end
  return list
end

describe("a group", function()
  it("waits for all", function()
    helper.each_procs(PROCS, function()
      local g, n = go.group(), go.atomic()
      for i = 1, 100 do
        g:spawn(function()
          if i % 3 == 0 then go.yield() end
          n:add(1)
        end)
      end
      assert.same({ true, n = 1 }, table.pack(wait(g)))
      assert.equal(100, n:load())
    end)
  end)

  it("is done when nothing was started", function()
    local g = go.group()
    assert.is_true(g:wait())
    assert.is_true(g:wait(0))
    assert.same({}, g:results())
    for _ in g:completed() do error("none") end
  end)

  it("takes what go.spawn takes", function()
    local g = go.group()
    local task = g:spawn({ name = "named", memory_limit = 1e7 }, id, 1, nil, "x", nil)
    assert.equal("named", task.name)
    assert.same({ true, 1, nil, "x", nil, n = 5 }, table.pack(task:join()))
    assert.same({ true, true }, { g:spawn({ thread = true }, id, true):join() })
    local slow = g:spawn({ timeout = 0.01 }, forever)
    assert.is_true(go.is_cancelled(select(2, slow:join())))
    wait(g)
  end)

  it("gives the first error, and its traceback", function()
    helper.each_procs(PROCS, function()
      local g, order = go.group(), go.chan()
      g:spawn(function() order:recv() fail("second") end)
      local first = g:spawn({ name = "first" }, function() error({ "first" }) end)
      first:join()
      order:send(true, 0)
      local ok, err, traceback = wait(g)
      assert.same({ false, { "first" } }, { ok or false, err })
      assert.matches("started by goroutine", traceback)
    end)
  end)

  it("cancels the rest when one fails, before anybody waits", function()
    helper.each_procs(PROCS, function()
      local g = go.group()
      local waits = g:spawn(forever)
      local computes = g:spawn(function() while true do end end)
      local starts = g:spawn(function() return go.spawn(forever):join() end)
      local failing = g:spawn(fail, "oops")
      for _, task in ipairs({ waits, computes, starts }) do
        local ok, err = task:join(helper.within(10))
        assert.is_false(ok)
        assert.is_true(go.is_cancelled(err))
      end
      assert.is_false((failing:join()))
      local ok, err = wait(g)
      assert.same({ false, "oops" }, { ok or false, err })
    end)
  end)

  it("starts cancelled what comes after a failure", function()
    local g = go.group()
    g:spawn(fail, "oops"):join()
    local late = g:spawn(forever)
    assert.is_true(go.is_cancelled(select(2, late:join())))
    assert.equal("oops", select(2, wait(g)))
  end)

  it("takes one that was cancelled by itself for a failure", function()
    local g = go.group()
    local task, other = g:spawn(forever), g:spawn(forever)
    task:cancel("own")
    local ok, err, traceback = wait(g)
    assert.is_nil(ok)
    assert.equal("own", err.reason)
    assert.is_string(traceback)
    assert.equal("cancelled", other:status())
  end)

  it("does not take go.exit for a failure", function()
    local g = go.group()
    g:spawn(function() go.exit(1, 2) end)
    assert.is_true(wait(g))
    assert.same({ { true, 1, 2, n = 3 } }, g:results())
  end)

  it("may be waited for with a time limit", function()
    local g, gate = go.group(), go.chan()
    g:spawn(function() gate:recv() end)
    assert.same({ nil, "timeout" }, { g:wait(0) })
    assert.same({ nil, "timeout" }, { g:wait(-1) })
    assert.same({ nil, "timeout" }, { g:wait(0.005) })
    gate:close()
    assert.is_true(wait(g))
    assert.is_true(g:wait(0))
  end)

  it("tells all that wait how it went", function()
    helper.each_procs(PROCS, function()
      local g, gate = go.group(), go.chan()
      g:spawn(function() gate:recv() fail("oops") end)
      local waiters = {}
      for i = 1, 3 do
        waiters[i] = helper.blocked(function() return g:wait() end)
      end
      gate:close()
      for i = 1, 3 do
        local done, ok, err = waiters[i]:join()
        assert.same({ true, false, "oops" }, { done, ok or false, err })
      end
      assert.is_true(g:wait())
    end)
  end)

  it("is shared: tasks and others may start more in it", function()
    helper.each_procs(PROCS, function()
      local g, n = go.group(), go.atomic()
      local function grow(depth)
        n:add(1)
        if depth == 0 then return end
        g:spawn(grow, depth - 1)
        g:spawn(grow, depth - 1)
      end
      g:spawn(grow, 6)
      go.spawn(function() g:spawn(grow, 2) end):join()
      assert.is_true(wait(g))
      assert.equal(127 + 7, n:load())
    end)
  end)

  it("is the same object in all goroutines", function()
    local g = go.group()
    local _, back = go.spawn(id, g):join()
    assert.equal(g, back)
    assert.matches("^group: ", tostring(g))
  end)

  it("that is collected leaves its tasks alone", function()
    local gate = go.chan()
    local task = go.group():spawn(function() return gate:recv() end)
    collectgarbage()
    collectgarbage()
    gate:send("still there")
    assert.same({ true, "still there" }, { task:join() })
  end)

  it("can be waited for by those outside of it only", function()
    local g = go.group()
    local function try(f)
      return select(2, pcall(f))
    end
    local task = g:spawn(function()
      return try(function() g:wait() end), try(function() g:wait(0) end),
        try(function() g:results() end), try(function() for _ in g:completed() do end end),
        try(function() local _ <close> = g end)
    end)
    local told = table.pack(task:join())
    assert.equal(6, told.n)
    for i, name in ipairs({ "wait", "wait", "results", "completed", "__close" }) do
      assert.matches(("bad call of '%s' %%(by a goroutine of the group itself%%)"):format(name),
        told[i + 1])
    end
    assert.is_true(wait(g))
  end)
end)

describe("the results of a group", function()
  it("are in the order in which the tasks were started", function()
    helper.each_procs(PROCS, function()
      local g = go.group()
      for i = 1, 20 do
        g:spawn(function()
          for _ = 1, 20 - i do go.yield() end
          return i, nil
        end)
      end
      local results = g:results()
      assert.equal(20, #results)
      for i, result in ipairs(results) do
        assert.same({ true, i, nil, n = 3 }, result)
      end
      assert.is_true(wait(g))
      assert.same(results, g:results())
    end)
  end)

  it("tell of failures, too", function()
    local g = go.group({ on_error = "collect" })
    g:spawn(id, "a")
    g:spawn(fail, "b"):join()
    g:spawn(function() go.self():cancel("c") forever() end)
    local results = g:results()
    assert.same({ true, "a", n = 2 }, results[1])
    assert.same({ false, "b", 3 }, { results[2][1], results[2][2], results[2].n })
    assert.same({ false, "c" }, { results[3][1], results[3][2].reason })
    assert.equal("b", select(2, wait(g)))
  end)

  it("are many", function()
    local g = go.group()
    g:spawn(function() return table.unpack(helper.range(200)) end)
    assert.equal(201, g:results()[1].n)
  end)

  it("wait as joins do: cancellation ends that, and leaves the tasks", function()
    local g, gate = go.group(), go.chan()
    g:spawn(function() return gate:recv() end)
    local task = helper.blocked(function() return g:results() end)
    task:cancel()
    assert.is_true(go.is_cancelled(select(2, task:join())))
    gate:send("value")
    assert.same({ { true, "value", n = 2 } }, g:results())
  end)
end)

describe("a group that collects", function()
  it("lets the rest go on, and gives the first error", function()
    helper.each_procs(PROCS, function()
      local g, gate = go.group({ on_error = "collect" }), go.chan()
      local other = g:spawn(function() gate:recv() return "done" end)
      local task = g:spawn(fail, "first")
      task:join()
      g:spawn(fail, "second"):join()
      gate:close()
      assert.equal("first", select(2, wait(g)))
      assert.same({ true, "done" }, { other:join() })
      assert.is_true(wait(g))
    end)
  end)

  it("cancels when it is asked to", function()
    local g = go.group({ on_error = "collect" })
    local task = g:spawn(forever)
    assert.is_true(g:cancel("asked"))
    assert_cancelled("asked", wait(g))
    assert.equal("cancelled", task:status())
  end)

  it("takes on_error = \"cancel\" for the default", function()
    local g = go.group({ on_error = "cancel" })
    local task = g:spawn(forever)
    g:spawn(fail, "oops")
    assert.equal("oops", select(2, wait(g)))
    assert.equal("cancelled", task:status())
  end)
end)

describe("group:cancel", function()
  it("cancels all, and wait tells so", function()
    helper.each_procs(PROCS, function()
      local g, tasks = go.group(), {}
      for i = 1, 10 do
        tasks[i] = g:spawn(i % 2 == 0 and forever or function() while true do end end)
      end
      assert.is_true(g:cancel({ "why" }))
      assert.is_false(g:cancel("again"))
      assert_cancelled({ "why" }, wait(g))
      for _, status in ipairs(statuses(tasks)) do
        assert.equal("cancelled", status)
      end
      assert.is_true(g:wait())
    end)
  end)

  it("holds for what is started until the next wait", function()
    local g = go.group()
    assert.is_true(g:cancel())
    local task = g:spawn(forever)
    assert.is_true(go.is_cancelled(select(2, task:join())))
    assert_cancelled(nil, wait(g))
    assert.same({ true, "runs" }, { g:spawn(function() go.sleep(0) return "runs" end):join() })
    assert.is_true(wait(g))
    g:cancel()
    assert_cancelled(nil, wait(g))
  end)

  it("counts though all have ended, and though they catch it", function()
    local g = go.group()
    g:spawn(id):join()
    g:spawn(function() pcall(forever) return "caught" end)
    g:cancel("x")
    assert_cancelled("x", wait(g))
    assert.same({ { true, n = 1 }, { true, "caught", n = 2 } }, g:results())
  end)

  it("after a failure changes nothing", function()
    local g = go.group()
    g:spawn(fail, "oops"):join()
    assert.is_false(g:cancel())
    assert.equal("oops", select(2, wait(g)))
  end)

  it("may be called by one of the group", function()
    local g = go.group()
    local task = g:spawn(function() g:cancel("mine") go.sleep(0) end)
    assert_cancelled("mine", wait(g))
    assert.equal("cancelled", task:status())
  end)

  it("leaves others alone", function()
    local g, gate = go.group(), go.chan()
    local other = go.spawn(function() return gate:recv() end)
    local sibling = go.group()
    sibling:spawn(function() return gate:recv() end)
    g:spawn(forever)
    g:cancel()
    assert_cancelled(nil, wait(g))
    gate:send(1)
    gate:send(1)
    assert.is_true((other:join()))
    assert.is_true(wait(sibling))
  end)
end)

describe("the limit of a group", function()
  it("is never exceeded, and is reached", function()
    helper.each_procs(PROCS, function(procs)
      for _, limit in ipairs({ 1, 3, 10 }) do
        local g = go.group({ limit = limit })
        local active, most = go.atomic(), 0
        local seen = go.chan(300)
        for _ = 1, 300 // procs do
          g:spawn(function()
            seen:send(active:add(1))
            go.yield()
            active:add(-1)
          end)
        end
        assert.is_true(wait(g))
        while #seen > 0 do
          most = math.max(most, (seen:recv()))
        end
        assert.equal(limit, most)
      end
    end)
  end)

  it("has spawn wait, in order of arrival", function()
    helper.each_procs(PROCS, function()
      local g, gate, order = go.group({ limit = 1 }), go.chan(), go.chan(10)
      g:spawn(function() gate:recv() end)
      local spawners = {}
      for i = 1, 5 do
        spawners[i] = helper.blocked(function()
          g:spawn(function() order:send(i) end)
        end)
      end
      assert.same({ nil, "timeout" }, { g:wait(0) })
      gate:close()
      for i = 1, 5 do
        assert.is_true((spawners[i]:join()))
        assert.equal(i, order:recv())
      end
      assert.is_true(wait(g))
    end)
  end)

  it("is kept when who waits for a place is cancelled", function()
    helper.each_procs(PROCS, function()
      local g, gate = go.group({ limit = 1 }), go.chan()
      g:spawn(function() gate:recv() end)
      local first = helper.blocked(function() g:spawn(id, { "not started" }) end)
      local second = helper.blocked(function() return g:spawn(id, "started"):join() end)
      first:cancel()
      assert.is_true(go.is_cancelled(select(2, first:join())))
      gate:close()
      assert.same({ true, true, "started" }, { second:join() })
      assert.is_true(wait(g))
      assert.equal(2, #g:results())
    end)
  end)

  it("counts exactly when spawners are cancelled as places become free", function()
    helper.each_procs(PROCS, function()
      local g, started = go.group({ limit = 2, on_error = "collect" }), go.atomic()
      local spawners = {}
      for i = 1, 200 do
        spawners[i] = go.spawn(function()
          g:spawn(function() started:add(1) go.yield() end)
          go.shield(started.add, started, 1000)
        end)
        if i % 3 == 0 then spawners[i - 1]:cancel() end
      end
      for i = 1, 200 do spawners[i]:join() end
      assert.is_true(wait(g))
      local count = started:load()
      assert.equal(count // 1000, count % 1000)
      assert.equal(count // 1000, #g:results())
      g:spawn(id) -- both places are there
      assert.is_true(wait(g))
    end)
  end)

  it("lets those through that a failure has freed the way for", function()
    local g = go.group({ limit = 2 })
    g:spawn(forever)
    local failing = go.chan()
    g:spawn(function() failing:recv() fail("oops") end)
    local spawner = helper.blocked(function() return g:spawn(forever):join() end)
    failing:close()
    local _, ok, err = spawner:join()
    assert.is_false(ok)
    assert.is_true(go.is_cancelled(err))
    assert.equal("oops", select(2, wait(g)))
  end)

  it("does not count what could not be sent", function()
    local g = go.group({ limit = 1 })
    for _ = 1, 3 do
      assert.has_error(function() g:spawn(id, coroutine.create(print)) end,
        "cannot send a coroutine (at argument #1)")
    end
    assert.is_true((g:spawn(id):join()))
    assert.is_true(wait(g))
    assert.equal(1, #g:results())
  end)
end)

describe("a group after its wait", function()
  it("begins anew, having forgotten failures and results", function()
    helper.each_procs(PROCS, function()
      local g = go.group()
      for round = 1, 5 do
        g:spawn(fail, round)
        local other = g:spawn(forever)
        assert.equal(round, select(2, wait(g)))
        assert.equal("cancelled", other:status())
        assert.equal(2, #g:results())
        g:spawn(function() go.sleep(0) return round end)
        assert.same({ { true, round, n = 2 } }, g:results())
        assert.is_true(wait(g))
      end
    end)
  end)

  it("keeps a failure until a wait has told it", function()
    local g = go.group()
    g:spawn(fail, "told"):join()
    assert.equal(1, #g:results())
    for _ in g:completed() do end
    assert.equal("told", select(2, g:wait()))
    assert.is_true(g:wait())
  end)

  it("goes on in the same round when the wait has timed out", function()
    local g, gate = go.group(), go.chan()
    g:spawn(function() gate:recv() return 1 end)
    g:wait(0)
    g:spawn(id, 2)
    gate:close()
    assert.is_true(wait(g))
    assert.same({ { true, 1, n = 2 }, { true, 2, n = 2 } }, g:results())
  end)
end)

describe("group:completed", function()
  it("gives the tasks in the order in which they end", function()
    helper.each_procs(PROCS, function()
      local g, gates = go.group(), {}
      for i = 1, 5 do
        gates[i] = go.chan()
        g:spawn(function() return gates[i]:recv() end)
      end
      local values = {}
      gates[3]:send(3)
      for task in g:completed() do
        values[#values + 1] = select(2, task:join())
        local next = ({ 5, 1, 4, 2 })[#values]
        if next then gates[next]:send(next) end
      end
      assert.same({ 3, 5, 1, 4, 2 }, values)
      assert.is_true(wait(g))
    end)
  end)

  it("gives each once, and goes on after a break, and after wait", function()
    local g, seen = go.group(), {}
    for i = 1, 4 do g:spawn(id, i) end
    for task in g:completed() do
      seen[task] = true
      break
    end
    assert.is_true(wait(g))
    local count = 1
    for task in g:completed() do
      assert.is_nil(seen[task])
      seen[task] = true
      count = count + 1
    end
    assert.equal(4, count)
    for _ in g:completed() do error("none is left") end
  end)

  it("shares them among several that take", function()
    helper.each_procs(PROCS, function()
      local g, sum = go.group(), go.atomic()
      local gate = go.chan()
      g:spawn(function() gate:recv() return 0 end)
      local takers = {}
      for i = 1, 3 do
        takers[i] = helper.blocked(function()
          for task in g:completed() do sum:add(select(2, task:join())) end
        end)
      end
      for i = 1, 50 do g:spawn(id, i) end
      gate:close()
      for i = 1, 3 do assert.is_true((takers[i]:join())) end
      assert.equal(1275, sum:load())
    end)
  end)

  it("gives those that are started meanwhile", function()
    local g, n = go.group(), 0
    g:spawn(id)
    for _ in g:completed() do
      n = n + 1
      if n < 10 then g:spawn(id) end
    end
    assert.equal(10, n)
  end)

  it("is a wait, which cancellation ends", function()
    local g, gate = go.group(), go.chan()
    g:spawn(function() gate:recv() end)
    local task = helper.blocked(function() for _ in g:completed() do end end)
    task:cancel()
    assert.is_true(go.is_cancelled(select(2, task:join())))
    gate:close()
    local n = 0
    for _ in g:completed() do n = n + 1 end
    assert.equal(1, n)
  end)
end)

describe("leaving the block of a group", function()
  it("waits for all", function()
    helper.each_procs(PROCS, function()
      local n = go.atomic()
      do
        local g <close> = go.group()
        for _ = 1, 20 do
          g:spawn(function() go.yield() n:add(1) end)
        end
      end
      assert.equal(20, n:load())
    end)
  end)

  it("by an error cancels first, and lets the error through", function()
    helper.each_procs(PROCS, function()
      local tasks = {}
      local ok, err = pcall(function()
        local g <close> = go.group()
        tasks[1] = g:spawn(forever)
        tasks[2] = g:spawn(function() while true do end end)
        fail("mine")
      end)
      assert.same({ false, "mine" }, { ok, err })
      assert.same({ "cancelled", "cancelled" }, statuses(tasks))
    end)
  end)

  it("raises nothing when a task has failed", function()
    local other
    do
      local g <close> = go.group()
      other = g:spawn(forever)
      assert.is_false((g:spawn(fail, "known"):join()))
    end
    assert.equal("cancelled", other:status())
  end)

  it("leaves the results, and how it went", function()
    local g = go.group()
    do
      local _ <close> = g
      g:spawn(id, 1)
      g:spawn(fail, "oops")
    end
    assert.equal(2, #g:results())
    assert.equal("oops", select(2, g:wait()))
    assert.is_true(g:wait())
    g = go.group()
    pcall(function()
      local _ <close> = g
      g:spawn(forever)
      error("x")
    end)
    assert_cancelled(nil, g:wait())
    assert.is_true(g:wait())
    assert.is_false(g:cancel())
  end)

  it("closes it: nobody is started afterwards", function()
    local g = go.group()
    local late = helper.blocked(function()
      go.sleep(0.002)
      return pcall(g.spawn, g, id)
    end)
    do
      local _ <close> = g
      g:spawn(id)
    end
    late:join()
    assert.has_error(function() g:spawn(id) end, "spawn in a closed group")
    do local _ <close> = g end -- once more does nothing
  end)

  it("waits for what is started by the tasks meanwhile", function()
    helper.each_procs(PROCS, function()
      local n = go.atomic()
      do
        local g <close> = go.group()
        local function again(i)
          n:add(1)
          if i > 0 then g:spawn(again, i - 1) end
        end
        g:spawn(again, 50)
      end
      assert.equal(51, n:load())
    end)
  end)

  it("by go.exit waits, too", function()
    helper.each_procs(PROCS, function()
      local gate, ch = go.chan(), go.chan(1)
      local task = helper.blocked(function()
        local g <close> = go.group()
        g:spawn(function() gate:recv() ch:send("ended") end)
        go.exit("result")
      end)
      assert.same({ nil, "timeout" }, { task:join(0.002) })
      gate:close()
      assert.same({ true, "result" }, { task:join() })
      assert.equal("ended", ch:recv(0))
    end)
  end)

  it("because the CPU limit is exceeded cancels them", function()
    local ended = go.chan(1)
    local task = go.spawn({ cpu_limit = 0.01 }, function()
      local g <close> = go.group()
      g:spawn(function()
        local _ <close> = closing(function() ended:send(true) end)
        forever()
      end)
      while true do pcall(function() while true do end end) end
    end)
    local ok, err = task:join(helper.within(20))
    assert.same({ false, "cpu limit exceeded" }, { ok, err })
    assert.is_true(ended:recv(0))
  end)

  it("in a coroutine that is closed waits, too", function()
    local n = go.atomic()
    local co = coroutine.create(function()
      local g <close> = go.group()
      g:spawn(function() go.yield() n:add(1) end)
      coroutine.yield()
    end)
    coroutine.resume(co)
    coroutine.close(co)
    assert.equal(1, n:load())
  end)

  it("is not struck by cancellation, and outlived by nobody", function()
    helper.each_procs(PROCS, function()
      for round = 1, 60 do
        local alive = go.atomic()
        local inside = go.chan()
        local task = go.spawn(function()
          local g <close> = go.group()
          for i = 1, 4 do
            g:spawn(function()
              alive:add(1)
              local _ <close> = closing(function()
                go.sleep(0.0002)
                alive:add(-1)
              end)
              if i == 1 then inside:close() end
              if i == 2 and round % 3 == 0 then while true do end end
              forever()
            end)
          end
          if round % 2 == 0 then g:wait() end
          forever()
        end)
        inside:recv()
        task:cancel()
        task:cancel()
        assert.is_true(go.is_cancelled(select(2, task:join())))
        assert.equal(0, alive:load())
      end
    end)
  end)

  it("waits although its goroutine is cancelled meanwhile", function()
    helper.each_procs(PROCS, function()
      local gate, done = go.chan(), go.chan(1)
      local task = helper.blocked(function()
        local g <close> = go.group()
        g:spawn(function() gate:recv() done:send(true) end)
      end)
      task:cancel()
      assert.same({ nil, "timeout" }, { task:join(0.002) })
      gate:close()
      assert.is_true((task:join()))
      assert.is_true(done:recv(0))
    end)
  end)
end)

describe("groups in groups", function()
  it("are cancelled with the outer one", function()
    helper.each_procs(PROCS, function()
      local outer, inner_ended = go.group(), go.atomic()
      local inside = go.chan()
      for _ = 1, 3 do
        outer:spawn(function()
          local inner <close> = go.group()
          for _ = 1, 3 do
            inner:spawn(function()
              local _ <close> = closing(function() inner_ended:add(1) end)
              inside:send(true)
              forever()
            end)
          end
          inner:wait()
        end)
      end
      for _ = 1, 9 do inside:recv() end
      outer:spawn(fail, "oops")
      assert.equal("oops", select(2, wait(outer)))
      assert.equal(9, inner_ended:load())
    end)
  end)

  it("fail the outer one by their error", function()
    local outer = go.group()
    local sibling = outer:spawn(forever)
    outer:spawn(function()
      local inner <close> = go.group()
      inner:spawn(fail, "deep")
      local ok, err = inner:wait()
      if not ok then error(err, 0) end
    end)
    assert.equal("deep", select(2, wait(outer)))
    assert.equal("cancelled", sibling:status())
  end)

  it("do not fail it when they are cancelled alone", function()
    local outer = go.group()
    local task = outer:spawn(function()
      local inner <close> = go.group()
      inner:spawn(forever)
      inner:cancel("inner")
      return select(2, inner:wait()).reason
    end)
    assert.is_true(wait(outer))
    assert.same({ true, "inner" }, { task:join() })
  end)
end)

describe("a group and scopes", function()
  it("with_timeout around it cancels its tasks", function()
    helper.each_procs(PROCS, function()
      local tasks = {}
      local result = { go.with_timeout(0.01, function()
        local g <close> = go.group()
        tasks[1] = g:spawn(forever)
        tasks[2] = g:spawn(function() while true do end end)
        g:wait()
      end) }
      assert.same({ nil, "timeout" }, result)
      assert.same({ "cancelled", "cancelled" }, statuses(tasks))
    end)
  end)

  it("with_timeout that ends in time leaves no deadline behind", function()
    local result = helper.lua([[
      local go = require("goroutines")
      go.with_timeout(3600, function()
        local g <close> = go.group()
        g:spawn(print, "ran")
      end)
      go.chan():recv()
    ]])
    assert.equal("ran\n", result.stdout)
    assert.matches("all goroutines are asleep %- deadlock!", result.stderr)
  end)

  it("its tasks are in the scope where it was made, not where they were started", function()
    local g = go.group()
    local task
    go.with_timeout(0.005, function()
      task = g:spawn(function() go.sleep(0.02) return "ran" end)
      forever()
    end)
    assert.same({ true, "ran" }, { task:join() })
    assert.is_true(wait(g))
    go.with_timeout(0.005, function() g = go.group() end)
    task = g:spawn(forever)
    assert.is_true(go.is_cancelled(select(2, task:join(helper.within(20)))))
    assert_cancelled(nil, wait(g))
  end)

  it("a timed wait in it does not cancel, one in with_timeout neither", function()
    local g, gate = go.group(), go.chan()
    g:spawn(function() return gate:recv() end)
    assert.same({ nil, "timeout" }, { go.with_timeout(0.002, g.wait, g) })
    gate:send("later")
    assert.same({ { true, "later", n = 2 } }, g:results())
    assert.is_true(wait(g))
  end)

  it("made and used in a handler of a cancelled goroutine works", function()
    local done = go.chan(1)
    local task = helper.blocked(function()
      go.with_timeout(3600, function()
        local _ <close> = closing(function()
          local g <close> = go.group()
          g:spawn(function() go.sleep(0.001) return "handled" end)
          done:send(g:results()[1][2])
        end)
        forever()
      end)
    end)
    task:cancel()
    task:join()
    assert.equal("handled", done:recv(0))
  end)

  it("spawn is a waiting call of a cancelled goroutine", function()
    local g = go.group()
    local task = helper.blocked(function()
      pcall(forever)
      local ok, err = pcall(g.spawn, g, id)
      local shielded = go.shield(function() return g:spawn(id, "shielded"):join() end)
      return ok, go.is_cancelled(err), shielded
    end)
    task:cancel()
    assert.same({ true, false, true, true }, { task:join() })
    assert.equal(1, #g:results())
  end)
end)

describe("failures in a group", function()
  local function stderr_of(script)
    local result = helper.lua('local go = require("goroutines")\n' .. script)
    assert.equal(0, result.code)
    return result.stderr
  end

  it("that wait has told are not reported", function()
    assert.equal("", stderr_of([[
      local g = go.group()
      g:spawn(error, "oops")
      assert(not g:wait())
      g = nil
      collectgarbage()
    ]]))
  end)

  it("that nobody was told are", function()
    local text = stderr_of([[
      do
        local g <close> = go.group{ on_error = "collect" }
        g:spawn({ name = "a" }, error, "one")
        g:spawn({ name = "b" }, error, "two")
        g:spawn({ name = "c" }, error, "three"):join()
      end
      collectgarbage()
      collectgarbage()
      io.stderr:write("before the end\n")
    ]])
    assert.matches('"a": one.*"b": two.*before the end\n$', text)
    assert.is_nil(text:find("three"))
  end)

  it("that completed or results have told are not, once they are joined", function()
    assert.equal("", stderr_of([[
      local g = go.group{ on_error = "collect" }
      for i = 1, 3 do g:spawn(error, i) end
      for task in g:completed() do task:join() end
      g:wait()
      g:spawn(error, 4)
      g:results()
    ]]))
  end)

  it("by cancellation are not", function()
    assert.equal("", stderr_of([[
      pcall(function()
        local g <close> = go.group()
        g:spawn(go.sleep, 3600)
        error("x")
      end)
    ]]))
  end)
end)

describe("a wait for a group that can never end", function()
  it("is told as a deadlock, with how many are alive", function()
    local result = helper.lua([[
      local go = require("goroutines")
      local g <close> = go.group({ limit = 2 })
      g:spawn(function() go.chan():recv() end)
      g:spawn(function() go.chan():recv() end)
      go(function() g:spawn(print) end)
      local ok, err = pcall(g.wait, g)
      print(ok, err)
      error("leave", 0)
    ]])
    assert.matches("all goroutines are asleep %- deadlock!", result.stdout)
    assert.matches("goroutine 1 %[group wait%]:\n\twaiting for group: %S+ %(2 alive%)",
      result.stderr)
    assert.matches("%[group spawn%]:\n\twaiting to spawn in group: %S+ %(2 of 2 alive%)",
      result.stderr)
  end)

  it("is shown by go.dump", function()
    local g, gate = go.group(), go.chan()
    g:spawn(function() gate:recv() end)
    local task = helper.blocked(function() g:wait() end)
    local path = os.tmpname()
    go.dump(path)
    local file <close> = assert(io.open(path))
    local text = file:read("a")
    os.remove(path)
    gate:close()
    assert.is_true((task:join()))
    assert.matches("waiting for " .. tostring(g):gsub("%p", "%%%0") .. " %(1 alive%)", text)
  end)
end)

describe("misuse of a group", function()
  local CASES = {
    { "bad argument #1 to 'group' (table expected, got number)", function() go.group(1) end },
    { "bad argument #1 to 'group' (unknown option 'limits')",
      function() go.group({ limits = 1 }) end },
    { "bad argument #1 to 'group' (unknown option '?')", function() go.group({ 1 }) end },
    { "bad argument #1 to 'group' (option 'limit': number expected, got string)",
      function() go.group({ limit = "1" }) end },
    { "bad argument #1 to 'group' (option 'limit': integer from 1 to 2147483647)",
      function() go.group({ limit = 0 }) end },
    { "bad argument #1 to 'group' (option 'limit': integer from 1 to 2147483647)",
      function() go.group({ limit = 1.5 }) end },
    { "bad argument #1 to 'group' (option 'limit': integer from 1 to 2147483647)",
      function() go.group({ limit = math.huge }) end },
    { "bad argument #1 to 'group' (option 'on_error': \"cancel\" or \"collect\" expected)",
      function() go.group({ on_error = "stop" }) end },
    { "bad argument #1 to 'group' (option 'on_error': \"cancel\" or \"collect\" expected)",
      function() go.group({ on_error = 1 }) end },
    { "too many arguments to 'group'", function() go.group({}, 1) end },
    { "bad argument #1 to 'spawn' (function expected, got no value)",
      function() go.group():spawn() end },
    { "bad argument #2 to 'spawn' (function expected, got string)",
      function() go.group():spawn({}, "f") end },
    { "bad argument #1 to 'spawn' (unknown option 'nam')",
      function() go.group():spawn({ nam = "x" }, print) end },
    { "calling 'spawn' on bad self", function() go.group().spawn(print) end },
    { "bad argument #1 to 'wait' (number expected, got string)",
      function() go.group():wait("x") end },
    { "bad argument #1 to 'wait'", function() go.group():wait(0 / 0) end },
    { "too many arguments to 'wait'", function() go.group():wait(1, 2) end },
    { "too many arguments to 'cancel'", function() go.group():cancel(1, 2) end },
    { "cannot send a coroutine", function() go.group():cancel(coroutine.create(print)) end },
    { "too many arguments to 'results'", function() go.group():results(1) end },
    { "too many arguments to 'completed'", function() go.group():completed(1) end },
  }

  it("is told", function()
    for _, case in ipairs(CASES) do
      local ok, err = pcall(case[2])
      assert.is_false(ok)
      assert.matches(case[1], err, 1, true)
    end
  end)
end)

describe("many groups at once", function()
  it("account for every task, with failures, limits and cancellations", function()
    local failures = go.chan(1) -- all but the first are dropped
    local _ <close> = helper.configure({ on_error = failures })
    helper.each_procs(PROCS, function()
      local begun, ended = go.atomic(), go.atomic()
      local function work(kind)
        begun:add(1)
        local _ <close> = closing(function() ended:add(1) end)
        if kind == 0 then fail("failed") end
        if kind == 1 then go.sleep(0.002) end
        if kind == 2 then for _ = 1, 5 do go.yield() end end
        if kind == 3 then while true do go.sleep(0.0005) go.self():cancel() end end
      end
      local tasks = {}
      for i = 1, 60 do
        tasks[i] = go.spawn(function()
          local g <close> = go.group({
            limit = i % 4 > 0 and i % 4 or nil,
            on_error = i % 5 == 0 and "collect" or "cancel",
          })
          for round = 1, 4 do
            for n = 1, 6 do g:spawn(work, (i + round + n) % 7) end
            if i % 7 == 0 then g:cancel() end
            if i % 3 == 0 then go.with_timeout(0.001, g.wait, g) end
            g:wait()
          end
        end)
        if i % 6 == 0 then tasks[i]:cancel() end
      end
      for i = 1, 60 do
        local ok, err = tasks[i]:join(helper.within(20))
        assert.is_true(ok or go.is_cancelled(err), tostring(err))
      end
      assert.equal(begun:load(), ended:load())
    end)
  end)
end)
