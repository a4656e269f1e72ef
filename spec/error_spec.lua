local go = require("goroutines")
local helper = require("spec.helper")

-- The line of its caller.
local function here()
  return debug.getinfo(2, "l").currentline
end

describe("an error in a task", function()
  it("is returned with its position", function()
    local line = here() + 1
    local task = go.spawn(function() error("boom") end)
    local ok, message = task:join()
    assert.is_false(ok)
    assert.matches("error_spec.lua:" .. line .. ": boom", message, 1, true)
  end)

  it("comes with a traceback that ends in its creation", function()
    local line = here() + 1
    local function fail()
      error("boom")
    end
    local function outer()
      fail()
      return true
    end
    local created = here() + 1
    local task = go.spawn(outer)
    local _, _, traceback = task:join()
    assert.matches("error_spec.lua:" .. line + 1, traceback, 1, true)
    assert.matches("error_spec.lua:" .. line + 4, traceback, 1, true)
    local last = traceback:match("([^\n]*)\n*$")
    assert.matches("by goroutine 1 at .*error_spec.lua:" .. created, last)
  end)

  it("may be any value", function()
    for _, value in ipairs({ false, 42, 1.5, "text" }) do
      local ok, err = go.spawn(error, value, 0):join()
      assert.is_false(ok)
      assert.equal(value, err)
    end
    local _, code = go.spawn(function() error({ code = { 7 } }) end):join()
    assert.same({ code = { 7 } }, code)
  end)

  it("may be nil", function()
    local results = table.pack(go.spawn(error):join())
    assert.is_false(results[1])
    assert.is_nil(results[2])
    assert.equal("string", type(results[3]))
  end)

  it("keeps the metatable of a table", function()
    local task = go.spawn(function()
      local class = { __tostring = function(e) return "code " .. e.code end }
      error(setmetatable({ code = 7 }, class))
    end)
    local _, err = task:join()
    assert.equal("code 7", tostring(err))
  end)

  it("may have a __tostring that fails itself", function()
    local task = go.spawn(function()
      local function fail() error("again") end
      error(setmetatable({ code = 7 }, { __tostring = fail }))
    end)
    local ok, err = task:join()
    assert.is_false(ok)
    assert.equal(7, err.code)
  end)

  it("that cannot be sent is replaced by the reason", function()
    local task = go.spawn(function()
      error({ co = coroutine.create(print) })
    end)
    local ok, err = task:join()
    assert.is_false(ok)
    assert.matches("cannot send a coroutine", tostring(err), 1, true)
  end)

  it("is made of results that cannot be sent", function()
    local task = go.spawn(function() return 1, coroutine.create(print) end)
    local ok, err = task:join()
    assert.is_false(ok)
    assert.matches("cannot send a coroutine", err, 1, true)
    assert.equal("failed", task:status())
  end)

  it("is a stack overflow, too", function()
    local task = go.spawn(function()
      local function deeper() return 1 + deeper() end
      return deeper()
    end)
    local ok, err = task:join()
    assert.is_false(ok)
    assert.matches("stack overflow", err)
    task = go.spawn(function()
      local function deeper() return ("x"):gsub("x", deeper) end
      return deeper()
    end)
    ok, err = task:join()
    assert.is_false(ok)
    assert.matches("stack overflow", err)
  end)
end)

describe("an error that nobody joins", function()
  -- What a script in which every other goroutine has ended left on stderr.
  local function stderr_of(body)
    local result = helper.lua([[
      local go = require("goroutines")
      local function others_ended() return go.count() == 1 end
      local function wait() repeat go.yield() until others_ended() end
    ]] .. body)
    assert.equal(0, result.code)
    return result.stderr
  end

  local function count(text, pattern)
    return select(2, text:gsub(pattern, ""))
  end

  it("of go is reported, and the process goes on", function()
    local report = stderr_of([[
      go(function() error("boom") end)
      wait()
      io.stderr:write("went on")
    ]])
    assert.matches("goroutine %d+", report)
    assert.matches(":%d+: boom", report)
    assert.matches("stack traceback:", report)
    assert.matches("went on$", report)
  end)

  it("may be a value of any kind", function()
    local report = stderr_of([[
      go(error)
      go(error, setmetatable({}, { __tostring = function()
        go.yield()
        return "yielded"
      end }))
      go(error, setmetatable({}, { __tostring = error }))
      go(error, setmetatable({}, { __tostring = function() return 1 end }))
      go(error, { code = 7 })
      wait()
    ]])
    assert.equal(5, count("\n" .. report, "\ngoroutine %d+"))
    assert.matches("yielded", report)
  end)

  it("of spawn is reported at the end of the process", function()
    local report = stderr_of([[
      local task = go.spawn({ name = "lost" }, function() error("boom") end)
      wait()
      io.stderr:write("the end\n")
      _G.keep = task
    ]])
    assert.matches('the end\n.*"lost".*:%d+: boom', report)
    assert.equal(1, count(report, "boom"))
  end)

  it("of spawn is not reported if it was joined", function()
    local report = stderr_of([[
      local task = go.spawn(function() error("boom") end)
      task:join()
      wait()
    ]])
    assert.equal("", report)
  end)

  it("of spawn is reported once its task is garbage", function()
    local reports = go.chan(1)
    local _ <close> = helper.configure({ on_error = reports })
    go.spawn({ name = "lost" }, function() error("boom", 0) end)
    local report
    repeat
      collectgarbage()
      go.yield()
      report = reports:recv(0)
    until report
    assert.equal("lost", report.name)
    assert.equal("boom", report.err)
  end)

  it("goes to a channel if there is one", function()
    local reports, ids = go.chan(1), go.chan(1)
    local _ <close> = helper.configure({ on_error = reports })
    go(function()
      ids:send(go.self().id)
      error({ code = 7 })
    end)
    local report = reports:recv()
    assert.equal(ids:recv(), report.id)
    assert.is_nil(report.name)
    assert.same({ code = 7 }, report.err)
    assert.matches("error_spec.lua:%d+", report.traceback)
  end)

  it("is dropped when that channel is full", function()
    local before, reports = go.count(), go.chan(1)
    local _ <close> = helper.configure({ on_error = reports })
    for _ = 1, 3 do
      go(error, "boom")
    end
    helper.wait_until(function() return go.count() == before end)
    assert.equal(1, #reports)
    assert.equal("boom", reports:recv().err)
  end)

  it("ends the process if on_error is \"exit\"", function()
    local result = helper.lua([[
      local go = require("goroutines")
      go.configure({ on_error = "exit" })
      go(function() error("boom") end)
      go.chan():recv()
    ]])
    assert.equal(1, result.code)
    assert.matches(":%d+: boom", result.stderr)
    assert.is_nil(result.stderr:find("deadlock"))
  end)
end)
