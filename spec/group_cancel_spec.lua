-- Groups: what cancels their tasks, and what does not.

local go = require("goroutines")
local helper = require("spec.helper")
local groups = require("spec.groups")

local closing, forever, fail, id = helper.closing, helper.forever, helper.fail, helper.id
local PROCS, wait = groups.PROCS, groups.wait
local assert_cancelled, statuses = groups.assert_cancelled, groups.statuses

describe("group:cancel", function()
  it("cancels all, and wait tells so", function()
    helper.each_procs(PROCS, function()
      local g, tasks = go.group(), {}
      for i = 1, 10 do
        tasks[i] = g:spawn(i % 2 == 0 and forever or function() while true do go.yield() end end)
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
        tasks[2] = g:spawn(function() while true do go.yield() end end)
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
      -- One that has woken main may still hold its own task for a moment.
      while go.stats().messages > 0 do go.sleep(0.001) end
      io.stderr:write("before the end\n")
    ]])
    for _, told in ipairs({ '"a": one', '"b": two' }) do -- either may be first
      assert.matches(told .. ".*before the end\n$", text)
    end
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
