-- Where cancellation is held back: in handlers, finalizers and go.shield.

local go = require("goroutines")
local helper = require("spec.helper")

local closing = helper.closing

-- Cancels the task's goroutine and returns what join gives.
local function cancelled(task, reason)
  assert.is_true(task:cancel(reason))
  return task:join(helper.within(5))
end

describe("cancellation is held back", function()
  -- Each returns true if its handler could wait.
  local HANDLERS = {
    ["at the end of a block"] = function(wait)
      pcall(go.sleep, 3600)
      do
        local _ <close> = closing(wait)
      end
    end,
    ["at a return"] = function(wait)
      pcall(go.sleep, 3600)
      local function f()
        local _ <close> = closing(wait)
        return 1
      end
      f()
    end,
    ["while the cancellation unwinds"] = function(wait)
      pcall(function()
        local _ <close> = closing(wait)
        go.sleep(3600)
      end)
    end,
    ["while the cancellation unwinds out of the goroutine"] = function(wait)
      local _ <close> = closing(wait)
      go.sleep(3600)
    end,
    ["while another error unwinds"] = function(wait)
      pcall(go.sleep, 3600)
      pcall(function()
        local _ <close> = closing(wait)
        error("another")
      end)
    end,
    ["in xpcall"] = function(wait)
      xpcall(function()
        local _ <close> = closing(wait)
        go.sleep(3600)
      end, function(e) return e end)
    end,
    ["in pcall in a coroutine"] = function(wait)
      coroutine.wrap(function()
        pcall(function()
          local _ <close> = closing(wait)
          coroutine.yield()
        end)
      end)()
      local co = coroutine.wrap(function()
        pcall(function()
          local _ <close> = closing(wait)
          go.sleep(3600)
        end)
      end)
      co()
    end,
    ["in coroutine.close"] = function(wait)
      local co = coroutine.create(function()
        local _ <close> = closing(wait)
        coroutine.yield()
      end)
      coroutine.resume(co)
      pcall(go.sleep, 3600)
      coroutine.close(co)
    end,
    ["in coroutine.wrap"] = function(wait)
      pcall(coroutine.wrap(function()
        local _ <close> = closing(wait)
        go.sleep(3600)
      end))
    end,
    ["by go.exit"] = function(wait)
      pcall(go.sleep, 3600)
      local _ <close> = closing(wait)
      go.exit()
    end,
    ["in a finalizer"] = function(wait)
      pcall(go.sleep, 3600)
      setmetatable({}, { __gc = wait })
      collectgarbage()
    end,
    ["in a finalizer at the end"] = function(wait)
      kept = setmetatable({}, { __gc = wait }) -- luacheck: ignore
      go.sleep(3600)
    end,
    ["in with_timeout"] = function(wait)
      go.with_timeout(100, function()
        local _ <close> = closing(wait)
        go.sleep(3600)
      end)
    end,
    ["in nested functions of a handler"] = function(wait)
      pcall(function()
        local _ <close> = closing(function()
          local ok, err = pcall(function() wait() end)
          if not ok then error(err, 0) end
        end)
        go.sleep(3600)
      end)
    end,
    ["in go.shield"] = function(wait)
      pcall(go.sleep, 3600)
      go.shield(wait)
    end,
  }

  for name, f in pairs(HANDLERS) do
    it(name, function()
      local done = go.chan(8)
      local task = helper.blocked(function(body)
        body(function()
          go.sleep(0.002)
          go.yield()
          for _ = 1, 30000 do end
          done:send("handled")
        end)
      end, f)
      task:cancel()
      assert.equal("handled", done:recv(helper.within(5)))
      task:join()
    end)
  end

  it("in go.shield that begins before it, and strikes afterwards", function()
    local seconds = helper.within(0.02)
    local task = helper.blocked(function()
      local a, b = go.shield(function(...) go.sleep(seconds) return ... end, "x", nil)
      local ok, err = pcall(go.sleep, 0)
      return a, b, ok, go.is_cancelled(err)
    end)
    assert.same({ true, "x", nil, false, true }, { cancelled(task) })
  end)

  it("for what is started in go.shield", function()
    local task = helper.blocked(function()
      pcall(go.sleep, 3600)
      return go.shield(function()
        return go.spawn(function() go.sleep(0.001) return "ran" end):join()
      end)
    end)
    assert.same({ true, true, "ran" }, { cancelled(task) })
  end)

  it("not by an error of go.shield's function, which is raised unchanged", function()
    local err = {}
    local ok, got = pcall(go.shield, error, err)
    assert.is_false(ok)
    assert.equal(err, got)
  end)
end)
