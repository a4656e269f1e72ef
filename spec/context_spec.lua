-- The context: values that goroutines pass on to those that they start.

local go = require("goroutines")
local helper = require("spec.helper")

local closing = helper.closing

local function request()
  return go.context().request
end

local function all()
  local values = {}
  for key, value in pairs(go.context()) do
    values[key] = value
  end
  return values
end

describe("go.context", function()
  it("is empty at first", function()
    assert.same({}, all())
    assert.is_nil(request())
    assert.same({ true, {} }, { go.spawn(all):join() })
  end)

  it("has the values of the go.with_context around it", function()
    go.with_context({ request = 7, user = "ann" }, function()
      assert.same({ request = 7, user = "ann" }, all())
      go.with_context({ request = 8, [""] = true, ["a\0b"] = 1.5 }, function()
        assert.same({ request = 8, user = "ann", [""] = true, ["a\0b"] = 1.5 }, all())
        go.with_context({}, function()
          assert.equal(8, request())
        end)
      end)
      assert.same({ request = 7, user = "ann" }, all())
    end)
    assert.same({}, all())
  end)

  it("stays as it was when it was asked for", function()
    local kept
    go.with_context({ request = 1 }, function()
      kept = go.context()
      assert.equal(kept, go.context())
      go.with_context({ request = 2 }, function()
        assert.equal(1, kept.request)
        assert.equal(2, request())
      end)
      assert.equal(1, request())
    end)
    assert.equal(1, kept.request)
  end)

  it("is read-only", function()
    go.with_context({ request = 1 }, function()
      local context = go.context()
      for _, change in ipairs({
        function() context.request = 2 end,
        function() context.other = 2 end,
        function() context[1] = 2 end,
        function() rawset(context, "request", 2) end,
        function() setmetatable(context, nil) end,
        function() debug.setmetatable(1, getmetatable(context)) end,
      }) do
        assert.is_false((pcall(change)))
      end
      local values = { request = 3 }
      go.with_context(values, function()
        values.request = 4
        assert.equal(3, request())
      end)
      assert.same({ request = 1 }, all())
      assert.match("a context is read%-only", select(2, pcall(function() context.x = 1 end)))
    end)
  end)

  it("has channels and other handles, which are shared", function()
    local ch = go.chan(1)
    go.with_context({ log = ch }, function()
      assert.equal(ch, go.context().log)
      go.spawn(function() go.context().log:send("from below") end):join()
    end)
    assert.equal("from below", ch:recv())
  end)
end)

describe("a context is passed on", function()
  local WAYS = {
    ["go"] = function(f) go(f) end,
    ["go.spawn"] = function(f) go.spawn(f):join() end,
    ["go.spawn with options"] = function(f) go.spawn({ name = "x", timeout = 60 }, f):join() end,
    ["waitgroup:go"] = function(f) local wg = go.waitgroup() wg:go(f) wg:wait() end,
    ["group:spawn"] = function(f) local g <close> = go.group() g:spawn(f) end,
    ["a group with a limit"] = function(f)
      local g <close> = go.group({ limit = 1 })
      g:spawn(go.yield)
      g:spawn(f)
    end,
    ["go.timer"] = function(f) go.timer(0.001, f) end,
    ["a coroutine"] = function(f) coroutine.wrap(f)() end,
    ["go.spawn in a coroutine"] = function(f)
      coroutine.wrap(function() go.spawn(f):join() end)()
    end,
    ["go.spawn in a handler"] = function(f)
      local _ <close> = closing(function() go.spawn(f):join() end)
    end,
  }
  for name, start in pairs(WAYS) do
    it("by " .. name, function()
      local got = go.chan(1)
      go.with_context({ request = 7 }, start, function()
        got:send(go.context().request or false)
      end)
      assert.equal(7, got:recv(helper.within(5)))
      assert.is_nil(request())
    end)
  end

  it("over generations, of which each may add to it", function()
    helper.each_procs({ 1, 2 }, function()
      local function generation(n)
        if n == 0 then
          local values = {}
          for key, value in pairs(go.context()) do values[key] = value end
          return values
        end
        return go.with_context({ ["g" .. n] = n, last = n }, function()
          return select(2, go.spawn(generation, n - 1):join())
        end)
      end
      assert.same({ g1 = 1, g2 = 2, g3 = 3, g4 = 4, last = 1 }, generation(4))
    end)
  end)

  it("as it is at the spawn, whatever the starter does then", function()
    local go_on = go.chan()
    local task
    go.with_context({ request = 1 }, function()
      task = go.spawn(function(wait) wait:recv() return go.context().request end, go_on)
    end)
    go.with_context({ request = 2 }, function() go_on:send(true) end)
    assert.same({ true, 1 }, { task:join() })
  end)

  it("by the one that spawns in a group, not by its maker", function()
    local g
    go.with_context({ request = 1 }, function() g = go.group() end)
    go.with_context({ request = 2 }, function() g:spawn(request) end)
    g:spawn(function() return go.context().request end)
    assert.same({ { true, 2, n = 2 }, { true, nil, n = 2 } }, g:results())
    g:wait()
  end)

  it("to many at once", function()
    helper.each_procs({ 1, 2, 4 }, function()
      local g <close> = go.group()
      for i = 1, 100 do
        go.with_context({ request = i }, function()
          g:spawn(function(n)
            for k = 1, 5 do
              go.with_context({ request = n * k }, function()
                go.yield()
                assert(go.context().request == n * k)
              end)
              assert(go.context().request == n)
            end
          end, i)
        end)
      end
      assert.is_true(g:wait())
    end)
  end)
end)

describe("go.with_context", function()
  it("gives the results, and raises errors unchanged", function()
    assert.same({ 1, nil, 3, nil, n = 4 },
      table.pack(go.with_context({}, function(...) return ... end, 1, nil, 3, nil)))
    local err = {}
    local ok, got = pcall(go.with_context, { request = 1 }, error, err)
    assert.is_false(ok)
    assert.equal(err, got)
    assert.same({}, all())
  end)

  it("is in force in the handlers of its function, and not afterwards", function()
    local seen = {}
    local _ <close> = closing(function() seen[3] = request() or "none" end)
    pcall(go.with_context, { request = 1 }, function()
      local _ <close> = closing(function() seen[1] = request() end)
      error("any")
    end)
    seen[2] = request() or "none"
    assert.same({ 1, "none" }, seen)
  end)

  it("ends in coroutines that fail, with go.exit, and when cancelled", function()
    local seen = go.chan(4)
    coroutine.resume(coroutine.create(function()
      go.with_context({ request = 1 }, function() go.with_context({ request = 2 }, error) end)
    end))
    assert.is_nil(request())
    go.spawn(function()
      local _ <close> = setmetatable({}, { __close = function()
        seen:send(go.context().request or "none")
      end })
      go.with_context({ request = 1 }, function() go.with_context({ request = 2 }, go.exit) end)
    end):join()
    assert.equal("none", seen:recv())
    assert.same({ nil, "timeout" },
      { go.with_timeout(0.001, go.with_context, { request = 1 }, go.sleep, 3600) })
    assert.is_nil(request())
  end)

  it("refuses a yield out of it", function()
    local ok, err = coroutine.resume(coroutine.create(function()
      go.with_context({}, coroutine.yield)
    end))
    assert.is_false(ok)
    assert.match("yield across a C%-call boundary", err)
    assert.same({}, all())
  end)

  it("may name the goroutine's own task", function()
    go.spawn(function()
      go.with_context({ task = go.self() }, function()
        assert(go.context().task == go.self())
        go.exit()
      end)
    end):join()
  end)
end)
