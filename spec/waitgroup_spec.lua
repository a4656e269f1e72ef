local go = require("goroutines")
local helper = require("spec.helper")

local blocked = helper.blocked

local function wait(wg, timeout)
  return wg:wait(timeout)
end

describe("a wait group", function()
  it("is waited for until it is done", function()
    local wg = go.waitgroup(2)
    local task = blocked(wait, wg)
    wg:done()
    assert.same({ nil, "timeout" }, { task:join(0.01) })
    wg:done()
    assert.same({ true, true }, { task:join() })
    assert.is_true(wg:wait())
  end)

  it("is done from the beginning when nothing was added", function()
    assert.is_true(go.waitgroup():wait())
    assert.is_true(go.waitgroup(0):wait(0))
    local wg = go.waitgroup()
    wg:add(0)
    assert.is_true(wg:wait(0))
  end)

  it("has goroutines meet twice, again and again", function()
    helper.each_procs({ 1, 2, 4 }, function()
      local first, second = go.waitgroup(), go.waitgroup()
      for _ = 1, 8 do
        local n, exited = 16, go.chan(16)
        first:add(n)
        second:add(n)
        for _ = 1, n do
          go(function()
            first:done()
            second:wait()
            exited:send(true)
          end)
        end
        first:wait()
        for _ = 1, n do
          assert.equal(0, #exited)
          second:done()
        end
        for _ = 1, n do
          exited:recv()
        end
      end
    end)
  end)

  it("never lets go before both have done", function()
    for _ = 1, 300 do
      local wg, n = go.waitgroup(), go.atomic()
      wg:add(1)
      go(function()
        n:add(1)
        wg:done()
      end)
      wg:add(1)
      go(function()
        n:add(1)
        wg:done()
      end)
      wg:wait()
      assert.equal(2, n:load())
    end
  end)

  it("refuses a negative count, and stays what it was", function()
    local wg = go.waitgroup()
    assert.has_error(function() wg:done() end,
      "negative count of a waitgroup")
    wg:add(2)
    local ok, message = pcall(wg.add, wg, -3)
    assert.is_false(ok)
    assert.equal("negative count of a waitgroup", message)
    wg:add(-2)
    assert.is_true(wg:wait(0))
  end)

  it("refuses too high a count", function()
    local wg = go.waitgroup(2147483647)
    local ok, message = pcall(wg.add, wg, 1)
    assert.is_false(ok)
    assert.matches("too high a count", message)
    assert.is_false((pcall(wg.go, wg, print)))
    wg:add(-2147483647)
    assert.is_true(wg:wait(0))
  end)

  it("has time limits, and can be waited for again", function()
    local wg = go.waitgroup(1)
    for _, timeout in ipairs({ 0, -1, 0.002 }) do
      assert.same({ nil, "timeout" }, { wg:wait(timeout) })
    end
    wg:done()
    assert.is_true(wg:wait(0.001))
  end)

  it("wakes all that wait, and none that come for the next round", function()
    local wg, tasks = go.waitgroup(1), {}
    for i = 1, 20 do
      tasks[i] = blocked(wait, wg)
    end
    wg:done()
    for i = 1, 20 do
      assert.same({ true, true }, { tasks[i]:join() })
    end
    wg:add(1)
    assert.same({ nil, "timeout" }, { wg:wait(0.001) })
    wg:done()
  end)

  it("can be added to while somebody waits", function()
    local wg = go.waitgroup(1)
    local task = blocked(wait, wg)
    wg:add(1)
    wg:done()
    assert.same({ nil, "timeout" }, { task:join(0.005) })
    wg:done()
    assert.is_true(task:join())
  end)

  it("is one and the same in all goroutines", function()
    local wg = go.waitgroup()
    local _, text = go.spawn(tostring, wg):join()
    assert.equal(tostring(wg), text)
    assert.matches("^waitgroup: 0x", text)
  end)
end)

describe("waitgroup:go", function()
  it("starts goroutines that count until they have ended", function()
    local wg, n = go.waitgroup(), go.atomic()
    for i = 1, 50 do
      assert.equal(0, select("#", wg:go(function(k)
        go.yield()
        n:add(k)
      end, i)))
    end
    assert.is_true(wg:wait())
    assert.equal(1275, n:load())
  end)

  it("counts down however they end", function()
    local errors = go.chan(9)
    local _ <close> = helper.configure({ on_error = errors })
    local wg = go.waitgroup()
    wg:go(error, "oops")
    wg:go(go.exit)
    wg:go(function() end)
    wg:go(function()
      local _ <close> = setmetatable({}, { __close = function() go.sleep(0.01) end })
      go.exit()
    end)
    assert.is_true(wg:wait(5))
    assert.equal("oops", errors:recv(1).err)
    assert.equal(0, #errors)
  end)

  it("counts down when the function cannot be rebuilt", function()
    local errors = go.chan(9)
    local _ <close> = helper.configure({ on_error = errors })
    local wg = go.waitgroup()
    local bad = setmetatable({}, {
      __transfer = function() return error, "not here" end,
    })
    wg:go(print, bad)
    assert.is_true(wg:wait(5))
    assert.matches("not here", errors:recv(1).err)
  end)

  it("brings globals along, as go does", function()
    assert.equal("2\n", helper.output([[
      local go = require("goroutines")
      local wg = go.waitgroup()
      function double(n) return 2 * n end
      wg:go(function(n) print(double(n)) end, 1)
      wg:wait()
    ]]))
  end)

  it("starts nothing when something cannot be sent", function()
    local wg = go.waitgroup()
    local ok, message = pcall(wg.go, wg, print, coroutine.create(print))
    assert.is_false(ok)
    assert.matches("cannot send a coroutine", message)
    assert.is_true(wg:wait(0))
  end)

  it("reports one that was counted down before", function()
    local result = helper.lua([[
      local go = require("goroutines")
      local wg, gate = go.waitgroup(), go.chan()
      wg:go(function() gate:recv() end)
      wg:done()
      print(wg:wait())
      gate:close()
      go.sleep(0.05)
    ]])
    assert.equal("true\n", result.stdout)
    assert.matches("negative count of a waitgroup", result.stderr)
  end)
end)
