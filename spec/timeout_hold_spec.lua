-- Where cancellation is held back, and what strikes there nevertheless: a
-- deadline that was set in there.

local go = require("goroutines")
local helper = require("spec.helper")

local closing, forever = helper.closing, helper.forever

-- What `go.with_timeout` gives whose deadline passes while `f` waits.
local function times_out(f)
  local result = table.pack(go.with_timeout(0.005, f or forever))
  return result.n == 2 and result[1] == nil and result[2] == "timeout"
end

-- Ways of running `f` where cancellation of the goroutine is held back.
local PLACES = {
  ["in a handler at the end of a block"] = function(f)
    local _ <close> = closing(f)
  end,
  ["in a handler of an error"] = function(f)
    pcall(function()
      local _ <close> = closing(f)
      error("any")
    end)
  end,
  ["in a handler, in a coroutine"] = function(f)
    local _ <close> = closing(function() coroutine.wrap(f)() end)
  end,
  ["in a handler of a coroutine"] = function(f)
    coroutine.wrap(function()
      local _ <close> = closing(f)
    end)()
  end,
  ["in coroutine.close"] = function(f)
    local co = coroutine.create(function()
      local _ <close> = closing(f)
      coroutine.yield()
    end)
    coroutine.resume(co)
    coroutine.close(co)
  end,
  ["in a finalizer"] = function(f)
    setmetatable({}, { __gc = f })
    collectgarbage()
  end,
  ["in go.shield"] = go.shield,
  ["in go.shield, in a coroutine"] = function(f)
    go.shield(function() coroutine.wrap(f)() end)
  end,
  ["in a coroutine, in go.shield"] = function(f)
    coroutine.wrap(function() go.shield(f) end)()
  end,
}

