local helper = require("spec.helper")

local MESSAGE = "all goroutines are asleep - deadlock!"

-- Runs a script with `go` at hand.
local function run(script)
  return helper.lua('local go = require("goroutines")\n' .. script)
end

-- What a script prints that catches the deadlock and goes on.
local function caught(script)
  local result = run(script)
  assert.equal(0, result.code)
  return result.stdout
end

-- Waits of main that can never end, each with the state in its dump.
local WAITS = {
  { "in an empty select", "go.select()", "select" },
  { "in a select of nothing", "go.select(false, false)", "select" },
  { "in a select", "go.select(go.chan(), go.chan():sending(1))", "select" },
  { "in a recv", "go.chan():recv()", "chan receive" },
  { "in a loop over a channel", "for _ in go.chan() do end", "chan receive" },
  { "in a send", "go.chan():send(1)", "chan send" },
  { "in a join", [[
    local task = go.spawn(function() go.chan():recv() end)
    task:join()
  ]], "join" },
  { "in a coroutine in a pcall", [[
    coroutine.wrap(function() go.chan():recv() end)()
  ]], "chan receive" },
  { "for a timer that was stopped", [[
    local ch = go.chan()
    go.timer(3600, function() ch:send(1) end):stop()
    ch:recv()
  ]], "chan receive" },
  { "for a ticker that was stopped", [[
    local ticker = go.ticker(3600)
    ticker:stop()
    ticker:recv()
  ]], "chan receive" },
  { "in a recv on its own thread", [[
    go.lock_thread()
    go.chan():recv()
  ]], "chan receive" },
  { "on its own thread, as another on another, after a timer", [[
    go.lock_thread()
    go.sleep(0.001)
    go.spawn({ thread = true }, function() go.chan():recv() end):join()
  ]], "join" },
  { "while two others wait for each other", [[
    local a, b = go.chan(), go.chan()
    go(function() a:send(b:recv()) end)
    go(function() b:send(a:recv()) end)
    a:recv()
  ]], "chan receive" },
  { "for one that is blocked by a ring of others", [[
    local first = go.chan()
    local left = first
    for _ = 1, 20 do
      local right = go.chan()
      go(function(from, to) to:send(from:recv()) end, left, right)
      left = right
    end
    go.spawn(function(last) first:send(last:recv()) end, left):join()
  ]], "join" },
  { "after a blocking call has ended", [[
    go(function() os.execute("true") go.chan():recv() end)
    go.chan():recv()
  ]], "chan receive" },
  { "below a callback of C code", [[
    require("fixture").locked(function() go.chan():recv() end)
  ]], "chan receive" },
  { "in a lock taken twice", [[
    local m = go.mutex()
    m:lock()
    m:lock()
  ]], "mutex lock" },
  { "in a lock that its holder has not let go", [[
    local m = go.mutex()
    go.spawn(function() m:lock() end):join()
    m:with(print)
  ]], "mutex lock" },
  { "in two locks taken in different orders", [[
    local a, b, wg = go.mutex(), go.mutex(), go.barrier(2)
    go(function()
      a:lock()
      wg:wait()
      b:lock()
    end)
    b:lock()
    wg:wait()
    local _ <close> = a:guard()
  ]], "mutex lock" },
  { "in a write lock beside its own read lock", [[
    local rw = go.rwmutex()
    rw:rlock()
    rw:lock()
  ]], "rwmutex lock" },
  { "in a read lock beside its own write lock", [[
    local rw = go.rwmutex()
    rw:lock()
    rw:rlock()
  ]], "rwmutex rlock" },
  { "in a wait group never done", "go.waitgroup(1):wait()", "waitgroup wait" },
  { "in a wait group whose goroutine waits", [[
    local wg = go.waitgroup()
    wg:go(function() wg:wait() end)
    wg:wait()
  ]], "waitgroup wait" },
  { "in a once whose function waits", [[
    local once, inside = go.once(), go.chan()
    go(function()
      once:run(function()
        inside:close()
        go.chan():recv()
      end)
    end)
    inside:recv()
    once:run(print)
  ]], "once run" },
  { "in a condition that nobody signals", [[
    local m = go.mutex()
    m:lock()
    go.cond(m):wait()
  ]], "cond wait" },
  { "in a semaphore that nobody releases", [[
    local s = go.semaphore(2)
    s:acquire()
    s:acquire(2)
  ]], "semaphore acquire" },
  { "in a barrier that nobody else comes to", "go.barrier(2):wait()",
    "barrier wait" },
  { "in a key of a map that is being updated", [[
    local m, inside = go.map(), go.chan()
    go(function()
      m:update("k", function()
        inside:close()
        go.chan():recv()
      end)
    end)
    inside:recv()
    m:get("k")
  ]], "map key" },
  { "after a timer has run", [[
    go.timer(0, function() end)
    go.sleep(0.01)
    go.chan():recv()
  ]], "chan receive" },
}

