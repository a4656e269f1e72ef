-- What breaks naive runtimes of this kind on stock Lua, libuv and glibc.

local go = require("goroutines")
local helper = require("spec.helper")

-- Runs the script in a fresh interpreter, with some names at hand, and returns
-- what it printed.
local function output(script, options)
  options = options or {}
  options[1] = [[
    local go = require("goroutines")
    local fixture = require("fixture")
    local function since(start) return go.now() - start end
    local function hog() while true do end end
  ]] .. script
  return helper.output(options)
end

describe("a lost arm of the hook", function()
  local LOOPS = {
    ["while"] = "while true do end",
    ["numeric for"] = "for _ = 1, math.maxinteger do end",
    ["goto"] = "::top:: goto top",
    ["repeat with arithmetic"] = "local n = 0 repeat n = n * 3 + 1 until false",
    ["calls"] = "local function f() end while true do f() end",
    ["table access"] = "local t = {1} while true do t[1] = t[1] + 1 end",
    ["coroutine"] = [[
      local f = coroutine.wrap(function()
        while true do coroutine.yield() end
      end)
      while true do f() end
    ]],
  }

  -- Two hogs on a processor take turns for two seconds at most: a thousand
  -- preemptions in slices of 100 microseconds, or some arm was lost for good.
  local function takes_turns(loop, hook)
    return output(([[
      go.procs(1)
      go.configure({ time_slice = 0.0001 })
      for _ = 1, 2 do
        go(function()
          %s
          %s
        end)
      end
      local start = go.now()
      repeat
        go.sleep(0.001)
      until go.stats().preemptions > 1000 or since(start) > 8
      print(go.stats().preemptions > 1000)
    ]]):format(hook, loop), { limit = 20 })
  end

  for name, loop in pairs(LOOPS) do
    it("is followed by another: " .. name, function()
      assert.equal("true\n", takes_turns(loop, ""))
    end)

    it("is followed by another, beside a line hook: " .. name, function()
      local hook = 'debug.sethook(function() end, "l")'
      assert.equal("true\n", takes_turns(loop, hook))
    end)
  end
end)

describe("a coroutine that is resumed behind our back", function()
  it("is preempted: by a resume that was kept from before", function()
    assert.equal("true\n", helper.output([[
      local resume = coroutine.resume
      local go = require("goroutines")
      go.procs(1)
      local co = coroutine.create(function()
        for i = 1, 60000000 do end
        return true
      end)
      local late = go.spawn(function()
        local worst = 0
        for _ = 1, 5 do
          local start = go.now()
          go.sleep(0.001)
          worst = math.max(worst, go.now() - start)
        end
        return worst < 0.2
      end)
      resume(co)
      print(select(2, late:join()))
    ]]))
  end)

  it("is preempted: by a C library", function()
    assert.equal("true\n", output([[
      go.procs(1)
      go(function()
        local resume = require("fixture").resume
        resume(coroutine.create(function() while true do end end))
      end)
      local start = go.now()
      go.sleep(0.01)
      print(since(start) < 1)
    ]]))
  end)
end)

describe("a call of a C module that blocks unannounced", function()
  it("runs its full time: signals do not cut it short", function()
    assert.equal("true\ttrue\ttrue\ttrue\n", output([[
      local ready = go.chan(1)
      local task = go.spawn(function()
        local f = require("fixture")
        ready:send(true)
        return f.nanosleep(0.2), f.select(0.2), f.usleep(0.2)
      end)
      ready:recv()
      for _ = 1, 3 do go(hog) end
      print(task:join())
    ]]))
  end)

  it("is not cut short either where it has to wait for a CPU again", function()
    assert.equal("true\n", output([[
      local ready = go.chan(1)
      local task = go.spawn(function()
        local f = require("fixture")
        ready:send(true)
        for _ = 1, 10 do
          if not (f.nanosleep(0.02) and f.select(0.02) and f.usleep(0.02)) then
            return false
          end
        end
        return true
      end)
      ready:recv()
      for _ = 1, 8 do go(hog) end
      print(select(2, task:join()))
    ]], { env = { GOROUTINES_PROCS = 8 } }))
  end)

  it("does not hold up main", function()
    for _, how in ipairs({
      'require("fixture").nanosleep(2)', "fixture.nanosleep(2)",
      "fixture.spin(2)",
    }) do
      for procs = 1, 2 do
        assert.equal("true\n", output(([[
          local start = go.now()
          go(function() %s end)
          go.sleep(0.1)
          print(since(start) < 0.5)
        ]]):format(how), { env = { GOROUTINES_PROCS = procs } }))
      end
    end
  end)

  it("does not hold up others on the only processor", function()
    assert.equal("true\n", output([[
      go.procs(1)
      for _ = 1, 4 do go(function() fixture.nanosleep(1) end) end
      local start = go.now()
      local ticks = 0
      for _ in go.ticker(0.01) do
        ticks = ticks + 1
        if since(start) > 0.5 then break end
      end
      print(ticks > 30)
    ]]))
  end)

  it("may be short and come again and again", function()
    for _, seconds in ipairs({ 0.00001, 0.0001, 0.001 }) do
      assert.equal("done\n", output(([[
        go.procs(2)
        go.configure({ time_slice = 0.0001 })
        local tasks = {}
        for i = 1, 8 do
          tasks[i] = go.spawn(function()
            local last = go.now() + 0.3
            while go.now() < last do
              fixture.nanosleep(%g)
              go.yield()
            end
          end)
        end
        for _, task in ipairs(tasks) do assert(task:join()) end
        print("done")
      ]]):format(seconds)))
    end
  end)

  it("leaves main on its thread when that is locked", function()
    assert.equal("true\n", output([[
      go.lock_thread()
      local thread = fixture.thread()
      go(function() require("fixture").nanosleep(0.3) end)
      go.sleep(0.05)
      print(fixture.thread() == thread)
    ]]))
  end)
end)

