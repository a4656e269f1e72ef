-- Groups that are to be closed: what has ended when their block is left.

local go = require("goroutines")
local helper = require("spec.helper")
local groups = require("spec.groups")

local closing, forever, fail, id = helper.closing, helper.forever, helper.fail, helper.id
local PROCS, assert_cancelled, statuses = groups.PROCS, groups.assert_cancelled, groups.statuses

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
        tasks[2] = g:spawn(function() while true do go.yield() end end)
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
    local late = helper.blocked_shortly(function()
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

  it("because of the CPU limit of one that computes cancels them", function()
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
              if i == 2 and round % 3 == 0 then while true do go.yield() end end
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
