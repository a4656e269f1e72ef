local go = require("goroutines")
local helper = require("spec.helper")

-- Something that depends on how busy the machine is has to hold once in five.
local function holds_once_in_five(f)
  for _ = 1, 5 do
    if f() then
      return true
    end
  end
  return false
end

local function seconds(f, ...)
  local start = go.now()
  f(...)
  return go.now() - start
end

describe("go.now", function()
  it("is a float that never goes back", function()
    local last = go.now()
    assert.equal("float", math.type(last))
    for _ = 1, 10000 do
      local now = go.now()
      assert.is_true(now >= last)
      last = now
    end
  end)

  it("counts seconds, the same in all goroutines", function()
    local before = go.now()
    local _, now = go.spawn(go.now):join()
    assert.is_true(before <= now and now <= go.now())
    local real = os.time()
    go.sleep(1.1)
    assert.is_true(math.abs(os.time() - real - (go.now() - before)) < 1.5)
  end)
end)

describe("go.sleep", function()
  it("never ends early", function()
    helper.each_procs({ 1, 2 }, function()
      for _, duration in ipairs({ 0, 1e-6, 1e-3, 0.0025, 0.02, 0.1 }) do
        assert.is_true(seconds(go.sleep, duration) >= duration)
      end
    end)
  end)

  it("is not much too long", function()
    assert.is_true(holds_once_in_five(function()
      return seconds(go.sleep, 0.02) < 0.03
    end))
  end)

  it("of nothing, or less, is over at once", function()
    for _, duration in ipairs({ 0, -0.0, -1, -1e300, -math.huge }) do
      assert.is_true(seconds(go.sleep, duration) < helper.within(0.5))
    end
    local task = go.spawn(function()
      for _ = 1, 10000 do
        go.sleep(0)
      end
    end)
    assert.is_true(task:join())
  end)

  it("of an age neither ends nor harms others", function()
    local output = helper.output([[
      local go = require("goroutines")
      for _, age in ipairs({ 1e9, 1e12, 2^53, 2^63, 1e300, math.huge }) do
        go(function()
          go.sleep(age)
          print("woke after", age)
        end)
      end
      go.sleep(0.02)
      print("main")
    ]])
    assert.equal("main\n", output)
  end)

  it("ends in the order of the deadlines", function()
    local slots = { 5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0 }
    local function in_order()
      local out = go.chan(#slots)
      for _, slot in ipairs(slots) do
        go(function()
          go.sleep(slot * 0.01)
          out:send(slot)
        end)
      end
      local last, ordered = -1, true
      for _ = 1, #slots do
        local slot = out:recv()
        ordered, last = ordered and slot >= last, slot
      end
      return ordered
    end
    assert.is_true(holds_once_in_five(in_order))
  end)
end)

describe("go.after", function()
  it("gives the time once, and not before it", function()
    local start = go.now()
    local ch = go.after(0.02)
    assert.same({ nil, "timeout" }, { ch:recv(0) })
    local now = ch:recv()
    assert.is_true(now - start >= 0.02)
    assert.is_true(now <= go.now())
    assert.same({ nil, "timeout" }, { ch:recv(0.005) })
  end)

  it("takes about as long as it says, ten times over", function()
    assert.is_true(holds_once_in_five(function()
      local n, delta = 10, 0.01
      local took = seconds(function()
        for _ = 1, n do
          go.after(delta):recv()
        end
      end)
      assert.is_true(took >= n * delta)
      return took <= n * delta * 1.5
    end))
  end)

  it("of nothing gives it soon, every time", function()
    helper.each_procs({ 1, 2 }, function()
      for _ = 1, 5000 do
        assert.is_number(go.after(0):recv())
      end
    end)
  end)

  it("leaves no timer behind when nobody holds its channel", function()
    local before = helper.baseline()
    for _ = 1, 1000 do
      go.after(3600)
    end
    helper.check_baseline(before)
  end)

  it("goes to whoever has the channel", function()
    local ch = go.after(0.005)
    local task = go.spawn(function() return ch:recv() end)
    local ok, now = task:join()
    assert.is_true(ok)
    assert.is_number(now)
  end)
end)

describe("go.timer", function()
  it("calls the function with its arguments in a new goroutine", function()
    local out, start = go.chan(), go.now()
    go.timer(0.01, function(ch, ...)
      ch:send({ select("#", ...), go.self().id, ... })
    end, out, "a", nil)
    local result = out:recv()
    assert.is_true(go.now() - start >= 0.01)
    assert.equal(2, result[1])
    assert.not_equal(go.self().id, result[2])
    assert.equal("a", result[3])
  end)

  it("may arm the next one itself", function()
    local out = go.chan()
    local function count_down(n)
      if n == 0 then
        out:send("zero")
      else
        go.timer(0.001, count_down, n - 1)
      end
    end
    go.timer(0, count_down, 10)
    assert.equal("zero", out:recv())
  end)

  it("does not run once it was stopped", function()
    local out = go.chan(1)
    local timer = go.timer(0.01, function() out:send("ran") end)
    assert.is_true(timer:stop())
    assert.is_false(timer:stop())
    assert.same({ nil, "timeout" }, { out:recv(0.03) })
  end)

  it("of many, stopped while they run out, runs or was stopped", function()
    local ran, stopped, timers = go.chan(200), 0, {}
    for i = 1, 200 do
      timers[i] = go.timer(i * 1e-4, function() ran:send(i) end)
    end
    go.sleep(0.01)
    for i = 1, 200 do
      stopped = stopped + (timers[i]:stop() and 1 or 0)
    end
    helper.wait_until(function() return #ran + stopped == 200 end)
    go.sleep(0.03)
    assert.equal(200, #ran + stopped)
    assert.is_true(stopped > 0 and #ran > 0)
  end)

  it("leaves nothing behind once it was stopped, of tens of thousands", function()
    local before = go.stats().timers
    local timers, ch = {}, go.chan()
    for i = 1, 20000 do
      timers[i] = go.timer(3600 + i, function() ch:send(i) end)
    end
    for i = 1, 20000 do
      assert(timers[i]:stop())
    end
    timers = nil
    collectgarbage()
    collectgarbage()
    assert.equal(before, go.stats().timers)
    assert.is_nil(timers)
    assert.same({ nil, "timeout" }, { ch:recv(0) })
  end)

  it("is not pending any more once it has run", function()
    local out = go.chan()
    local timer = go.timer(0, function() out:send("ran") end)
    assert.equal("ran", out:recv())
    assert.is_false(timer:stop())
  end)

  it("runs at its new time, and again, after a reset", function()
    local out, start = go.chan(2), go.now()
    local timer = go.timer(3600, function() out:send(go.now()) end)
    assert.is_true(timer:reset(0.01))
    assert.is_true(out:recv() - start >= 0.01)
    assert.is_false(timer:reset(0.01))
    assert.is_true(out:recv() - start >= 0.02)
    assert.is_false(timer:stop())
  end)

  it("is put off by a reset", function()
    local out, start = go.chan(1), go.now()
    local timer = go.timer(0.01, function() out:send(go.now()) end)
    timer:reset(0.05)
    assert.is_true(out:recv() - start >= 0.05)
    assert.same({ nil, "timeout" }, { out:recv(0.02) })
  end)

  it("survives being moved to and fro", function()
    local out = go.chan(1)
    for _ = 1, 10 do
      local timer = go.timer(0.05, function() out:send("ran") end)
      timer:stop()
      timer:reset(3600)
      timer:reset(-1)
      assert.equal("ran", out:recv())
    end
  end)

  it("has run or was stopped, one of the two", function()
    local out, timers, n, stopped = go.chan(), {}, 100, 0
    for i = 1, n do
      timers[i] = go.timer(i * 1e-4, function() out:send(i) end)
    end
    for i = n, 1, -1 do
      stopped = stopped + (timers[i]:stop() and 1 or 0)
    end
    for _ = 1, n - stopped do
      out:recv()
    end
    assert.same({ nil, "timeout" }, { out:recv(0.02) })
  end)

  it("runs also when nobody holds it", function()
    local out = go.chan()
    go.timer(0.005, function() out:send("ran") end)
    collectgarbage()
    collectgarbage()
    assert.equal("ran", out:recv())
  end)

  it("is told to stop from any goroutine", function()
    local timer = go.timer(3600, print)
    assert.same({ true, true }, { go.spawn(timer.stop, timer):join() })
    assert.is_false(timer:stop())
  end)

  it("loses no sleeper while others move", function()
    local timers, sleepers = {}, {}
    for i = 1, 100 do
      timers[i] = go.timer(0.01 + math.random() * 0.05, function() end)
      sleepers[i] = go.spawn(function()
        return seconds(go.sleep, 0.01 + i * 1e-4) >= 0.01 + i * 1e-4
      end)
    end
    for _ = 1, 500 do
      timers[math.random(100)]:reset(math.random() * 0.05)
      go.yield()
    end
    for i = 1, 100 do
      assert.same({ true, true }, { sleepers[i]:join() })
      timers[i]:stop()
    end
  end)
end)

describe("go.ticker", function()
  -- Seconds that `n` ticks take.
  local function ticks(ticker, n)
    return seconds(function()
      for _ = 1, n do
        ticker:recv()
      end
    end)
  end

  it("gives the time at its period", function()
    assert.is_true(holds_once_in_five(function()
      local ticker = go.ticker(0.01)
      local took = ticks(ticker, 10)
      ticker:stop()
      return took >= 0.09 and took < 0.13
    end))
  end)

  it("goes on at the new period after a reset", function()
    assert.is_true(holds_once_in_five(function()
      local ticker = go.ticker(0.005)
      local took = ticks(ticker, 5)
      ticker:reset(0.02)
      took = took + ticks(ticker, 5)
      ticker:stop()
      return took >= 0.12 and took < 0.16
    end))
  end)

  it("gives no tick after it was stopped", function()
    local ticker = go.ticker(0.002)
    ticker:recv()
    go.sleep(0.01)
    ticker:stop()
    assert.same({ nil, "timeout" }, { ticker:recv(0.02) })
  end)

  it("lets who waits for a stopped one go on waiting", function()
    local ticker = go.ticker(3600)
    local task = go.spawn(function() return ticker:recv() end)
    helper.parked(task)
    ticker:stop()
    assert.same({ nil, "timeout" }, { task:join(0.01) })
    ticker:reset(0.005)
    local ok, now = task:join()
    assert.is_true(ok)
    assert.is_number(now)
    ticker:stop()
  end)

  it("makes one of ticks that come late", function()
    assert.is_true(holds_once_in_five(function()
      local ticker = go.ticker(0.02)
      go.sleep(0.11)
      local first, second = ticker:recv(0), ticker:recv(0)
      ticker:stop()
      return first and not second
    end))
  end)

  it("may be stopped right after a tick", function()
    for _ = 1, 3 do
      local ticker = go.ticker(1e-3)
      ticker:recv()
      ticker:stop()
    end
  end)

  it("is run through by a for loop", function()
    local ticker, n, last = go.ticker(0.001), 0, 0
    for now in ticker do
      assert.is_true(now >= last)
      n, last = n + 1, now
      if n == 5 then
        break
      end
    end
    ticker:stop()
  end)

  it("is a case of a select", function()
    local ticker, ch = go.ticker(0.005), go.chan()
    local i, now = go.select(ch, ticker)
    assert.equal(2, i)
    assert.is_number(now)
    ticker:stop()
  end)

  it("of a nanosecond keeps up with readers and garbage", function()
    local ticker = go.ticker(1e-9)
    local garbage = go.spawn(function(n)
      for _ = 1, n do
        collectgarbage()
        go.yield()
      end
    end, 200)
    local readers = {}
    for i = 1, 10 do
      readers[i] = go.spawn(function()
        for _ = 1, 100 do
          ticker:recv()
        end
      end)
    end
    for _, reader in ipairs(readers) do
      assert.is_true(reader:join())
    end
    garbage:join()
    ticker:stop()
  end)

  it("of an age does not tick", function()
    for _, age in ipairs({ 1e12, 1e300, math.huge }) do
      local ticker = go.ticker(age)
      assert.same({ nil, "timeout" }, { ticker:recv(0.002) })
      ticker:stop()
    end
  end)

  it("stops when nobody holds it", function()
    local before = helper.baseline()
    for _ = 1, 100 do
      go.ticker(1e-3)
    end
    helper.check_baseline(before)
  end)

  it("has a period that is positive", function()
    local ticker = go.ticker(1)
    for _, period in ipairs({ 0, -1, -math.huge, 0 / 0 }) do
      assert.has_error(function() go.ticker(period) end)
      assert.has_error(function() ticker:reset(period) end)
    end
    ticker:stop()
  end)
end)

describe("a time limit", function()
  -- Always something to run; a timer has to get its turn all the same.
  it("holds against a ping-pong that never rests", function()
    helper.each_procs({ 1, 2 }, function()
      for capacity = 0, 1 do
        local ping, pong = go.chan(capacity), go.chan(capacity)
        go(function()
          for v in ping do
            pong:send(v)
          end
          pong:close()
        end)
        local start = go.now() -- before the limit's own clock is read
        local stop = go.after(0.02)
        repeat
          ping:send(true)
          pong:recv()
        until #stop > 0
        local took = go.now() - start
        ping:close()
        assert.is_true(took >= 0.02)
        assert.is_true(took < helper.within(0.5))
      end
    end)
  end)
end)
