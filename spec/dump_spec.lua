-- go.dump: where all goroutines are while they run.

local go = require("goroutines")
local helper = require("spec.helper")

-- What go.dump writes, as a table from goroutine's title to its paragraph.
local function dump()
  local name = os.tmpname()
  assert(go.dump(name))
  local file <close> = io.open(name)
  local text = file:read("a")
  os.remove(name)
  local all = {}
  for title, rest in text:gmatch("(goroutine %d+[^\n]-) (%[.-)\n\n") do
    all[title] = rest
  end
  return all, text
end

local function title(task)
  return ("goroutine %d"):format(task.id) .. (task.name and ' "' .. task.name .. '"' or "")
end

describe("go.dump", function()
  it("tells what each goroutine does", function()
    local quit, mutex = go.chan(), go.mutex()
    mutex:lock()
    local function inner(f, ...) return true, f(...) end
    local tasks = {
      ["[chan receive]"] = helper.blocked(function() return inner(quit.recv, quit) end),
      ["[select]"] = helper.blocked(function()
        return coroutine.wrap(function() return inner(go.select, quit, go.after(100)) end)()
      end),
      ["[mutex lock]"] = helper.blocked(function() mutex:lock() mutex:unlock() end),
    }
    local all = dump()
    for state, task in pairs(tasks) do
      local text = all[title(task)]
      assert.equal(state .. ":", text:match("^[^\n]*"))
      assert.truthy(text:find("dump_spec.lua:%d+: in function"), text)
      assert.truthy(text:find("started by goroutine %d+ at [^\n]*:%d+$"), text)
    end
    assert.truthy(all[title(go.self())]:find("^%[running%]"))
    assert.truthy(all[title(tasks["[mutex lock]"])]:find("which goroutine 1 holds", 1, true))
    quit:close()
    mutex:unlock()
    for _, task in pairs(tasks) do task:join() end
  end)

  it("tells which descriptor is waited for, and of whom", function()
    local listener = assert(go.net.listen("127.0.0.1", 0))
    local accepts = helper.blocked(function() return listener:accept() end)
    local at = ("(127.0.0.1 port %d)"):format(listener:port())
    assert.matches("waiting to accept from descriptor %d+ " .. at:gsub("%p", "%%%0"),
      dump()[title(accepts)])
    local conn = assert(go.net.connect("127.0.0.1", listener:port()))
    local _, other = accepts:join()
    local reads = helper.blocked(function() return conn:read() end)
    assert.matches("waiting to read from descriptor %d+ " .. at:gsub("%p", "%%%0"),
      dump()[title(reads)])
    other:close()
    reads:join()
    conn:close()
    listener:close()
  end)

  it("tells names, and how long a goroutine has waited", function()
    local quit = go.chan()
    local task = go.spawn({ name = "worker" }, function() quit:recv() end)
    go.sleep(0.25)
    local text = dump()[title(task)]
    local seconds = tonumber(text:match("^%[chan receive, ([%d.]+) s%]"))
    assert.truthy(seconds and seconds > 0.1 and seconds < helper.within(1), text)
    quit:close()
    task:join()
  end)

  it("has hogs give way, and says what is in C", function()
    local stop = go.chan(1)
    local hogs = {}
    for i = 1, 3 do
      hogs[i] = go.spawn(function() while #stop == 0 do end end)
    end
    local blocker = go.spawn(function() os.execute("sleep 0.5") end)
    go.sleep(0.1)
    local all = dump()
    for i = 1, 3 do
      local text = all[title(hogs[i])]
      assert.truthy(text:find("^%[runnable%]:\n\t[^\n]*dump_spec.lua:%d+: in"), text)
    end
    assert.truthy(all[title(blocker)]:find("^%[running in C%]"))
    stop:send(true)
    for i = 1, 3 do hogs[i]:join() end
    blocker:join()
  end)

  it("names those that are leaked", function()
    assert.equal("1\n", helper.output({ [[
      local go = require("goroutines")
      go(function() go.chan():recv() end)
      go(go.sleep, 100)
      go.sleep(0.15)
      local file = io.tmpfile()
      go.dump(file)
      file:seek("set")
      local _, count = file:read("a"):gsub("%[chan receive, [%d.]+ s, leaked%]", "")
      print(count)
    ]] }))
  end)

  it("writes to stderr, a path or a file", function()
    local script = [[
      local go = require("goroutines")
      local name = os.tmpname()
      assert(go.dump() == true)
      assert(go.dump(name) == true)
      local file = io.open(name, "a+")
      assert(go.dump(file) == true)
      file:seek("set")
      io.write(file:read("a"))
      os.remove(name)
    ]]
    local result = helper.lua({ script })
    local first = "goroutine 1 [running]:\n"
    assert.equal(first, result.stderr:sub(1, #first))
    assert.equal(2, select(2, result.stdout:gsub("goroutine 1 %[running%]", "")))
  end)

  it("tells why it cannot be written", function()
    local ok, message, code = go.dump("/nonexistent/file")
    assert.same({ nil, "/nonexistent/file: no such file or directory", "ENOENT" },
      { ok, message, code })
    local full = io.open("/dev/full", "w")
    if full then
      full:setvbuf("full")
      ok, message, code = go.dump(full)
      assert.is_nil(ok)
      assert.matches("^no space left", message)
      assert.equal("ENOSPC", code)
      full:close()
    end
  end)

  it("checks its argument", function()
    local closed = io.tmpfile()
    closed:close()
    for _, case in ipairs({
      { closed, "bad argument #1 to 'dump' (a closed file)" },
      { {}, "bad argument #1 to 'dump' (path or file expected, got table)" },
      { 1, "bad argument #1 to 'dump' (path or file expected, got number)" },
    }) do
      local ok, err = pcall(go.dump, case[1])
      assert.is_false(ok)
      assert.equal(case[2], err)
    end
    assert.is_false((pcall(go.dump, nil, 1)))
  end)

  it("may be called by many at once while goroutines come and go", function()
    local tasks = {}
    for i = 1, 4 do
      tasks[i] = go.spawn(function()
        local null <close> = io.open("/dev/null", "w")
        for _ = 1, 50 do go.dump(null) end
      end)
    end
    local come = go.spawn(function()
      for _ = 1, 500 do go.spawn(function() go.yield() end):join() end
    end)
    for i = 1, 4 do assert.is_true((tasks[i]:join())) end
    come:join()
  end)
end)