describe("a deadlock", function()
  for _, row in ipairs(WAITS) do
    local name, script, state = table.unpack(row)
    it("ends the process: main " .. name, function()
      local result = run(script)
      assert.equal(1, result.code)
      assert.equal("", result.stdout)
      assert.matches(("goroutine 1 %%[%s.*%s"):format(state,
        MESSAGE:gsub("%-", "%%-")), result.stderr)
      assert.is_true(result.seconds < helper.within(2))
    end)
  end

  it("is found within a tenth of a second", function()
    local late = caught([[
      local ch, slowest = go.chan(), 0
      for i = 1, 20 do
        go(function() go.chan():recv() end)
        go.sleep(0.001)
        local start = go.now()
        pcall(ch.recv, ch)
        slowest = math.max(slowest, go.now() - start)
      end
      print(slowest)
    ]])
    assert.is_true(tonumber(late) < helper.within(0.1), late)
  end)

  it("ends the process when main has left by go.exit", function()
    for _, others in ipairs({
      "go(function() go.chan():recv() end)",
      [[
        local ch = go.chan()
        go(function() go.sleep(0.02) print("still here") ch:recv() end)
      ]],
      [[
        local a, b = go.chan(), go.chan()
        go(function() a:send(b:recv()) end)
        go(function() b:send(a:recv()) end)
      ]],
    }) do
      local result = run(others .. "\ngo.exit()")
      assert.equal(1, result.code)
      assert.matches(MESSAGE, result.stderr, 1, true)
      assert.matches("main called go.exit", result.stderr, 1, true)
      assert.equal(others:find("still here") and "still here\n" or "",
        result.stdout)
      assert.is_true(result.seconds < helper.within(1))
    end
  end)

  it("is no error of the goroutines that wait with main", function()
    assert.equal("nil\ttimeout\n", caught([[
      local task = go.spawn(function() go.chan():recv() end)
      pcall(task.join, task)
      print(task:join(0.01))
    ]]))
  end)

  it("shows every goroutine and where it waits", function()
    local result = run([[
      local ch = go.chan()
      go.spawn({ name = "first" }, function() ch:recv() end)
      go(function() ch:recv() end)
      ch:recv()
    ]])
    local _, headers = result.stderr:gsub("goroutine %d+[^\n]-%[", "")
    assert.equal(3, headers)
    assert.matches('goroutine %d+ "first" %[chan receive', result.stderr)
    assert.matches(":4:", result.stderr, 1, true)
  end)

  -- The script prints the lines that are to be in the dump.
  local function check_objects(script)
    local result = run(script)
    assert.equal(1, result.code)
    assert.not_equal("", result.stdout)
    for line in result.stdout:gmatch("[^\n]+") do
      assert.matches("\t" .. line .. "\n", result.stderr, 1, true)
    end
    return result.stderr
  end

  it("tells channels by what tostring gives", function()
    local dump = check_objects([[
      local full, empty = go.chan(2), go.chan()
      full:send(1)
      full:send(2)
      print(("waiting to send on %s (capacity 2)"):format(full))
      print(("waiting to receive from %s (capacity 0)"):format(empty))
      go.spawn({ name = "sender" }, function() full:sender():send(3) end)
      empty:recv()
    ]])
    assert.matches('"sender" %[chan send%]:\n\twaiting to send on ', dump)
    assert.matches("^goroutine 1 %[chan receive%]:\n\twaiting to receive", dump)
  end)

  it("tells the channels of each case of a select", function()
    local dump = check_objects([[
      local a, b, c, d = go.chan(), go.chan(), go.chan(3), go.chan()
      print(("waiting to receive from %s (capacity 0)"):format(a))
      print(("waiting to send on %s (capacity 0)"):format(b))
      print(("waiting to receive from %s (capacity 3)"):format(c))
      print(("waiting to send on %s (capacity 0)"):format(d))
      go(function() go.select(a, false, b:sending(1)) end)
      go.select(false, c, d:sending(1), false)
    ]])
    assert.matches("%[select%]:\n\twaiting to receive[^\n]*3%)\n" ..
      "\twaiting to send[^\n]*\n\t%[C%]", dump)
  end)

  it("tells no more than some cases of a select of many", function()
    local dump = check_objects([[
      local channels = {}
      for i = 1, 100 do
        channels[i] = go.chan()
      end
      print(("waiting to receive from %s (capacity 0)"):format(channels[20]))
      print("...")
      go.select(table.unpack(channels))
    ]])
    local _, lines = dump:gsub("waiting to receive", "")
    assert.equal(20, lines)
  end)

  it("tells who is joined", function()
    check_objects([[
      local ch = go.chan()
      local named = go.spawn({ name = "worker" }, function() ch:recv() end)
      local other = go.spawn(function() named:join() end)
      print(('waiting for goroutine %d "worker" to end'):format(named.id))
      print(("waiting for goroutine %d to end"):format(other.id))
      other:join()
    ]])
  end)

  it("tells mutexes and who holds them", function()
    check_objects([[
      local a, b = go.mutex(), go.mutex()
      a:lock()
      local gone = go.spawn({ name = "gone" }, function() b:lock() end)
      gone:join()
      print(("waiting to lock %s, which goroutine 1 holds"):format(a))
      print(('waiting to lock %s, which goroutine %d "gone" holds (it has ended)')
        :format(b, gone.id))
      go(function() a:lock() end)
      b:lock()
    ]])
  end)

  it("tells who holds a rwmutex", function()
    check_objects([[
      local a, b, c = go.rwmutex(), go.rwmutex(), go.rwmutex()
      a:rlock()
      b:rlock()
      b:rlock()
      c:lock()
      print(("waiting to lock %s, which 1 reader holds"):format(a))
      print(("waiting to lock %s, which 2 readers hold"):format(b))
      print(("waiting to read-lock %s, which goroutine 1 holds"):format(c))
      go(function() a:lock() end)
      go(function() b:lock() end)
      c:rlock()
    ]])
  end)

  it("tells the other objects of sync by what tostring gives", function()
    check_objects([[
      local wg, once, m = go.waitgroup(3), go.once(), go.mutex()
      local c, s, b = go.cond(m), go.semaphore(3), go.barrier(3)
      local inside = go.chan()
      local runner = go.spawn(function()
        once:run(function()
          inside:close()
          go.chan():recv()
        end)
      end)
      inside:recv()
      wg:done()
      s:acquire(2)
      print(("waiting for %s (2 not done)"):format(wg))
      print(("waiting for %s, which goroutine %d runs"):format(once, runner.id))
      print(("waiting for a signal of %s"):format(c))
      print(("waiting to acquire from %s (1 of 3 free)"):format(s))
      print(("waiting at %s (2 of 3 there)"):format(b))
      go(function() once:run(print) end)
      go(function() m:lock() c:wait() end)
      go(function() s:acquire(2) end)
      go(function() b:wait() end)
      go(function() b:wait() end)
      wg:wait()
    ]])
  end)

  it("tells keys of maps and who updates them", function()
    local script = [[
      local m, inside = go.map(), go.chan()
      for i, key in ipairs({ 17, 1.5, "text", true, ("long"):rep(30) }) do
        local task = go.spawn({ name = "u" .. i }, function()
          m:update(key, function()
            inside:send(true)
            go.chan():recv()
          end)
        end)
        inside:recv()
        if i == 5 then
          key = '"' .. key:sub(1, 60) .. '"...'
        elseif i == 3 then
          key = '"text"'
        end
        print(('waiting for key %s of %s, which goroutine %d "u%d" updates')
          :format(key, m, task.id, i))
      end
      for _, key in ipairs({ 17, 1.5, true, ("long"):rep(30) }) do
        go(function() m:set(key, 1) end)
      end
      m:get("text")
    ]]
    check_objects(script)
  end)

  it("may be caught in a lock, which is then as it was", function()
    assert.equal("false\ttrue\ttrue\n", caught([[
      local m = go.mutex()
      m:lock()
      local ok = pcall(m.lock, m)
      m:unlock()
      print(ok, m:try_lock(), (go.spawn(m.lock, m, 0):join()))
    ]]))
  end)

  it("tells the whole of a long name", function()
    local result = run([[
      local name = ("n"):rep(1000)
      go.spawn({ name = name }, function() go.chan():recv() end):join()
    ]])
    assert.matches(('"%s" [chan receive]:\n'):format(("n"):rep(1000)),
      result.stderr, 1, true)
  end)

  it("is an error that pcall catches, and main goes on", function()
    assert.equal("false\ttrue\nv\n", caught([[
      local ch = go.chan()
      local ok, message = pcall(ch.recv, ch)
      print(ok, message:find("]] .. MESSAGE .. [[", 1, true) ~= nil)
      go(function() ch:send("v") end)
      print(ch:recv())
    ]]))
  end)

  it("may be caught again and again", function()
    assert.equal("5\n", caught([[
      local ch, n = go.chan(), 0
      for _ = 1, 5 do
        n = n + (pcall(ch.recv, ch) and 0 or 1)
      end
      print(n)
    ]]))
  end)

  it("leaves no waiter of main behind", function()
    assert.equal("false\nnil\ttimeout\nv\n", caught([[
      local a, b = go.chan(), go.chan()
      print((pcall(go.select, a, b:sending(1))))
      print(b:recv(0))
      go(function() a:send("v") end)
      print(a:recv())
    ]]))
  end)

  it("does not disturb the others, who may still be woken", function()
    assert.equal("false\ntrue\tv\n", caught([[
      local ch = go.chan()
      local task = go.spawn(function() return ch:recv() end)
      print((pcall(task.join, task)))
      ch:send("v")
      print(task:join())
    ]]))
  end)

  it("is found on one processor and on many", function()
    for _, n in ipairs({ 1, 2, 8 }) do
      local result = helper.lua({ [[
        local go = require("goroutines")
        local ch = go.chan()
        for _ = 1, 50 do
          go(function() ch:recv() end)
        end
        ch:recv()
      ]], env = { GOROUTINES_PROCS = n } })
      assert.equal(1, result.code)
      assert.matches(MESSAGE, result.stderr, 1, true)
    end
  end)
end)

