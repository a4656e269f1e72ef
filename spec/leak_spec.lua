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
      c:send(1)
      for _ = 1, 2 do go(function() c:send(1) end) end
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
  { 2, "one that has the channel of another one", [[
    go(function()
      local a, b = go.chan(), go.chan()
      go(function() b:recv() end)
      a:recv()
      b:send(1)
    end)
  ]] },
  { 3, "three in a ring, each with the channel of the next one", [[
    do
      local c = { go.chan(), go.chan(), go.chan() }
      for i = 1, 3 do
        local own, other = c[i], c[i % 3 + 1]
        go(function() own:recv() other:send(1) end)
      end
    end
  ]] },
  { 2, "one that has the lock of another one", [[
    go(function()
      local m = go.mutex()
      m:lock()
      go(function() m:lock() end)
      go.chan():recv()
      m:unlock()
    end)
  ]] },
  { 1, "one that has views of its channel", [[
    go(function()
      local c = go.chan()
      local to, from = c:sender(), c:receiver()
      from:recv()
      to:send(c)
    end)
  ]] },
  { 2, "one whose channel lies in that of a leaked one", [[
    go(function()
      local box = go.chan(1)
      do
        local c = go.chan()
        go(function() c:recv() end)
        box:send(c)
      end
      collectgarbage()
      go.chan():recv()
      box:recv()
    end)
  ]] },
  { 2, "one whose channel lies in a table in a channel in a channel", [[
    go(function()
      local outer = go.chan(2)
      do
        local c, inner = go.chan(), go.chan(2)
        go(function() c:recv() end)
        inner:send({ { c }, c:sender() })
        outer:send({ inner = inner })
      end
      collectgarbage()
      go.chan():recv()
      outer:recv()
    end)
  ]] },
  { 2, "one whose channel a leaked one sends", [[
    go(function()
      local c = go.chan()
      go(function() c:recv() end)
      go.chan():send(c)
    end)
  ]] },
  { 2, "one whose channel a leaked one selects to send", [[
    go(function()
      local c = go.chan()
      go(function() c:recv() end)
      go.select(go.chan():sending({ c }), go.chan())
    end)
  ]] },
  { 1, "one whose channel lies in itself", [[
    go(function()
      local c = go.chan(1)
      c:send(c)
      c:send({ c })
    end)
  ]] },
  { 2, "two whose channels lie in each other", [[
    do
      local a, b = go.chan(1), go.chan(1)
      a:send(b)
      b:send(a)
      go(function() a:send(1) end)
      go(function() b:send(1) end)
    end
  ]] },
  { 1, "one in a coroutine, of which others have channels", [[
    go(function()
      local outer, sleeps = go.chan(), nil
      sleeps = coroutine.wrap(function()
        local c = outer
        coroutine.yield()
        c:recv()
      end)
      sleeps()
      coroutine.wrap(function()
        coroutine.wrap(function(c) c:recv() end)(outer)
        sleeps()
      end)()
    end)
  ]] },
  { 5, "those in callbacks, handlers, finalizers and hooks", [[
    go(function()
      local c = go.chan()
      local held = { c:sender() }
      string.gsub("x", "x", function() c:recv() end)
      held[1]:send(1)
    end)
    go(function()
      local c = go.chan()
      local held <close> = setmetatable({}, { __close = function() c:recv() end })
      xpcall(error, function() c:recv() end, held)
    end)
    go(function()
      local c = go.chan()
      setmetatable({}, { __gc = function() c:recv() end })
      collectgarbage()
      c:send(1)
    end)
    go(function()
      local c = go.chan()
      local held <close> = setmetatable({}, { __close = function() c:recv() end })
    end)
    go(function()
      local c = go.chan()
      debug.sethook(function()
        debug.sethook()
        c:recv()
      end, "l")
      c = c
    end)
  ]] },
  { 1, "a select with more cases than there is room beside", [[
    go(function()
      local cases = {}
      for i = 1, 100 do cases[i] = go.chan() end
      cases[101] = cases[1]
      go.select(table.unpack(cases))
    end)
  ]] },
  { 2, "a join of one that has the channel of who joins", [[
    go(function()
      local c = go.chan()
      go.spawn(function() c:recv() c:send(1) end):join()
      c:send(1)
    end)
  ]] },
  { 0, "one whose channel another one has that waits with a timeout", [[
    go(function()
      local c = go.chan()
      go(function() c:recv() end)
      go.chan():recv(100)
      c:send(1)
    end)
  ]] },
  { 0, "one whose channel another one has that waits for a timer", [[
    go(function()
      local c = go.chan()
      go(function() c:recv() end)
      go.after(100):recv()
      c:send(1)
    end)
  ]] },
  { 0, "one whose channel another one selects to send for some time", [[
    go(function()
      local c = go.chan()
      go(function() c:recv() end)
      go.select(go.chan():sending(c), go.after(100))
    end)
  ]] },
  { 0, "a chain of which main has one end", [[
    kept = go.chan()
    do
      local last = kept
      for _ = 1, 5 do
        local own, next = last, go.chan()
        go(function() own:recv() next:send(1) end)
        last = next
      end
    end
  ]] },
  { 0, "one whose channel lies in a channel in one that main has", [[
    kept = go.chan(1)
    do
      local c, box = go.chan(), go.chan(1)
      go(function() c:recv() end)
      box:send({ c })
      kept:send({ box })
    end
  ]] },
  { 0, "one whose channel lies in that of one whose channel main has", [[
    kept = go.chan(1)
    local own = kept
    go(function()
      local box = go.chan(1)
      do
        local c = go.chan()
        go(function() c:recv() end)
        box:send(c)
      end
      collectgarbage()
      own:recv()
      box:recv():send(1)
    end)
  ]] },
  { 0, "one whose channel lies in a map that main has", [[
    kept = go.map()
    do
      local c = go.chan()
      go(function() c:recv() end)
      kept:set("c", c)
    end
  ]] },
  { 0, "one whose channel a function has that was sent to main", [[
    kept = go.chan(1)
    do
      local c = go.chan()
      go(function() c:recv() end)
      kept:send(function() c:send(1) end)
    end
  ]] },
  { 0, "one in a scope with a deadline", [[
    go(function() go.with_timeout(100, function() go.chan():recv() end) end)
  ]] },
  { 0, "one in a scope in a scope with a deadline", [[
    go(function()
      go.with_timeout(100, function()
        go.with_timeout(math.huge, function() go.chan():recv() end)
      end)
    end)
  ]] },
  { 0, "one that is given some time", [[
    go(function()
      go.spawn({ timeout = 100 }, function() go.chan():recv() end):join()
    end)
  ]] },
  { 0, "a handler of one that is cancelled, whose time is limited", [[
    do
      local task = go.spawn(function()
        local held <close> = setmetatable({}, {
          __close = function() go.chan():recv() end,
        })
        go.chan():recv()
      end)
      while task:status() ~= "waiting" do go.yield() end
      task:cancel()
    end
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

  it("counts main, and what main has, when main waits for ever", function()
    assert.equal("0\n3\n", helper.output({ [[
      local go = require("goroutines")
      local own, other = go.chan(), go.chan(1)
      for _ = 1, 2 do go(function() other:send(1) other:send(2) end) end
      go(function()
        while #other == 0 do go.yield() end
        go.sleep(0.02)
        print(go.stats().leaked)
        own:send(1)
        own, other = nil, nil
        collectgarbage()
        local deadline = go.now() + 5
        repeat go.sleep(0.01)
        until go.stats().leaked == 3 or go.now() > deadline
        print(go.stats().leaked)
        os.exit(0)
      end)
      local first = own
      first:recv()
      own:recv()
    ]] }))
  end)

  it("names nobody whose channel is on its way from one to the next", function()
    assert.equal("0\n", helper.output({ [[
      local go = require("goroutines")
      local belt, tasks, ends = go.chan(2), {}, go.atomic()
      -- Boxes that lie in each other, and in the innermost one the channel of
      -- one who waits. Who has sent them has forgotten them.
      local function pack()
        for _ = 1, 150 do
          local c, box, outer = go.chan(), go.chan(2), go.chan(1)
          go(function() c:recv() end)
          box:send(box)
          box:send(c)
          outer:send({ box })
          c, box = nil, nil
          collectgarbage()
          belt:send(outer)
        end
      end
      local function unpack()
        for outer in belt do
          local box = outer:recv()[1]
          outer = nil
          collectgarbage()
          box:recv()
          local c = box:recv()
          box = nil
          collectgarbage()
          go.yield()
          c:send(true)
        end
      end
      for i = 1, 4 do tasks[i] = go.spawn(i <= 2 and pack or unpack) end
      local poller = go.spawn(function()
        local most = 0
        while ends:load() == 0 do
          most = math.max(most, go.stats().leaked)
          go.yield()
        end
        return most
      end)
      for i = 1, 2 do assert(tasks[i]:join()) end
      belt:close()
      for i = 3, 4 do assert(tasks[i]:join()) end
      ends:store(1)
      print(select(2, poller:join()))
    ]] }))
  end)

  -- Leaked goroutines have 150 boxes, and so has main, which forgets one after
  -- the other. The idle ones, whose channels have messages, make a look at all
  -- take long enough for main to come in between.
  local BOXES = [[
    local go = require("goroutines")
    local boxes, quit, ends = {}, go.chan(), go.atomic()
    for i = 1, 150 do
      local box = go.chan(1)
      boxes[i] = box
      go(function() go.chan():recv() box:recv() end)
    end
    for _ = 1, 2000 do
      local a, b = go.chan(1), go.chan(1)
      a:send(1)
      b:send(1)
      go(function() quit:recv() a:close() b:close() end)
    end
    local poller = go.spawn(function()
      local most = 0
      while ends:load() == 0 do
        most = math.max(most, go.stats().leaked)
        go.yield()
      end
      return most
    end)
    collectgarbage("generational")
    for i = 150, 1, -1 do
      local c, box = go.chan(), boxes[i]
      boxes[i] = nil
      local task = go.spawn(function() return c:recv() end)
      while task:status() ~= "waiting" do go.yield() end
      %s
    end
    ends:store(1)
    print(select(2, poller:join()))
  ]]

  it("names nobody whose channel is just taken out of a leaked one's", function()
    assert.equal("150\n", helper.output({ BOXES:format([[
      box:send(c)
      c = nil
      collectgarbage()
      for i = 1, math.random(200) do go.yield() end
      c = box:recv()
      box = nil
      collectgarbage()
      go.sleep(0.004)
      c:send(true)
    ]]), env = { GOROUTINES_PROCS = 4 } }))
  end)

  it("names nobody who has just been sent something for the last time", function()
    assert.equal("150\n", helper.output({ BOXES:format([[
      c:send(true)
      c, box = nil, nil
      collectgarbage()
      go.sleep(0.003)
    ]]), env = { GOROUTINES_PROCS = 4 } }))
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
