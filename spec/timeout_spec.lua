-- Deadlines: go.with_timeout, and the option timeout of go.spawn.

local go = require("goroutines")
local helper = require("spec.helper")

local closing = helper.closing

describe("go.with_timeout", function()
  it("gives the results of what ends in time", function()
    assert.same({ true }, { go.with_timeout(1, function() end) })
    assert.equal(4, select("#", go.with_timeout(1, function() return 1, nil, nil end)))
    assert.same({ true, 3 }, { go.with_timeout(math.huge, function(a, b) return a + b end, 1, 2) })
  end)

  it("ends what waits", function()
    local start = go.now()
    assert.same({ nil, "timeout" }, { go.with_timeout(0.02, go.sleep, 3600) })
    local took = go.now() - start
    assert.is_true(took >= 0.02 and took < helper.within(1), took)
  end)

  it("ends one that computes", function()
    assert.same({ nil, "timeout" },
      { go.with_timeout(0.02, function() while true do end end) })
  end)

  it("polls with 0, and takes a negative time for 0", function()
    for _, s in ipairs({ 0, -1, -math.huge }) do
      assert.same({ nil, "timeout" }, { go.with_timeout(s, go.yield) })
      assert.same({ true, 1 }, { go.with_timeout(s, function() return 1 end) })
    end
  end)

  it("raises errors unchanged, also timeouts and cancellations of others", function()
    local err = setmetatable({}, { __tostring = function() return "e" end })
    local ok, got = pcall(go.with_timeout, 1, error, err)
    assert.is_false(ok)
    assert.equal(err, got)
    local _, other = go.spawn({ timeout = 0.001 }, go.sleep, 3600):join()
    ok, got = pcall(go.with_timeout, 1, error, other)
    assert.is_false(ok)
    assert.equal(other, got)
    assert.same({ true, nil, "timeout" },
      { go.with_timeout(1, function() return go.chan():recv(0.001) end) })
  end)

  it("gives the results of what catches the error and returns", function()
    assert.same({ true, false, true }, { go.with_timeout(0.005, function()
      local ok, err = pcall(go.sleep, 3600)
      return ok, go.is_cancelled(err)
    end) })
    go.sleep(0) -- and is over then
  end)

  it("may be nested: the first that ends counts", function()
    assert.same({ nil, "timeout" }, { go.with_timeout(0.01, function()
      return go.with_timeout(100, go.sleep, 3600)
    end) })
    assert.same({ true, nil, "timeout" }, { go.with_timeout(100, function()
      return go.with_timeout(0.01, go.sleep, 3600)
    end) })
    assert.same({ nil, "timeout" }, { go.with_timeout(0.01, function()
      go.with_timeout(0.001, go.sleep, 3600)
      go.sleep(3600)
    end) })
    local ok = go.with_timeout(0.01, function()
      return go.with_timeout(0.02, pcall, go.sleep, 3600)
    end)
    assert.is_true(ok)
  end)

  it("reaches what was started in it, and that in turn", function()
    local done = go.chan(3)
    local function tell(name)
      return closing(function(_, err) done:send({ name, go.is_cancelled(err) }) end)
    end
    local result = { go.with_timeout(0.02, function()
      go(function()
        local _ <close> = tell("child")
        go(function()
          local _ <close> = tell("grandchild")
          while true do go.yield() end
        end)
        go.sleep(3600)
      end)
      go.waitgroup():go(function()
        local _ <close> = tell("of a wait group")
        go.sleep(3600)
      end)
      return "left at once"
    end) }
    assert.same({ true, "left at once" }, result)
    local names = {}
    for _ = 1, 3 do
      local name, is = table.unpack(done:recv(helper.within(5)))
      names[name] = is
    end
    assert.same({ child = true, grandchild = true, ["of a wait group"] = true }, names)
  end)

  it("reaches nobody outside", function()
    local task = go.spawn(function() go.sleep(0.03) return "ran" end)
    go.with_timeout(0.005, go.sleep, 3600)
    local after = go.spawn(function() go.sleep(0.01) return "ran" end)
    assert.same({ true, "ran" }, { task:join() })
    assert.same({ true, "ran" }, { after:join() })
  end)

  it("does not outlive go.exit in it", function()
    for _ = 1, 10 do
      go.spawn(function()
        go.with_timeout(3600, function() go.with_timeout(3600, go.exit) end)
      end):join()
    end
    collectgarbage()
  end)

  it("refuses a yield out of it", function()
    local ok, err = coroutine.resume(coroutine.create(function()
      return pcall(go.with_timeout, 1, coroutine.yield)
    end))
    assert.is_true(ok)
    assert.is_false(err)
  end)

  it("checks its arguments", function()
    for _, case in ipairs({
      { { "x", print }, "bad argument #1 to 'with_timeout' (number expected, got string)" },
      { { 1 }, "bad argument #2 to 'with_timeout'" },
      { { 1, 2 }, "bad argument #2 to 'with_timeout'" },
      { { 0 / 0, print }, "bad argument #1 to 'with_timeout'" },
      { {}, "bad argument #1 to 'with_timeout'" },
    }) do
      local ok, err = pcall(go.with_timeout, table.unpack(case[1]))
      assert.is_false(ok)
      assert.equal(case[2], err:sub(1, #case[2]))
    end
    assert.is_false((pcall(go.shield)))
    assert.is_false((pcall(go.is_cancelled)))
    assert.is_false(go.is_cancelled(nil))
    assert.is_false(go.is_cancelled("cancelled"))
  end)
end)

describe("the option timeout of go.spawn", function()
  it("cancels the goroutine and what it has started", function()
    local done = go.chan(1)
    local task = go.spawn({ timeout = 0.01 }, function()
      go(function()
        local _ <close> = closing(function() done:send("child") end)
        go.sleep(3600)
      end)
      go.sleep(3600)
    end)
    local ok, err = task:join(helper.within(5))
    assert.equal(false, ok)
    assert.is_true(go.is_cancelled(err))
    assert.equal("child", done:recv(helper.within(5)))
  end)

  it("does nothing to what ends in time", function()
    for _, none in ipairs({ 0, -1 }) do
      local ok, err = go.spawn({ timeout = none }, go.sleep, 3600):join()
      assert.is_false(ok)
      assert.is_true(go.is_cancelled(err))
    end
    assert.same({ true, 1 }, { go.spawn({ timeout = 100 }, function() return 1 end):join() })
  end)
end)