describe("no deadlock", function()
  local PENDING = {
    { "while a goroutine sleeps", [[
      local ch = go.chan()
      go(function()
        go.sleep(0.03)
        ch:send("woken")
      end)
      print(ch:recv())
    ]] },
    { "while a timer is pending", [[
      local ch = go.chan()
      go.timer(0.03, function() ch:send("woken") end)
      print(ch:recv())
    ]] },
    { "while go.after is pending", [[
      go.select(go.chan(), go.after(0.03))
      print("woken")
    ]] },
    { "while a ticker ticks", [[
      go.ticker(0.01):recv()
      print("woken")
    ]] },
    { "while a wait of another has a time limit", [[
      local ch = go.chan()
      go(function()
        go.chan():recv(0.03)
        ch:send("woken")
      end)
      print(ch:recv())
    ]] },
    { "while another computes", [[
      local ch = go.chan()
      go(function()
        for _ = 1, 3000000 do end
        ch:send("woken")
      end)
      print(ch:recv())
    ]] },
    { "while another is in a C function", [[
      local ch = go.chan()
      go(function()
        os.execute("sleep 0.05")
        ch:send("woken")
      end)
      print(ch:recv())
    ]] },
  }

  for name, call in pairs({
    ["go.blocking"] = "go.blocking(fixture.nanosleep, 0.03)",
    ["a C module that blocks unannounced"] = "fixture.nanosleep(0.03)",
    ["a C module that computes"] = "fixture.spin(0.03)",
    ["a read of a pipe"] = 'io.popen("sleep 0.03; echo"):read("a")',
    ["a wait below C code"] =
      "fixture.locked(function() go.sleep(0.03) end)",
  }) do
    table.insert(PENDING, { "while another is in " .. name, ([[
      local ch = go.chan()
      go(function()
        local fixture = require("fixture")
        %s
        return fixture and ch:send("woken")
      end)
      print(ch:recv())
    ]]):format(call) })
  end

  it("is ever reported falsely, nor is one missed", function()
    local file <close> = assert(io.open("spec/soak/deadlock.lua"))
    local result = helper.lua({ file:read("a"), env = { ROUNDS = 500 },
      limit = 25 })
    assert.equal(0, result.code, result.stderr:sub(-2000))
    assert.equal("no false deadlock, and 50 real ones\n", result.stdout)
  end)

  for _, row in ipairs(PENDING) do
    local name, script = table.unpack(row)
    it("is reported " .. name, function()
      assert.equal("woken\n",
        helper.output('local go = require("goroutines")\n' .. script))
    end)
  end

  it("is reported when the others alone are asleep", function()
    assert.equal("done\n", helper.output([[
      local go = require("goroutines")
      for _ = 1, 10 do
        go(function() go.chan():recv() end)
      end
      go.sleep(0.02)
      print("done")
    ]]))
  end)
end)
