local helper = require("spec.helper")

local PRELUDE = 'local go = require("goroutines")\n'

-- Runs a script with `go` at hand.
local function run(script, options)
  local all = { PRELUDE .. script }
  for key, value in pairs(options or {}) do
    all[key] = value
  end
  return helper.lua(all)
end

-- What goroutines may be doing when the process ends.
local OTHERS = {
  { "none", "" },
  { "a hog", "go(function() while true do end end)" },
  { "many hogs", [[
    for _ = 1, 8 do
      go(function() while true do end end)
    end
  ]] },
  { "a waiting one", "go(function() go.chan():recv() end)" },
  { "a sleeping one", "go(function() go.sleep(3600) end)" },
  { "a joining one", [[
    local self = go.self()
    go(function() self:join() end)
  ]] },
  { "a child process", 'go(function() os.execute("exec sleep 5") end)' },
  { "a read of a pipe", [[
    go(function() io.popen("exec sleep 5"):read("a") end)
  ]] },
  { "a long call of a C function", [[
    go(function()
      return (("a"):rep(40):find(("a?"):rep(40) .. ("a"):rep(40)))
    end)
  ]] },
  { "a ping-pong", [[
    local ping, pong = go.chan(), go.chan()
    go(function() while true do pong:send(ping:recv()) end end)
    go(function() while true do ping:send(1) pong:recv() end end)
  ]] },
  { "one that spawns for ever", [[
    local function respawn() go(respawn) end
    go(respawn)
  ]] },
  { "one that makes garbage", [[
    go(function() while true do local _ = { {} } end end)
  ]] },
  { "timers and tickers", [[
    local function again() go.timer(1e-4, again) end
    again()
    local ticker = go.ticker(1e-4)
    go(function() for _ in ticker do end end)
  ]] },
  { "many that have just begun", [[
    for i = 1, 200 do
      go(function(n) return n end, i)
    end
  ]] },
}

-- Ways in which main ends, with the status they give.
local ENDS = {
  { "returns", "", 0 },
  { "calls os.exit", "os.exit(3)", 3 },
  { "calls os.exit and closes the state", "os.exit(true, true)", 0 },
  { "fails", 'error("main failed")', 1 },
}

describe("the end of main", function()
  for _, row in ipairs(OTHERS) do
    local name, script = table.unpack(row)
    it("ends the process beside others: " .. name, function()
      for _, ending in ipairs(ENDS) do
        local how, last, code = table.unpack(ending)
        local result = run(script .. "\ngo.sleep(0.005)\n" .. last)
        assert.equal(code, result.code, how)
        assert.equal("", result.stdout)
        assert.equal(how == "fails", result.stderr ~= "", result.stderr)
        assert.is_true(result.seconds < helper.within(0.3), how)
      end
    end)
  end

  it("loses no output", function()
    local expected = {}
    for i = 1, 10000 do
      expected[i] = ("line %d\n"):format(i)
    end
    expected = table.concat(expected)
    for _, last in ipairs({ "", "os.exit(0)", "os.exit(0, true)" }) do
      local result = run([[
        go(function() while true do end end)
        for i = 1, 10000 do
          print("line " .. i)
        end
      ]] .. last)
      assert.is_true(result.stdout == expected)
      assert.equal(0, result.code)
    end
  end)

  it("runs no handler of the goroutines that it stops", function()
    local result = run([[
      local ready = go.chan()
      go(function()
        local handler = function() print("handler") end
        local meta = { __close = handler, __gc = handler }
        local _ <close> = setmetatable({}, meta)
        ready:send(true)
        go.chan():recv()
      end)
      ready:recv()
    ]])
    assert.equal("", result.stdout)
    assert.equal("", result.stderr)
    assert.equal(0, result.code)
  end)

  it("runs the handlers of main", function()
    local result = run([[
      setmetatable({}, { __gc = function() print("gc") end })
      local _ <close> = setmetatable({}, { __close = function()
        print("close")
      end })
      go(function() while true do end end)
    ]])
    assert.equal("close\ngc\n", result.stdout)
    assert.equal(0, result.code)
  end)

  it("reports an error of main", function()
    local result = run([[
      go(function() while true do end end)
      error("main failed")
    ]])
    assert.equal(1, result.code)
    assert.matches("main failed", result.stderr)
    assert.matches("stack traceback:", result.stderr)
  end)
end)

describe("os.exit in a goroutine", function()
  it("ends the process with its status", function()
    for _, main in ipairs({ "go.chan():recv()", "while true do end" }) do
      local result = run([[
        go(function()
          print("output")
          os.exit(3)
        end)
      ]] .. main)
      assert.equal(3, result.code)
      assert.equal("output\n", result.stdout)
      assert.equal("", result.stderr)
      assert.is_true(result.seconds < helper.within(0.5))
    end
  end)

  it("knows true, false, and the closing of the state", function()
    for call, code in pairs({
      ["os.exit()"] = 0, ["os.exit(true)"] = 0, ["os.exit(false)"] = 1,
      ["os.exit(7, true)"] = 7,
    }) do
      local result = run(("go(function() %s end) go.sleep(5)"):format(call))
      assert.equal(code, result.code, call)
      assert.equal("", result.stderr)
    end
  end)

  it("may happen in many of them at once", function()
    local result = run([[
      for _ = 1, 20 do
        go(function() os.exit(4) end)
      end
      go.sleep(5)
    ]])
    assert.equal(4, result.code)
    assert.equal("", result.stderr)
  end)
end)

describe("the interpreter", function()
  local script = [[
    local ch = go.chan()
    go(function() ch:send("from a goroutine") end)
    print(ch:recv())
  ]]

  it("runs a script from its standard input", function()
    local result = helper.lua({ args = "-", stdin = PRELUDE .. script })
    assert.equal("from a goroutine\n", result.stdout)
    assert.equal("", result.stderr)
    assert.equal(0, result.code)
  end)

  it("runs a chunk of its command line", function()
    local result = helper.lua({
      args = [[-e 'go = require("goroutines")' -e 'go.sleep(0) print(1)']],
    })
    assert.equal("1\n", result.stdout)
    assert.equal(0, result.code)
  end)

  it("loads the module by an option", function()
    local result = helper.lua({ args = "-lgoroutines", [[
      goroutines.sleep(0.001)
      print("slept")
    ]] })
    assert.equal("slept\n", result.stdout)
    assert.equal(0, result.code)
  end)

  it("works in its interactive mode", function()
    local result = helper.lua({ args = "-i", stdin = [[
go = require("goroutines")
ch = go.chan()
go(function(c) c:send("from a goroutine") end, ch)
ch:recv()
go.chan():recv()
go.spawn(function() return 6 * 7 end):join()
go(function() while true do end end)
"the end"
]] })
    assert.matches("from a goroutine", result.stdout)
    assert.matches("all goroutines are asleep", result.stderr)
    assert.matches("true\t42", result.stdout)
    assert.matches("the end", result.stdout)
    assert.equal(0, result.code)
  end)

  it("runs a script that loads the module in a coroutine", function()
    local result = helper.lua([[
      local ch = coroutine.wrap(function()
        local go = require("goroutines")
        local out = go.chan()
        go(function() out:send("v") end)
        return out:recv()
      end)()
      print(ch)
    ]])
    assert.equal("v\n", result.stdout)
    assert.equal(0, result.code)
  end)
end)