describe("a lock of C code that belongs to its thread", function()
  it("can be unlocked after a wait on a locked thread", function()
    assert.equal("true\ttrue\n", output([[
      go.procs(2)
      for _ = 1, 3 do go(hog) end
      local task = go.spawn({ thread = true }, function()
        return require("fixture").locked(function() go.sleep(0.02) end)
      end)
      print(task:join())
    ]]))
  end)
end)

describe("a signal to the process", function()
  it("ends a child of os.execute in a goroutine", function()
    assert.equal("signal\t15\n", output([[
      print(select(2, select(2, go.spawn(function()
        return os.execute("kill -TERM $$")
      end):join())))
    ]]))
  end)

  it("interrupts a main that waits", function()
    for _, wait in ipairs({
      "go.chan():recv()", "go.sleep(9)", "go.select()", "go.barrier(2):wait()",
      "local m = go.mutex(); m:lock(); m:lock()", "go.waitgroup(1):wait()",
      "local m = go.rwmutex(); m:lock(); m:rlock()",
      "local m = go.mutex(); m:lock(); go.cond(m):wait()",
      "local s = go.semaphore(1); s:acquire(); s:acquire(1, 9)",
      [[local o, inside = go.once(), go.chan()
        local function wait() inside:close() go.sleep(9) end
        go(function() o:run(wait) end)
        inside:recv()
        o:run(print)]],
      [[local m, inside = go.map(), go.chan()
        local function wait() inside:close() go.sleep(9) end
        go(function() m:update(1, wait) end)
        inside:recv()
        m:set(1, { "text" })]],
    }) do
      local result = helper.lua({ ([[
        local go = require("goroutines")
        local keep = go.timer(9, print)
        local pipe = io.popen("sleep 0.2; kill -INT $PPID")
        %s
      ]]):format(wait), limit = 5 })
      assert.matches("interrupted!", result.stderr, nil, nil, wait)
      assert.equal(1, result.code)
    end
  end)

  it("interrupts a main that waits beside goroutines that compute", function()
    local result = helper.lua({ [[
      local go = require("goroutines")
      for _ = 1, 4 do go(function() while true do end end) end
      io.popen("sleep 0.2; kill -INT $PPID")
      go.chan():recv()
    ]], limit = 5 })
    assert.matches("interrupted!", result.stderr)
  end)
end)

describe("a broken pipe", function()
  it("is an error that a goroutine survives", function()
    assert.equal("true\ttrue\n", output([[
      print(go.spawn(function()
        local pipe = io.popen("exit 0", "w")
        go.sleep(0.1)
        pipe:setvbuf("no")
        return pipe:write(("x"):rep(100000)) == nil
      end):join())
    ]]))
  end)

  it("ends the process when it is its standard output", function()
    local file = helper.script([[
      local go = require("goroutines")
      go(function() while true do print("line") end end)
      go.chan():recv()
    ]])
    local pipe = io.popen(("timeout -s KILL 5 bash -c '%s %s | head -n 1; " ..
      "echo ${PIPESTATUS[0]}'"):format(helper.command:gsub("'", ""), file))
    assert.equal("line\n141\n", pipe:read("a"))
    pipe:close()
    os.remove(file)
  end)
end)

