-- Functions of the standard libraries that block: they stall nobody else, and
-- do what the stock ones do.

local helper = require("spec.helper")

local function output(script, options)
  options = options or {}
  options[1] = 'local go = require("goroutines")\n' .. script
  return helper.output(options)
end

-- Statements that block for a second or for ever, announced or not.
local BLOCKS = {
  ["os.execute"] = 'os.execute("sleep 1")',
  ["io.popen and read"] = 'io.popen("sleep 1"):read("a")',
  ["io.popen and close"] = 'io.popen("sleep 1"):close()',
  ["io.popen and lines"] = 'for _ in io.popen("sleep 1"):lines() do end',
  ["io.lines"] = 'for _ in io.lines(fifo) do end',
  ["io.open"] = 'io.open(fifo)',
  ["io.read"] = 'io.input(io.popen("sleep 1")) io.read()',
  ["go.blocking"] = 'go.blocking(os.execute, "sleep 1")',
}

local TICKS = [[
  go.procs(1)
  local fifo = os.tmpname()
  os.remove(fifo)
  assert(os.execute("mkfifo " .. fifo))
  for _ = 1, 100 do go(function() while true do go.sleep(0.02) end end) end
  local tasks, start, late, last = {}, go.now(), {}, nil
  for i = 1, 4 do tasks[i] = go.spawn(function() %s end) end
  for now in go.ticker(0.01) do
    late[#late + 1] = now - (last or now)
    last = now
    if now - start > 0.4 then break end
  end
  os.remove(fifo)
  table.sort(late)
  print(#late > 25, late[#late - 2] < %f)
]]

describe("a function that blocks", function()
  for name, statement in pairs(BLOCKS) do
    it("leaves the only processor to others: " .. name, function()
      assert.equal("true\ttrue\n", output(
        TICKS:format(statement, helper.within(0.025))))
    end)
  end

  it("takes the time of one, however many call it on one processor", function()
    assert.equal("true\ttrue\n", output(([[
      go.procs(1)
      local start, tasks = go.now(), {}
      for i = 1, 20 do
        tasks[i] = go.spawn(function() return os.execute("sleep 0.5") end)
      end
      local ok = true
      for i = 1, 20 do ok = ok and select(2, tasks[i]:join()) end
      print(ok, go.now() - start < 0.5 + %f)
    ]]):format(helper.within(0.5))))
  end)

  it("blocks main alone when main calls it", function()
    assert.equal("true\n", output([[
      local n = 0
      local counter = go.chan(1)
      go(function()
        local count = 0
        while not counter:recv(0) do
          go.sleep(0.01)
          count = count + 1
        end
        counter:send(count)
      end)
      os.execute("sleep 0.5")
      counter:send(true)
      go.sleep(0.1)
      print(counter:recv() > 20)
    ]]))
  end)

  it("may raise, and the goroutine goes on", function()
    assert.equal("100\n", output([[
      go.procs(1)
      local file = io.tmpfile()
      file:close()
      go(function() while true do end end)
      local task = go.spawn(function()
        local count = 0
        local f = io.tmpfile()
        f:close()
        for _ = 1, 100 do
          if not pcall(f.read, f) then count = count + 1 end
          for _ = 1, 10000 do end
        end
        return count
      end)
      print(select(2, task:join()))
    ]]))
  end)
end)

-- Each is run by plain Lua and in a goroutine.
local CALLS = {
  'io.write("a", 1, 2.5, 3.0, 2^63, 1e100, -0.0, math.mininteger, "\\n")',
  'io.stdout:write("x", "y", 1.0, "\\n") == io.stdout',
  'pcall(io.write, "a", {})',
  'pcall(io.stdout.write, io.stdout, "a", 1, nil)',
  "pcall(io.stdout.write)",
  "pcall(io.read, 'x')",
  'io.open("/nonexistent/file")',
  'pcall(io.lines, "/nonexistent/file")',
  'pcall(io.open, "x", "mode")',
  'io.close(io.popen("exit 3"))',
  'io.popen("echo one; echo two"):read("L", "l")',
  'os.execute("exit 5")',
  "os.execute()",
  'os.remove("/nonexistent/file")',
  'os.rename("/nonexistent/a", "/nonexistent/b")',
  "pcall(os.remove)",
  "io.type(io.tmpfile())",
  [[(function()
    local f <close> = io.tmpfile()
    f:setvbuf("full", 1024)
    f:write("1 2.5 0x10\n", "line\n", "\n", "rest")
    f:flush()
    return f:seek("set", 0), f:read("n", "n", "n", "L", "l", "l", 2, "a", "a", "l")
  end)()]],
  [[(function()
    local name, all = os.tmpname(), {}
    local f = io.open(name, "w")
    f:write("a\nb\n", "c")
    f:close()
    for line, more in io.lines(name, "L", 1) do all[#all + 1] = line .. tostring(more) end
    for line in io.open(name):lines() do all[#all + 1] = line end
    io.input(name)
    for line in io.lines() do all[#all + 1] = line end
    all[#all + 1] = tostring(pcall(io.lines()))
    io.output(name):write("new")
    io.close()
    all[#all + 1] = io.open(name):read("a")
    os.remove(name)
    return table.concat(all, "|")
  end)()]],
  [[(function()
    local f = io.tmpfile()
    local next_line = f:lines()
    f:close()
    return pcall(next_line)
  end)()]],
  [[(function()
    local _ <close> = io.popen("exit 0")
    return tostring(_):match("^file")
  end)()]],
}

describe("a replaced function", function()
  it("does what the stock one does", function()
    for _, call in ipairs(CALLS) do
      local script = ([[
        %s
          io.stdout:setvbuf("no")
          print(%s)
        %s
      ]])
      local plain = helper.output({ script:format("do", call, "end") })
      local ours = output(script:format("go.spawn(function()", call, "end):join()"))
      assert.equal((plain:gsub("0x%x+", "0x")), (ours:gsub("0x%x+", "0x")), call)
    end
  end)

  it("stays away where the program has its own", function()
    assert.equal("mine\tmine\n", helper.output({ [[
      local function mine() return "mine" end
      io.read, os.remove = mine, mine
      require("goroutines")
      print(io.read(), os.remove())
    ]] }))
  end)

  it("closes files in children", function()
    assert.equal("true\ttrue\n", output(([[
      local name = os.tmpname()
      local files = { io.open(name), io.tmpfile(), io.input(name), io.lines(name) }
      local links = io.popen("ls -l /proc/self/fd"):read("a")
      os.remove(name)
      local cat = io.popen("cat >/dev/null", "w")
      go(os.execute, "sleep 2")
      go.sleep(0.1)
      local start = go.now()
      cat:close() -- waits for its end, which another child might hold open
      print(not links:find(name, 1, true) and #files > 3, go.now() - start < %f)
    ]]):format(helper.within(1))))
  end)

  it("writes what it is given in one piece", function()
    local text = output([[
      local tasks = {}
      for id = 1, 8 do
        tasks[id] = go.spawn(function()
          for n = 1, 1000 do io.write("<", id, " ", n, ">\n") end
        end)
      end
      for id = 1, 8 do tasks[id]:join() end
      io.stdout:flush()
    ]])
    local _, lines = text:gsub("<%d %d+>\n", "")
    assert.equal("", (text:gsub("<%d %d+>\n", "")))
    assert.equal(8000, lines)
  end)
end)
