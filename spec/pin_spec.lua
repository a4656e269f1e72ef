-- C code that holds what belongs to its thread while it calls back into Lua,
-- as SQLite does around functions of its users.

local helper = require("spec.helper")

-- Runs a script beside hogs, on two processors and with short slices.
local function output(script, options)
  options = options or { limit = 25 }
  options[1] = [[
    local go = require("goroutines")
    go.procs(2)
    go.configure({ time_slice = 0.0001 })
    for _ = 1, 3 do
      go(function() while true do end end)
    end
    -- How often f(lock, callback) was not right, in some goroutines at once.
    local function count_wrong(kind, f)
      local tasks, wrong = {}, 0
      for i = 1, 4 do
        tasks[i] = go.spawn(function()
          local lock, wrong = require("fixture")[kind], 0
          for _ = 1, 20 do
            wrong = wrong + (f(lock) and 0 or 1)
          end
          return wrong
        end)
      end
      for i = 1, 4 do
        local _, n = assert(tasks[i]:join())
        wrong = wrong + n
      end
      return wrong
    end
  ]] .. script
  return helper.output(options)
end

-- What goes on in the callback.
local CALLBACKS = {
  { "that sleeps", "return lock(function() go.sleep(0.0005) end)" },
  { "that yields", "return lock(function() go.yield() go.yield() end)" },
  { "that is preempted", [[
    return lock(function() for _ = 1, 40000 do end end)
  ]] },
  { "that communicates", [[
    local ch = go.chan()
    go(function() ch:send(1) end)
    return lock(function() ch:recv() end)
  ]] },
  { "that is itself a wait", "return lock(go.yield)" },
  { "that waits in a coroutine", [[
    return lock(function()
      coroutine.wrap(function() go.sleep(0.0005) end)()
    end)
  ]] },
  { "that is in a coroutine itself", [[
    return coroutine.wrap(function()
      return lock(function()
        coroutine.wrap(function() go.yield() end)()
        go.sleep(0.0005)
      end)
    end)()
  ]] },
  { "below callbacks of the standard library", [[
    local right
    table.sort({ 1, 2 }, function()
      ("x"):gsub("x", function()
        right = lock(function() pcall(go.sleep, 0.0005) end)
      end)
      return false
    end)
    return right
  ]] },
  { "that raises after a wait", [[
    local ok, err = pcall(lock, function()
      go.sleep(0.0005)
      error("raised", 0)
    end)
    return not ok and err == "raised"
  ]] },
}

describe("a lock of C code that belongs to its thread", function()
  for _, row in ipairs(CALLBACKS) do
    local name, body = table.unpack(row)
    it("is held around a callback " .. name, function()
      for _, kind in ipairs({ "locked", "locked_once" }) do
        assert.equal("0\n", output(([[
          print(count_wrong(%q, function(lock) %s end))
        ]]):format(kind, body)))
      end
    end)
  end

  it("may be recursive, and taken again in the callback", function()
    assert.equal("0\n", output([[
      print(count_wrong("locked", function(lock)
        return lock(function()
          go.sleep(0.0005)
          assert(lock(go.yield))
          go.yield()
        end)
      end))
    ]]))
  end)

  it("leaves nothing bound once the callback is over", function()
    assert.equal("true\n", helper.output([[
      local go = require("goroutines")
      go.procs(2)
      local threads = {}
      local task = go.spawn(function()
        local fixture = require("fixture")
        for _ = 1, 20 do
          fixture.locked(function() go.sleep(0.0001) end)
        end
        -- A hog holds one processor; it comes about on whichever thread is free.
        local threads, count = {}, 0
        for _ = 1, 400 do
          go.yield()
          local thread = fixture.thread()
          count = count + (threads[thread] and 0 or 1)
          threads[thread] = true
          if count > 1 then return true end
          go.sleep(0.0005)
        end
        return count
      end)
      for _ = 1, 3 do
        go(function() while true do for _ = 1, 1000 do end go.yield() end end)
      end
      print(select(2, task:join()))
    ]]))
  end)

  it("may be held by as many as there are threads to be had", function()
    assert.equal("50\n", output([[
      local gate, inside = go.chan(), go.chan(50)
      local tasks = {}
      for i = 1, 50 do
        tasks[i] = go.spawn(function()
          require("fixture").resume(coroutine.create(function()
            inside:send(i)
            gate:recv()
          end))
          return 1
        end)
      end
      for _ = 1, 50 do inside:recv() end
      gate:close()
      local sum = 0
      for i = 1, 50 do
        sum = sum + select(2, assert(tasks[i]:join()))
      end
      print(sum)
    ]]))
  end)

  it("is seen by a deadlock check as any other wait", function()
    local result = helper.lua([[
      local go = require("goroutines")
      local task = go.spawn(function()
        require("fixture").locked(function() go.chan():recv() end)
      end)
      task:join()
    ]])
    assert.matches("all goroutines are asleep", result.stderr)
    assert.equal(1, result.code)
  end)

  it("keeps main on its thread, though another blocks it", function()
    assert.equal("true\n", helper.output({ [[
      local go = require("goroutines")
      local fixture = require("fixture")
      print(fixture.locked(function()
        go(function() return (("a"):rep(24):find(("a?"):rep(24) .. ("a"):rep(24))) end)
        go.sleep(0.02)
      end))
    ]], limit = 20 }))
  end)
end)

describe("C code that comes otherwise than by require", function()
  local WAYS = {
    { "in a message", [[
      local ch = go.chan(1)
      ch:send(fixture.hidden())
      task = go.spawn(function() return use(ch:recv()) end)
    ]] },
    { "by package.loadlib", [[
      local path = package.searchpath("fixture", package.cpath)
      task = go.spawn(function()
        local fixture = package.loadlib(path, "luaopen_fixture")()
        return use(fixture.locked)
      end)
    ]] },
  }
  for _, row in ipairs(WAYS) do
    local name, script = table.unpack(row)
    it("is known: " .. name, function()
      assert.equal("true\ttrue\n", output([[
        local fixture = require("fixture")
        local function use(lock)
          for _ = 1, 20 do
            if not lock(function() go.sleep(0.0005) end) then return false end
          end
          return true
        end
        local task
      ]] .. script .. "print(task:join())"))
    end)
  end
end)