describe("go.with_timeout where cancellation is held back", function()
  for name, place in pairs(PLACES) do
    it("times out " .. name, function()
      local is
      place(function() is = times_out() end)
      assert.is_true(is)
    end)

    it("times out in a goroutine that is cancelled, " .. name, function()
      local task = helper.blocked(function(run, test)
        local caught = select(2, pcall(go.sleep, 3600))
        local is, after
        run(function()
          is = test()
          go.sleep(0.001) -- what is held back goes on to be
          after = true
        end)
        return go.is_cancelled(caught), is, after
      end, place, times_out)
      task:cancel("outer")
      assert.same({ true, true, true, true }, { task:join(helper.within(5)) })
    end)

    it("times out while the goroutine is cancelled, " .. name, function()
      local inside = go.chan()
      local task = go.spawn(function(run, test)
        local is
        local ok, err = pcall(function()
          run(function()
            is = test(function()
              inside:send(true)
              go.sleep(3600)
            end)
          end)
          go.sleep(3600)
        end)
        return is, ok, go.is_cancelled(err) and err.reason
      end, place, times_out)
      inside:recv()
      task:cancel("outer")
      assert.same({ true, true, false, "outer" }, { task:join(helper.within(5)) })
    end)
  end

  it("ends one that computes", function()
    local is
    do
      local _ <close> = closing(function()
        is = times_out(function() while true do end end)
      end)
    end
    assert.is_true(is)
  end)

  it("polls with 0", function()
    local result
    do
      local _ <close> = closing(function() result = { go.with_timeout(0, go.yield) } end)
    end
    assert.same({ nil, "timeout" }, result)
  end)

  it("goes by the innermost: shield in timeout in shield in timeout", function()
    local seen = {}
    local outer = table.pack(go.with_timeout(0.005, function()
      go.shield(function()
        seen[1] = table.pack(go.with_timeout(0.02, function()
          go.shield(function()
            go.sleep(0.03) -- both are over
            seen[2] = { go.with_timeout(0.005, go.sleep, 3600) }
            go.sleep(0.001)
          end)
          seen[3] = "not struck"
          go.sleep(3600)
        end))
        go.sleep(0.001)
        seen[4] = "the outer one is held back"
      end)
      go.sleep(3600)
    end))
    assert.same({ nil, "timeout", n = 2 }, outer)
    assert.same({ nil, "timeout", n = 2 }, seen[1])
    assert.same({ nil, "timeout" }, seen[2])
    assert.equal("not struck", seen[3])
    assert.equal("the outer one is held back", seen[4])
  end)

  it("has its own handlers wait, and goes on after the outer one", function()
    local task = helper.blocked(function()
      local out = {}
      pcall(function()
        local _ <close> = closing(function()
          local _, err = go.with_timeout(0.005, function()
            local _ <close> = closing(function(_, err)
              go.sleep(0.002)
              out[#out + 1] = go.is_cancelled(err)
            end)
            go.sleep(3600)
          end)
          out[#out + 1] = err
          go.sleep(0.002)
          out[#out + 1] = "outer"
        end)
        go.sleep(3600)
      end)
      return out
    end)
    task:cancel()
    assert.same({ true, { true, "timeout", "outer" } }, { task:join(helper.within(5)) })
  end)

  it("tells its own error from those of others", function()
    local task = helper.blocked(function()
      local own, others, reasons = nil, nil, {}
      pcall(function()
        local _ <close> = closing(function(_, outer)
          go.with_timeout(0.005, function()
            local _, err = pcall(go.sleep, 3600)
            own, others = err ~= outer, outer.reason
            reasons[1] = err.reason
            error(err, 0)
          end)
          -- raised inside, the outer one passes through
          local ok, err = pcall(go.with_timeout, 1, error, outer)
          reasons[2] = not ok and err.reason
        end)
        go.sleep(3600)
      end)
      return own, others, reasons[1], reasons[2]
    end)
    task:cancel("outer")
    assert.same({ true, true, "outer", nil, "outer" }, { task:join(helper.within(5)) })
  end)

  it("ends what was started in it, and not what was started outside", function()
    local task = helper.blocked(function()
      local states = {}
      pcall(function()
        local _ <close> = closing(function()
          local outside = go.spawn(go.sleep, 0.02)
          local inside
          go.with_timeout(0.005, function()
            inside = go.spawn(go.sleep, 3600)
            go.sleep(3600)
          end)
          states[1], states[2] = inside:join()
          states[3] = outside:join()
        end)
        go.sleep(3600)
      end)
      return states[1], go.is_cancelled(states[2]), states[3]
    end)
    task:cancel("outer")
    assert.same({ true, false, true, true }, { task:join(helper.within(5)) })
  end)

  it("starts cancelled what is started when it is over", function()
    local task = helper.blocked(function()
      pcall(go.sleep, 3600)
      local ok
      go.shield(go.with_timeout, 0, function()
        local child, g = go.spawn(go.sleep, 3600), go.group()
        local _ <close> = closing(function()
          ok = { child:join(), g:wait() }
        end)
        pcall(go.sleep, 0)
        pcall(g.spawn, g, go.sleep, 3600)
      end)
      return ok[1], ok[2]
    end)
    task:cancel("outer")
    local ok, child, group = task:join(helper.within(5))
    assert.same({ true, false, nil }, { ok, child, group })
  end)

  it("ends the tasks of a group that is made in it", function()
    local result = table.pack(go.with_timeout(0.005, function()
      local inner
      go.shield(function()
        go.sleep(0.01) -- the outer one is over
        inner = { go.with_timeout(0.005, function()
          local g <close> = go.group()
          g:spawn(go.sleep, 3600)
          go.sleep(3600)
        end) }
      end)
      return table.unpack(inner)
    end))
    assert.same({ true, nil, "timeout", n = 3 }, result)
  end)

  it("works in handlers that go.exit and the end run", function()
    local done = go.chan(4)
    local task = helper.blocked(function(test)
      kept = setmetatable({}, { __gc = function() done:send(test()) end }) -- luacheck: ignore
      pcall(go.sleep, 3600)
      local _ <close> = closing(function() done:send(test()) end)
      coroutine.wrap(function()
        go.with_timeout(100, function()
          local _ <close> = closing(function() done:send(test()) end)
          go.shield(go.exit)
        end)
      end)()
    end, times_out)
    task:cancel()
    task:join(helper.within(5))
    assert.same({ true, true, true }, { done:recv(), done:recv(), (done:recv()) })
  end)
end)

describe("a wait that ignores a cancellation", function()
  it("hears of a later one that may strike", function()
    helper.each_procs({ 1, 2 }, function()
      for _ = 1, 50 do
        local task = helper.blocked_shortly(function()
          pcall(go.sleep, 3600)
          return select(2, go.shield(go.with_timeout, 0.0005, function()
            local ch = go.chan()
            while true do ch:recv(0.0001) end
          end))
        end)
        task:cancel(1)
        for i = 1, 20 do task:cancel(i) end
        assert.same({ true, "timeout" }, { task:join(helper.within(5)) })
      end
    end)
  end)

  it("in cond:wait, which locks again first", function()
    local mutex = go.mutex()
    local cond = go.cond(mutex)
    mutex:lock()
    local task = go.spawn(function()
      return select(2, go.with_timeout(0.01, function()
        mutex:lock()
        local _ <close> = closing(function() mutex:unlock() end)
        while true do cond:wait() end
      end))
    end)
    mutex:unlock()
    task:cancel("outer")
    local ok, err = task:join(helper.within(5))
    assert.is_false(ok)
    assert.equal("outer", err.reason)
    assert.is_true(mutex:try_lock())
    mutex:unlock()
  end)
end)
