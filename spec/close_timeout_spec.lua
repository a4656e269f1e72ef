-- How long the handlers of a cancelled goroutine may wait.

local go = require("goroutines")
local helper = require("spec.helper")

local closing = helper.closing

local SHORT = 0.01

local function with_bound(seconds, f)
  local _ <close> = helper.configure({ close_timeout = seconds })
  f()
end

-- Cancels a goroutine in `f(...)`, which then must end; what join gives.
local function ended(f, ...)
  local task = helper.blocked(f, ...)
  task:cancel("enough")
  return task:join(helper.within(10))
end

describe("the option close_timeout", function()
  it("is 5 seconds, and can be none", function()
    assert.equal("5.0\n", helper.output({ [[
      print(require("goroutines").configure().close_timeout)
    ]] }))
    for _, seconds in ipairs({ 0, 0.25, 1e8, math.huge }) do
      with_bound(seconds, function()
        assert.equal(seconds, go.configure().close_timeout)
      end)
    end
  end)

  it("bounds a wait in a handler, which gets the error of the cancellation", function()
    with_bound(SHORT, function()
      helper.each_procs({ 1, 2 }, function()
        local seen = go.chan(4)
        local start = go.now()
        local ok, err = ended(function()
          local _ <close> = closing(function(_, first)
            local ok, second = pcall(go.sleep, 3600)
            seen:send({ ok, first, second }, 0) -- not reached: a wait, too
          end)
          local _ <close> = closing(function(_, first)
            local ok, second = pcall(go.sleep, 3600)
            go.shield(seen.send, seen, { ok, first, second })
          end)
          go.sleep(3600)
        end)
        local waited, first, second = table.unpack(seen:recv(5))
        assert.is_true(go.now() - start >= SHORT)
        assert.is_false(ok)
        assert.is_false(waited)
        assert.equal("enough", first.reason)
        assert.equal(first, second)
        assert.equal(first, err)
        assert.equal(0, #seen)
      end)
    end)
  end)

  it("is for all handlers together, of which each is run", function()
    with_bound(SHORT, function()
      local began, waited = go.atomic(), go.atomic()
      local ok, err = ended(function()
        local function handle()
          began:add(1)
          go.sleep(0.004)
          waited:add(1)
        end
        local function nest(n)
          local _ <close> = closing(handle)
          if n > 1 then nest(n - 1) end
          go.sleep(3600)
        end
        nest(30)
      end)
      assert.is_false(ok)
      assert.is_true(go.is_cancelled(err))
      assert.equal(30, began:load())
      assert.is_true(waited:load() < 4, waited:load())
    end)
  end)

  it("of 0 lets no handler wait", function()
    with_bound(0, function()
      local waited
      local task = helper.blocked(function()
        local ok
        pcall(function()
          local _ <close> = closing(function() ok = pcall(go.yield) end)
          go.sleep(3600)
        end)
        return ok
      end)
      task:cancel()
      waited = select(2, task:join())
      assert.is_false(waited)
    end)
  end)

  it("bounds waits of every kind, and those under way", function()
    with_bound(SHORT, function()
      for name, wait in pairs({
        send = function() go.chan():send(1) end,
        select = function() go.select(go.chan(), go.chan()) end,
        mutex = function() local m = go.mutex() m:lock() m:lock() end,
        waitgroup = function() go.waitgroup(1):wait() end,
        cond = function()
          local m = go.mutex()
          m:lock()
          while true do go.cond(m):wait() end
        end,
        ["short ones"] = function() while true do go.sleep(0.0001) end end,
        yields = function() while true do go.yield() end end,
        ["in a coroutine"] = function() coroutine.wrap(go.sleep)(3600) end,
        ["in a handler"] = function()
          local _ <close> = closing(function() go.sleep(3600) end)
        end,
        ["in with_timeout"] = function() go.with_timeout(3600, go.sleep, 3600) end,
      }) do
        local ok, err = ended(function(f)
          local _ <close> = closing(f)
          go.sleep(3600)
        end, wait)
        assert.is_false(ok, name)
        assert.equal("enough", err.reason, name)
      end
    end)
  end)

  it("bounds handlers of coroutine.close, of go.exit, and finalizers", function()
    with_bound(SHORT, function()
      for _, run in ipairs({
        function(wait)
          local co = coroutine.create(function()
            local _ <close> = closing(wait)
            coroutine.yield()
          end)
          coroutine.resume(co)
          coroutine.close(co)
        end,
        function(wait)
          local _ <close> = closing(wait)
          go.exit()
        end,
        function(wait)
          setmetatable({}, { __gc = wait })
          collectgarbage()
        end,
      }) do
        local done = go.chan(1)
        ended(function(f)
          pcall(go.sleep, 3600)
          f(function()
            local ok, err = pcall(go.sleep, 3600)
            go.shield(done.send, done, { ok, go.is_cancelled(err) })
          end)
        end, run)
        assert.same({ false, true }, (done:recv(helper.within(5))))
      end
    end)
  end)

  it("begins anew with each go.with_timeout that is over", function()
    with_bound(SHORT, function()
      for _ = 1, 5 do
        local waited
        local ok, err = go.with_timeout(0.001, function()
          local _ <close> = closing(function() waited = pcall(go.sleep, SHORT / 4) end)
          go.sleep(3600)
        end)
        assert.same({ nil, "timeout", true }, { ok, err, waited })
      end
    end)
  end)

  it("has a go.with_timeout whose handlers wait for ever return", function()
    with_bound(SHORT, function()
      local start = go.now()
      assert.same({ nil, "timeout" }, { go.with_timeout(0.001, function()
        local _ <close> = closing(function() go.chan():recv() end)
        local _ <close> = closing(function() go.sleep(3600) end)
        go.sleep(3600)
      end) })
      assert.is_true(go.now() - start >= SHORT)
    end)
  end)

  it("goes by the outermost cancellation", function()
    with_bound(SHORT, function()
      local inner, outer
      assert.same({ nil, "timeout" }, { go.with_timeout(0.002, function()
        local _ <close> = closing(function()
          -- the time of the outer one is over before this one's deadline
          inner = table.pack(pcall(go.with_timeout, SHORT * 2, go.sleep, 3600))
          outer = pcall(go.sleep, 0)
        end)
        go.sleep(3600)
      end) })
      assert.is_false(inner[1])
      assert.is_true(go.is_cancelled(inner[2]))
      assert.is_false(outer)
    end)
  end)

  it("leaves alone the handlers of those that are not cancelled", function()
    with_bound(SHORT, function()
      local _ <close> = closing(function() assert.is_true((pcall(go.sleep, SHORT * 2))) end)
      local waited
      pcall(function()
        local _ <close> = closing(function() waited = pcall(go.sleep, SHORT * 2) end)
        error("any")
      end)
      assert.is_true(waited)
    end)
  end)

  it("leaves go.shield alone, in handlers and with handlers in it", function()
    with_bound(SHORT, function()
      local seen = go.chan(4)
      ended(function()
        local _ <close> = closing(function()
          local ok = go.shield(pcall, go.sleep, SHORT * 2)
          go.shield(function()
            do
              local _ <close> = closing(function()
                seen:send({ ok, (pcall(go.sleep, SHORT * 2)) })
              end)
            end
            seen:send("after")
          end)
        end)
        go.sleep(3600)
      end)
      assert.same({ true, true }, (seen:recv(5)))
      assert.equal("after", (seen:recv(5)))
    end)
  end)

  it("does not have a group leave its tasks: their handlers are bounded", function()
    with_bound(SHORT, function()
      local tasks = {}
      local ok = ended(function(list)
        local g <close> = go.group()
        for i = 1, 3 do
          list[i] = g:spawn(function()
            local _ <close> = closing(function() go.sleep(3600) end)
            go.sleep(3600)
          end)
        end
        go.sleep(3600)
      end, tasks)
      assert.is_false(ok)
    end)
  end)

  it("holds for main", function()
    assert.equal("false\ttrue\n", helper.output({ [[
      local go = require("goroutines")
      go.configure({ close_timeout = 0.01 })
      local main = go.self()
      go(function() go.sleep(0.01) main:cancel("main") end)
      local ok, err
      pcall(function()
        local _ <close> = setmetatable({}, { __close = function()
          ok, err = pcall(go.sleep, 3600)
        end })
        go.sleep(10)
      end)
      print(ok, err.reason == "main")
    ]] }))
  end)
end)
