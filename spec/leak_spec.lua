-- Goroutines that can never go on are counted: they wait on what nobody else has.
-- They are there until the process ends, so each case has a process of its own.

local helper = require("spec.helper")

-- Statements that leave something behind, and how many goroutines that is.
local CASES = {
  { 1, "a receive", "go(function() go.chan():recv() end)" },
  { 1, "a send", "go(function() go.chan():send(1) end)" },
  { 1, "a loop over a channel", "go(function() for _ in go.chan() do end end)" },
  { 1, "an empty select", "go(function() go.select() end)" },
  { 1, "a select", "go(function() go.select(go.chan(), go.chan():sending(1)) end)" },
  { 1, "a select that has a channel twice", [[
    go(function() local c = go.chan() go.select(c, c, false) end)
  ]] },
  { 2, "two that receive from each other", [[
    go(function()
      local c = go.chan()
      go(function() c:recv() end)
      c:recv()
    end)
  ]] },
  { 3, "senders of one full channel", [[
    go(function()
      local c = go.chan(1)
      for _ = 1, 2 do go(function() c:send(1) end) end
      c:send(1)
      c:send(1)
    end)
  ]] },
  { 2, "a join of a leaked one", [[
    go(function() go.spawn(function() go.chan():recv() end):join() end)
  ]] },
  { 1, "one whose channel was forgotten", [[
    do
      local c = go.chan()
      go(function() c:recv() end)
    end
  ]] },
  { 1, "a lock taken twice", [[
    go(function() local m = go.mutex() m:lock() m:lock() end)
  ]] },
  { 2, "a lock whose holder has ended", [[
    do
      local m = go.mutex()
      go.spawn(function() m:lock() end):join()
      for _ = 1, 2 do go(function() m:lock() end) end
    end
  ]] },
  { 1, "a wait group never done", "go(function() go.waitgroup(1):wait() end)" },
  { 1, "a condition that nobody can signal", [[
    go(function()
      local m = go.mutex()
      m:lock()
      go.cond(m):wait()
    end)
  ]] },
  { 2, "a barrier for more than there are", [[
    go(function()
      local b = go.barrier(3)
      go(function() b:wait() end)
      b:wait()
    end)
  ]] },
  { 3, "writers and readers of one lock", [[
    go(function()
      local rw = go.rwmutex()
      rw:rlock()
      go(function() rw:lock() end)
      go(function() rw:rlock() end)
      rw:lock()
    end)
  ]] },
  { 1, "a semaphore that nobody releases", [[
    go(function() local s = go.semaphore(1) s:acquire() s:acquire() end)
  ]] },
  { 0, "one that waits for a lock which main has", [[
    kept = go.mutex()
    kept:lock()
    go(function() kept:lock() end)
  ]] },
  { 0, "one that waits for a group of its own goroutines", [[
    go(function()
      local wg = go.waitgroup()
      wg:go(go.sleep, 100)
      wg:wait()
    end)
  ]] },
  { 0, "one that waits for a key which a sleeper updates", [[
    do
      local m = go.map()
      go(function() m:update("k", function() go.sleep(100) end) end)
      go(function() go.sleep(0.01) m:get("k") end)
    end
  ]] },
  { 0, "one with a timeout in a lock", [[
    go(function() local m = go.mutex() m:lock() m:lock(100) end)
  ]] },
  { 0, "one whose channel main has", [[
    kept = go.chan()
    go(function() kept:recv() end)
  ]] },
  { 0, "one whose channel is on its way", [[
    kept = go.chan(1)
    local c = go.chan()
    go(function() c:recv() end)
    kept:send(c)
  ]] },
  { 0, "one whose channel a sleeper has", [[
    do
      local c = go.chan()
      go(function() c:recv() end)
      go(function() go.sleep(100) c:send(1) end)
    end
  ]] },
  { 0, "one with a timeout", "go(function() go.chan():recv(100) end)" },
  { 0, "one that waits for a timer", "go(function() go.after(100):recv() end)" },
  { 0, "one that has a ticker", "go(function() go.ticker(100):recv() end)" },
  { 0, "one that selects from a timer, too", [[
    go(function() go.select(go.chan(), go.after(100)) end)
  ]] },
  { 0, "a join of one that sleeps", [[
    go(function() go.spawn(go.sleep, 100):join() end)
  ]] },
  { 0, "a sleeper", "go(go.sleep, 100)" },
  { 0, "one that computes", "go(function() while true do end end)" },
}

local SCRIPT = [[
  local go = require("goroutines")
  local function leaked()
    collectgarbage()
    collectgarbage()
    return go.stats().leaked
  end
  (function() %s end)()
  local wanted, deadline = %d, go.now() + 1
  go.sleep(0.02)
  while leaked() ~= wanted and go.now() < deadline do go.sleep(0.01) end
  print(leaked())
]]

describe("go.stats().leaked", function()
  for _, case in ipairs(CASES) do
    local count, name, script = table.unpack(case)
    it(("counts %d: %s"):format(count, name), function()
      for procs = 1, 2 do
        assert.equal(count .. "\n", helper.output({
          SCRIPT:format(script, count), env = { GOROUTINES_PROCS = procs },
        }))
      end
    end)
  end

  it("is quick beside many, which go on afterwards", function()
    assert.equal("0\ttrue\n20000\n", helper.output({ ([[
      local go = require("goroutines")
      local ready, quit, done = go.chan(20000), go.chan(), go.chan(20000)
      for i = 1, 20000 do
        go(function()
          ready:send(true)
          quit:recv()
          done:send(true)
        end)
      end
      for _ = 1, 20000 do ready:recv() end
      local start = go.now()
      local leaked = go.stats().leaked
      print(leaked, go.now() - start < %f)
      quit:close()
      local n = 0
      for _ = 1, 20000 do n = n + (done:recv() and 1) end
      print(n)
    ]]):format(helper.within(1)) }))
  end)

  it("disturbs nobody, however often it is asked", function()
    assert.equal("10000\n", helper.output({ [[
      local go = require("goroutines")
      local ping, pong = go.chan(), go.chan()
      local task = go.spawn(function()
        local n = 0
        for v in ping do pong:send(v) n = n + 1 end
        return n
      end)
      for _ = 1, 2 do
        go(function() while true do go.stats() go.sleep(0.0001) end end)
      end
      for i = 1, 10000 do ping:send(i) assert(pong:recv() == i) end
      ping:close()
      print(select(2, task:join()))
    ]] }))
  end)
end)