describe("a finalizer", function()
  it("may wait, also while its state is closed", function()
    assert.equal("true\tclosed\nfinalized\n", output([[
      local gate, said = go.chan(), go.chan(1)
      local task = go.spawn(function()
        _G.kept = setmetatable({}, { __gc = function()
          gate:recv()
          said:send("finalized")
        end })
        return "closed"
      end)
      go(function() go.sleep(0.02) gate:send(true) end)
      print(task:join())
      print(said:recv())
    ]]))
  end)

  it("may wait in the middle of anything that allocates", function()
    assert.equal("true\t200\n", output([[
      go.procs(2)
      print(go.spawn(function()
        local n = 0
        for i = 1, 200 do
          setmetatable({}, { __gc = function() go.sleep(0.0001) n = n + 1 end })
          collectgarbage()
        end
        return n
      end):join())
    ]]))
  end)
end)

describe("a sleep", function()
  it("does not end early after long computing", function()
    for procs = 1, 2 do
      local _ <close> = helper.procs(procs)
      local early = go.spawn(function()
        local start = go.now()
        while go.now() - start < 0.08 do end
        start = go.now()
        go.sleep(0.05)
        return go.now() - start < 0.05
      end)
      assert.same({ true, false }, { early:join() })
    end
  end)
end)

describe("a sleep while signals rain on the process", function()
  it("neither ends early nor lasts longer", function()
    assert.equal("true\ttrue\n", output([[
      local sender = io.popen("for i in $(seq 400); do kill -URG $PPID || exit; " ..
        "kill -WINCH $PPID; kill -CHLD $PPID; done 2>/dev/null")
      local function sleep()
        local start = go.now()
        for _ = 1, 20 do
          go.sleep(0.01)
        end
        return since(start)
      end
      local task = go.spawn(sleep)
      local in_main, _, in_task = sleep(), task:join()
      sender:close()
      print(in_main >= 0.2 and in_task >= 0.2, in_main < 2 and in_task < 2)
    ]], { limit = 20 }))
  end)
end)

describe("many processors", function()
  it("fit into the usual limit of descriptors, or are refused", function()
    assert.equal("true\n", output([[
      local done, why = pcall(go.procs, 1024)
      print(done or why:match("descriptors") ~= nil)
      go.procs(2)
    ]]))
    local file = helper.script([[
      local go = require("goroutines")
      local done, why = pcall(go.procs, 1024)
      print(done, why:match("no memory or no file descriptors") ~= nil)
      print(go.procs() <= 2, go.spawn(function() return 7 end):join())
    ]])
    local pipe = io.popen(("ulimit -n 100; GOROUTINES_PROCS=2 %s %s"):format(
      helper.command, file))
    assert.equal("false\ttrue\ntrue\ttrue\t7\n", pipe:read("a"))
    pipe:close()
    os.remove(file)
  end)
end)

describe("stacks", function()
  it("go without guards where an older kernel has no mappings left", function()
    assert.equal("true\ttrue\n", output([[
      local gate, up = go.chan(), go.chan(20000)
      for _ = 1, 20000 do
        go(function() up:send(true) gate:recv() end)
      end
      for _ = 1, 20000 do up:recv() end
      local unguarded = go.stats().stacks_without_guard
      gate:close()
      print(unguarded > 0, unguarded < 20000)
    ]], { env = { GOROUTINES_GUARDS = "mprotect" }, limit = 25 }))
  end)

  it("name the goroutine that overflows its own in C code", function()
    local result = helper.lua({ [[
      local go = require("goroutines")
      go.spawn(function() return require("fixture").deep(4096) end):join()
    ]] })
    assert.is_true(result.code ~= 0)
    assert.matches("stack.overflow", result.stderr)
  end)

  it("are as large as they were configured", function()
    assert.equal("true\t0\n", output([[
      go.configure({ stack_size = 8 * 1024 * 1024 })
      print(go.spawn(function()
        return require("fixture").deep(4096)
      end):join())
    ]]))
  end)

  it("are deep enough for Lua's own limits", function()
    local nested = go.spawn(function()
      local depth = 0
      local function deeper()
        depth = depth + 1
        return (("x"):gsub("x", deeper))
      end
      local ok, err = pcall(deeper)
      return ok, tostring(err):match("C stack overflow") ~= nil, depth > 100
    end)
    assert.same({ true, false, true, true }, { nested:join() })
  end)
end)
