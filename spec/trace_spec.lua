-- go.trace: the timeline that is written is JSON, and tells for each thread what
-- ran there, one after another; and what GOROUTINES_DEBUG has written.

local go = require("goroutines")
local helper = require("spec.helper")
local cjson = require("cjson")

local function events_in(path)
  local file <close> = assert(io.open(path))
  local events = cjson.decode(file:read("a"))
  os.remove(path)
  return events
end

-- The events of what `f` does, or of what a script does by itself.
local function traced(f)
  local path = os.tmpname()
  assert.is_true(go.trace(path))
  f()
  assert.is_true(go.trace(nil))
  return events_in(path)
end

-- The runs, in the order in which they begin. Raises unless on each thread they
-- come one after another, and each arrow's end has its beginning.
local function runs_of(events)
  local runs, open, last, arrows = {}, {}, {}, {}
  for _, e in ipairs(events) do
    local thread = e.tid
    assert(type(e.ts) == "number" and e.ts >= (last[thread] or 0), "goes back in time")
    if e.ph ~= "C" then last[thread] = e.ts end
    if e.ph == "B" then
      assert(not open[thread], "two run at once on a thread")
      open[thread] = e
      runs[#runs + 1] = e
    elseif e.ph == "E" then
      local run = assert(open[thread], "ends what has not begun")
      run.seconds = (e.ts - run.ts) / 1e6
      run.next = e.args and e.args["then"]
      open[thread] = nil
    elseif e.ph == "s" then
      assert(open[thread], "nobody wakes it")
      arrows[e.id] = true
    elseif e.ph == "f" then
      assert(arrows[e.id] and open[thread].args.goroutine == e.id, "an arrow from nowhere")
      arrows[e.id] = nil
    else
      assert(e.ph == "M" or e.ph == "C", e.ph)
    end
  end
  assert(not next(open), "one has no end")
  return runs
end

local function named(runs, name)
  local found = {}
  for _, run in ipairs(runs) do
    if run.name == name then found[#found + 1] = run end
  end
  return found
end

-- What that one went off for, of its own accord.
local function reasons(runs, name)
  local found = {}
  for _, run in ipairs(named(runs, name)) do
    if run.next ~= "preempted" and run.next ~= "goes on on another thread" then
      found[#found + 1] = run.next
    end
  end
  return found
end

describe("a trace", function()
  it("tells who ran, and what it went off for", function()
    local ch, mutex = go.chan(), go.mutex()
    local events = traced(function()
      mutex:lock()
      local tasks = {
        go.spawn({ name = "waits" }, function() return ch:recv() end),
        go.spawn({ name = "yields" }, go.yield),
        go.spawn({ name = "sleeps" }, go.sleep, 0.001),
        go.spawn({ name = "locks" }, function() mutex:lock() mutex:unlock() end),
      }
      helper.parked(tasks[1])
      helper.parked(tasks[4])
      go.sleep(0.001)
      mutex:unlock()
      ch:send(1)
      for _, task in ipairs(tasks) do assert(task:join()) end
    end)
    local runs = runs_of(events)
    assert.same({ "chan receive", "end" }, reasons(runs, "waits"))
    assert.same({ "sleep", "end" }, reasons(runs, "sleeps"))
    assert.same({ "mutex lock", "end" }, reasons(runs, "locks"))
    local yields = reasons(runs, "yields")
    assert.equal("end", yields[#yields])
    assert.is_truthy(table.concat(reasons(runs, "main"), " "):find("sleep", 1, true))
    local names, arrows, alive = {}, 0, 0
    for _, e in ipairs(events) do
      if e.name == "thread_name" then names[e.args.name] = true end
      if e.ph == "f" then arrows = arrows + 1 end
      if e.ph == "C" and e.name == "goroutines" then alive = math.max(alive, e.args.goroutines) end
    end
    assert.is_true(names["main thread"])
    assert.is_true(arrows >= 5, arrows) -- four starts, and the message
    assert.is_true(alive >= 1, alive)
  end)

  it("calls a goroutine without a name after the place where it was started", function()
    local runs = runs_of(traced(function() go.spawn(function() end):join() end))
    local found
    for _, run in ipairs(runs) do
      found = found or run.name:match("trace_spec.lua:%d+$")
    end
    assert.is_truthy(found)
  end)

  it("has names with any bytes", function()
    local long = ("ü"):rep(150)
    local runs = runs_of(traced(function()
      go.spawn({ name = "up to a\0zero" }, function() end):join()
      go.spawn({ name = 'a "quoted" \\ name\n\1of ü \xff\xc3 bytes' }, function() end):join()
      go.spawn({ name = long }, function() end):join()
    end))
    -- One that is made to give way has several runs.
    assert.is_truthy(named(runs, 'a "quoted" \\ name\n\1of ü ?? bytes')[1])
    assert.is_truthy(named(runs, "up to a")[1])
    local cut = 0
    for _, run in ipairs(runs) do
      if run.name:match("^ü") then
        assert.equal(run.name, long:sub(1, #run.name))
        assert.is_truthy(utf8.len(run.name))
        cut = cut + 1
      end
    end
    assert.is_true(cut > 0)
  end)

  it("tells of one that computes when it is made to give way, and how long it ran", function()
    local _ <close> = helper.procs(1)
    local runs = runs_of(traced(function()
      local stop = go.chan()
      local hogs = {}
      for i = 1, 2 do
        hogs[i] = go.spawn({ name = "hog" }, function()
          while not stop:is_closed() do end
        end)
      end
      go.sleep(0.1)
      stop:close()
      for i = 1, 2 do assert(hogs[i]:join()) end
    end))
    local preempted, seconds = 0, 0
    for _, run in ipairs(named(runs, "hog")) do
      preempted = preempted + (run.next == "preempted" and 1 or 0)
      seconds = seconds + run.seconds
    end
    assert.is_true(preempted >= 1, preempted)
    assert.is_true(seconds > 0.02, seconds)
  end)

  it("is whole with many goroutines on many processors", function()
    helper.each_procs({ 1, 2, 8 }, function()
      local runs = runs_of(traced(function()
        local group, ch = go.waitgroup(), go.chan(3)
        for i = 1, 200 do
          group:go(function()
            for k = 1, 20 do
              ch:send(i + k)
              ch:recv()
              if k % 5 == 0 then go.yield() end
              if k % 7 == 0 then go.sleep(0.0005) end
            end
          end)
        end
        group:wait()
      end))
      assert.is_true(#runs > 1000, #runs)
    end)
  end)

  it("is whole though it begins and ends while others run", function()
    local stop, tasks = go.chan(), {}
    for i = 1, 8 do
      tasks[i] = go.spawn(function()
        local ch = go.chan()
        while not stop:is_closed() do
          go(ch.send, ch, 1)
          ch:recv()
        end
      end)
    end
    for _ = 1, helper.times(20) do
      runs_of(traced(function() go.sleep(0.002) end))
    end
    stop:close()
    for _, task in ipairs(tasks) do assert(task:join()) end
  end)

  it("can be begun and ended by any goroutine", function()
    local path = os.tmpname()
    assert(go.spawn(go.trace, path):join())
    local ok, done = go.spawn(go.trace, nil):join()
    assert.is_true(ok and done)
    assert.is_true(#events_in(path) > 0)
  end)

  it("is complete when the process exits", function()
    for _, ending in ipairs({ "", "os.exit(0)", "os.exit(0, true)",
      "go(function() os.exit(0) end) go.sleep(5)", "error('fails')" }) do
      local path = os.tmpname()
      helper.lua(([[
        local go = require("goroutines")
        assert(go.trace(%q))
        go(function() while true do go.yield() end end)
        go.sleep(0.01)
        %s
      ]]):format(path, ending))
      assert.is_true(#runs_of(events_in(path)) >= 2)
    end
  end)

  it("cannot be begun twice", function()
    local path = os.tmpname()
    assert.is_true(go.trace(path))
    local ok, message = pcall(go.trace, path .. ".2")
    assert.is_true(go.trace())
    assert.is_false(ok)
    assert.matches("bad call of 'trace' (a trace is being written already)", message, 1, true)
    assert.is_nil(io.open(path .. ".2"))
    os.remove(path)
    assert.is_false(go.trace(nil))
  end)

  it("tells why the file cannot be opened", function()
    local done, message, code = go.trace("/nowhere/trace.json")
    assert.is_nil(done)
    assert.matches("/nowhere/trace.json", message, 1, true)
    assert.equal("ENOENT", code)
    assert.is_false(go.trace(nil))
  end)

  it("tells that not all could be written", function()
    assert.is_true(go.trace("/dev/full"))
    local done, _, code = go.trace(nil)
    assert.is_nil(done)
    assert.equal("ENOSPC", code)
  end)

  it("refuses other arguments", function()
    for _, v in ipairs({ 1, true, {}, print }) do
      local ok, message = pcall(go.trace, v)
      assert.is_false(ok)
      assert.matches("bad argument #1 to 'trace'", message, 1, true)
    end
    assert.is_false(pcall(go.trace, "a", "b"))
  end)
end)

describe("GOROUTINES_DEBUG=schedtrace", function()
  local LINE = "^SCHED %d+ms: procs=2 idle_procs=%d threads=%d+ idle_threads=%d+ " ..
    "searching=%d goroutines=%d+ global=%d+ woken=%d+ %[%d+ %d+%]$"

  local function lines_of(script)
    local result = helper.lua({ script,
      env = { GOROUTINES_DEBUG = "schedtrace=20", GOROUTINES_PROCS = 2 } })
    assert.equal(0, result.code)
    local count = 0
    for line in result.stderr:gmatch("[^\n]+") do
      assert.matches(LINE, line)
      count = count + 1
    end
    return count, result.stderr
  end

  it("writes a line so often, also while all is quiet or computes", function()
    for _, script in ipairs({
      'require("goroutines").sleep(0.3)',
      'require("goroutines") local c = os.clock() while os.clock() < c + 0.3 do end',
    }) do
      local count = lines_of(script)
      assert.is_true(count >= 5 and count <= 40, count)
    end
  end)

  it("counts the goroutines", function()
    local _, text = lines_of([[
      local go = require("goroutines")
      local quit = go.chan()
      for _ = 1, 123 do go(quit.recv, quit) end
      go.sleep(0.3)
    ]])
    assert.matches("goroutines=124 ", text, 1, true)
  end)

  it("is told when it is not understood", function()
    for _, word in ipairs({ "schedtrace", "schedtrace=", "schedtrace=0", "schedtrace=1s",
      "schedtrace=-5", "x" }) do
      local result = helper.lua({ 'require("goroutines") print("runs")',
        env = { GOROUTINES_DEBUG = word .. ",sigquit" } })
      assert.equal("runs\n", result.stdout)
      assert.matches("GOROUTINES_DEBUG has '" .. word .. "'", result.stderr, 1, true)
    end
  end)
end)

describe("GOROUTINES_DEBUG=sigquit", function()
  local function run(script)
    return helper.lua({ [[
      local go = require("goroutines")
      local function quit() go.process.run({ "sh", "-c", "kill -QUIT $PPID" }) end
    ]] .. script, env = { GOROUTINES_DEBUG = "schedtrace=100000,sigquit" } })
  end

  it("writes where all are, each time, and the program goes on", function()
    local result = run([[
      local ch = go.chan()
      local task = go.spawn({ name = "waits here" }, function() return ch:recv() end)
      for _ = 1, 3 do
        quit()
        go.sleep(0.05)
      end
      ch:send("went on")
      print(select(2, task:join()))
    ]])
    assert.equal("went on\n", result.stdout)
    assert.equal(0, result.code)
    local _, count = result.stderr:gsub('goroutine %d+ "waits here" %[chan receive', "")
    assert.equal(3, count)
    assert.matches("goroutine 1 [", result.stderr, 1, true)
  end)

  it("does so where main is one that computes, on the only processor", function()
    local result = run([[
      go.procs(1)
      local ch = go.chan()
      go.spawn({ name = "waits here" }, ch.recv, ch)
      go.yield()
      quit()
      local c = os.clock()
      while os.clock() < c + 0.2 do end
    ]])
    assert.equal(0, result.code)
    assert.matches('"waits here" [chan receive', result.stderr, 1, true)
  end)

  it("keeps no deadlock from being found", function()
    local result = run("go.chan():recv()")
    assert.equal(1, result.code)
    assert.matches("all goroutines are asleep - deadlock!", result.stderr, 1, true)
  end)
end)
