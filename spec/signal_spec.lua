-- Signals of the process. Scripts run in processes of their own; `kill` there
-- sends a signal to the script itself. Cases named P22 are Go's, from os/signal.

local go = require("goroutines")
local helper = require("spec.helper")

local PRELUDE = [[
  local go = require("goroutines")
  local pid = go.process.run({ "sh", "-c", "echo $PPID" }).stdout:match("%d+")
  local function kill(...)
    for _, name in ipairs({ ... }) do
      go.process.run({ "kill", "-" .. name, pid })
    end
  end
]]

local function output(text)
  return helper.output(PRELUDE .. text)
end

local function lua(text)
  return helper.lua(PRELUDE .. text)
end

describe("a signal", function()
  it("is told by name (P22)", function()
    assert.equal("INT\nTERM\nHUP\nUSR1\nWINCH\n", output([[
      local ch = go.signal("INT", "TERM", "HUP", "USR1", "WINCH", "INT")
      assert(ch:capacity() == 16)
      for _, name in ipairs({ "INT", "TERM", "HUP", "USR1", "WINCH" }) do
        kill(name)
        print(ch:recv())
      end
    ]]))
  end)

  it("wakes whoever waits, as in a select", function()
    assert.equal("2\tUSR1\n", output([[
      go(function() go.sleep(0.02) kill("USR1") end)
      print(go.select(go.chan(), go.signal("USR1"), go.after(5)))
    ]]))
  end)

  it("is told to all who listen, and not to one that is full (P22)", function()
    assert.equal("16\t16\t1\n", output([[
      local full, other = go.signal("USR1"), go.signal("USR1", "USR2")
      local twos = go.signal("USR2")
      for i = 1, 16 do
        kill("USR1")
        while #other < i or #full < i do go.yield() end
      end
      kill("USR1")
      go.sleep(0.01)
      kill("USR2")
      while #twos < 1 do go.yield() end
      print(#full, #other, #twos)
    ]]))
  end)

  it("may be sent to another goroutine", function()
    assert.equal("true\tTERM\n", output([[
      local ch = go.signal("TERM")
      local task = go.spawn(function() return ch:recv() end)
      kill("TERM")
      print(task:join())
    ]]))
  end)

  it("comes while all processors compute", function()
    assert.equal("USR1\n", output([[
      local ch = go.signal("USR1")
      for _ = 1, go.procs() do go(function() while true do end end) end
      go.process.spawn({ "kill", "-USR1", pid })
      print(ch:recv())
    ]]))
  end)

  it("has its default again when nobody listens (P22)", function()
    local result = lua([[
      local one, two = go.signal("TERM"), go.signal("TERM")
      one:close()
      kill("TERM")
      print(two:recv())
      two:close()
      kill("TERM")
      go.sleep(5)
    ]])
    assert.same({ "TERM\n", 128 + 15 }, { result.stdout, result.code })
  end)

  it("has its default again when the channel is garbage", function()
    local result = lua([[
      go.signal("TERM")
      collectgarbage()
      collectgarbage()
      go.process.run({ "true" }) -- the loop has run since
      kill("TERM")
      go.sleep(5)
    ]])
    assert.equal(128 + 15, result.code)
  end)

  it("is no longer told after the channel is closed (P22)", function()
    assert.equal("nil\tclosed\nUSR1\n", output([[
      local one, two = go.signal("USR1"), go.signal("USR1")
      one:close()
      kill("USR1")
      print(one:recv())
      print(two:recv())
    ]]))
  end)

  it("INT interrupts main again afterwards", function()
    assert.equal("INT\nfalse\tinterrupted!\n", output([[
      local ch = go.signal("INT")
      kill("INT")
      print(ch:recv())
      ch:close()
      local ok, err = pcall(function() -- it may come before the sleep
        go(function()
          go.sleep(0.05)
          kill("INT")
        end)
        go.sleep(10)
      end)
      print(ok, err:match("interrupted!$"))
    ]]))
  end)

  it("INT is not followed while the program listens", function()
    assert.equal("INT\n", output([[
      local ch = go.signal("INT")
      go.sleep(0.3) -- the monitor falls asleep
      go.process.spawn({ "sh", "-c", "sleep 0.2; kill -INT " .. pid })
      print(ch:recv())
    ]]))
  end)

  it("comes at full rate, and listening is begun and ended at it (P22)",
    function()
      assert.equal("done\n", output([[
        local stop = go.now() + 0.5
        local always = go.signal("USR1")
        local sender = go.process.spawn({ "sh", "-c",
          "while kill -USR1 " .. pid .. "; do :; done", stderr = "null" })
        local tasks = {}
        for i = 1, 4 do
          tasks[i] = go.spawn(function()
            while go.now() < stop do
              local ch = go.signal("USR1", "USR2")
              ch:recv(0.01)
              ch:close()
            end
          end)
        end
        for _, task in ipairs(tasks) do assert(task:join()) end
        assert(always:recv())
        sender:kill("KILL")
        sender:wait()
        print("done")
      ]]))
    end)

  it("CHLD tells of children beside waiting for them", function()
    assert.equal("CHLD\t0\n", output([[
      local ch = go.signal("CHLD")
      local p = go.process.spawn({ "true" })
      local code = p:wait()
      print(ch:recv(), code)
      ch:close()
      assert(go.process.spawn({ "sh", "-c", "exit 3" }):wait() == 3)
    ]]))
  end)

  it("that may come is no deadlock; none may come after close", function()
    local result = lua([[
      local ch = go.signal("USR1")
      go.process.spawn({ "sh", "-c", "sleep 0.2; kill -USR1 " .. pid })
      print(ch:recv())
      ch:close()
      go.chan():recv()
    ]])
    assert.equal("USR1\n", result.stdout)
    assert.matches("all goroutines are asleep", result.stderr)
  end)

  it("that cannot be caught is misuse", function()
    local function check(message, ...)
      local ok, err = pcall(go.signal, ...)
      assert.is_false(ok)
      assert.equal("bad argument " .. message, err)
    end
    check("#1 to 'signal' (string expected, got no value)")
    check("#2 to 'signal' (string expected, got number)", "INT", 2)
    check("#1 to 'signal' (no signal 'SIGINT')", "SIGINT")
    for _, name in ipairs({ "KILL", "STOP", "SEGV", "URG" }) do
      check("#1 to 'signal' (signal '" .. name .. "' cannot be caught)", name)
    end
  end)
end)
