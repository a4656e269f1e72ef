-- Groups: tasks that are waited for together.

local go = require("goroutines")
local helper = require("spec.helper")
local groups = require("spec.groups")

local forever, fail, id = helper.forever, helper.fail, helper.id
local PROCS, wait, assert_cancelled = groups.PROCS, groups.wait, groups.assert_cancelled

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
      local computes = g:spawn(function() while true do go.yield() end end)
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

  it("cancels one that computes as well", function()
    helper.each_procs(PROCS, function()
      local g = go.group()
      local task = g:spawn(function() while true do end end)
      g:spawn(fail, "oops")
      assert.equal("oops", select(2, wait(g)))
      assert.equal("cancelled", task:status())
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
    seen[g:completed()()] = true
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
