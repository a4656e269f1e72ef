-- Values that goroutines inherit.

local go = require("goroutines")
local helper = require("spec.helper")

-- What the context has, as a plain table.
local function contents(context)
  local t = {}
  for k, v in pairs(context) do
    t[k] = v
  end
  return t
end

local function here()
  return contents(go.context())
end

local function results(task)
  return select(2, assert(task:join()))
end

describe("go.context", function()
  it("is empty at first, and in what is started there", function()
    assert.same({}, here())
    assert.same({}, results(go.spawn(here)))
  end)

  it("gives what with_context sets, for as long as its function runs", function()
    assert.equal("a", go.with_context({ id = "a" }, function()
      return go.context().id
    end))
    assert.is_nil(go.context().id)
  end)

  it("gives the same table each time", function()
    local outer = go.context()
    assert.equal(outer, go.context())
    go.with_context({ id = 1, list = {} }, function()
      assert.not_equal(outer, go.context())
      assert.equal(go.context(), go.context())
      assert.equal(go.context().list, go.context().list)
    end)
    assert.equal(outer, go.context())
  end)

  it("cannot be changed", function()
    go.with_context({ id = 1 }, function()
      for _, key in ipairs({ "id", "other" }) do
        local ok, err = pcall(function() go.context()[key] = 2 end)
        assert.is_false(ok)
        assert.matches("attempt to change the values of a context$", err)
      end
      assert.is_false(getmetatable(go.context()))
      assert.is_false((pcall(setmetatable, go.context(), {})))
      assert.same({ id = 1 }, here())
      local _, state = pairs(go.context())
      assert.equal(go.context(), state)
    end)
  end)

  it("passes changes in its tables on to nobody", function()
    go.with_context({ list = { 1 } }, function()
      go.context().list[1] = 2
      assert.equal(1, results(go.spawn(function()
        return go.context().list[1]
      end)))
      go.with_context({}, function()
        assert.equal(1, go.context().list[1])
      end)
      assert.equal(2, go.context().list[1])
    end)
  end)

  it("says what it is", function()
    assert.matches("^goroutines%.context: ", tostring(go.context()))
  end)

  it("arrives as such a table where it is sent", function()
    local ch = go.chan(1)
    go.with_context({ id = 1, f = string.format }, function()
      ch:send(go.context())
    end)
    local context = ch:recv()
    assert.same({ id = 1, f = string.format }, contents(context))
    assert.is_false((pcall(function() context.id = 2 end)))
  end)
end)

describe("go.with_context", function()
  it("adds to what is there, and hides what has the same name", function()
    go.with_context({ id = 1, name = "a" }, function()
      go.with_context({ id = 2, logger = "b" }, function()
        assert.same({ id = 2, name = "a", logger = "b" }, here())
      end)
      go.with_context({ id = false }, function()
        assert.same({ id = false, name = "a" }, here())
      end)
      assert.same({ id = 1, name = "a" }, here())
    end)
  end)

  it("gives its function the arguments, and returns its results", function()
    assert.same({ 1, nil, 3, n = 3 },
      table.pack(go.with_context({}, function(...) return ... end, 1, nil, 3)))
    assert.equal(0, select("#", go.with_context({}, function() end)))
  end)

  it("copies the values", function()
    local list = { 1 }
    go.with_context({ list = list, same = list }, function()
      list[1] = 2
      assert.equal(1, go.context().list[1])
      assert.equal(go.context().list, go.context().same)
    end)
  end)

  it("takes a context for its values", function()
    local job = go.chan(1)
    go.with_context({ id = 1 }, function() job:send(go.context()) end)
    go.with_context({ worker = 2 }, function()
      go.with_context(job:recv(), function()
        assert.same({ id = 1, worker = 2 }, here())
      end)
    end)
  end)

  it("ends with an error, which is raised unchanged", function()
    local err = {}
    local ok, raised = pcall(go.with_context, { id = 1 }, function()
      go.with_context({ id = 2 }, error, err)
    end)
    assert.is_false(ok)
    assert.equal(err, raised)
    assert.same({}, here())
  end)

  it("ends with a coroutine that fails in it", function()
    local co = coroutine.create(function()
      go.with_context({ id = 1 }, function()
        go.with_context({ id = 2 }, error, "x")
      end)
    end)
    assert.is_false((coroutine.resume(co)))
    assert.same({}, here())
    assert.is_true((coroutine.close(co)) == false)
    assert.same({}, here())
  end)

  it("refuses a yield out of it", function()
    local co = coroutine.wrap(function()
      go.with_context({ id = 1 }, coroutine.yield)
    end)
    assert.has_error(co, "attempt to yield across a C-call boundary")
    assert.same({}, here())
  end)

  it("holds in the coroutines that run in it", function()
    local generator = coroutine.wrap(function()
      while true do
        coroutine.yield(go.context().id)
      end
    end)
    assert.is_nil(generator())
    go.with_context({ id = 1 }, function() assert.equal(1, generator()) end)
    go.with_context({ id = 2 }, function() assert.equal(2, generator()) end)
    assert.is_nil(generator())
  end)

  it("holds in __close handlers in it, also by go.exit", function()
    local seen = go.chan(2)
    local task = go.spawn(function()
      go.with_context({ id = 1 }, function()
        local _ <close> = setmetatable({}, { __close = function()
          seen:send(go.context().id)
        end })
        coroutine.wrap(function()
          go.with_context({ id = 2 }, function()
            local _ <close> = setmetatable({}, { __close = function()
              seen:send(go.context().id)
            end })
            go.exit()
          end)
        end)()
      end)
    end)
    assert(task:join())
    assert.equal(2, seen:recv())
    assert.equal(1, seen:recv())
  end)

  it("changes nothing if a value cannot be sent", function()
    local ok, err = pcall(go.with_context,
      { a = { co = coroutine.create(print) } }, error)
    assert.is_false(ok)
    assert.matches("cannot send a coroutine %(at value%.a%.co%)", err)
    assert.same({}, here())
  end)

  it("keeps its values no longer than needed", function()
    local kept, channels = nil, helper.baseline().channels
    for _ = 1, 3 do
      pcall(go.with_context, { ch = go.chan() }, function()
        assert.equal("goroutines.chan", getmetatable(go.context().ch))
        kept = go.spawn(function() return go.context().ch ~= nil end)
        assert.is_true(results(kept))
        error("x")
      end)
    end
    helper.wait_until(function()
      collectgarbage()
      return go.stats().channels == channels
    end)
    assert.is_true(results(kept))
  end)
end)

describe("a context is inherited", function()
  -- What starts `f(...)`, and returns a channel that gets its results.
  local STARTS = {
    ["by go"] = function(f, out) go(function() out:send(f()) end) end,
    ["by go.spawn"] = function(f, out)
      go.spawn({ name = "x" }, function() out:send(f()) end)
    end,
    ["by a waitgroup's go"] = function(f, out)
      local wg = go.waitgroup()
      wg:go(function() out:send(f()) end)
      wg:wait()
    end,
    ["by a group's spawn"] = function(f, out)
      local g <close> = go.group({ limit = 1 })
      g:spawn(function() out:send(f()) end)
    end,
    ["by a spawn with a thread of its own"] = function(f, out)
      go.spawn({ thread = true }, function() out:send(f()) end)
    end,
    ["by a timer"] = function(f, out)
      go.timer(0, function() out:send(f()) end)
    end,
    ["from a coroutine"] = function(f, out)
      coroutine.wrap(function() go(function() out:send(f()) end) end)()
    end,
    ["through goroutines between"] = function(f, out)
      go(function() go(function() go(function() out:send(f()) end) end) end)
    end,
    ["from a handler"] = function(f, out)
      local _ <close> = setmetatable({}, { __close = function()
        go(function() out:send(f()) end)
      end })
    end,
  }

  for name, start in pairs(STARTS) do
    it(name, function()
      helper.each_procs({ 1, 2 }, function()
        local out = go.chan(1)
        go.with_context({ id = "r1", tags = { "a", "b" } }, start, here, out)
        assert.same({ id = "r1", tags = { "a", "b" } }, out:recv())
      end)
    end)
  end

  it("as it is when the goroutine is started", function()
    local gate = go.chan()
    local task = go.with_context({ id = 1 }, go.spawn, function()
      gate:recv()
      return go.context().id
    end)
    go.with_context({ id = 2 }, function() gate:close() end)
    assert.equal(1, results(task))
  end)

  it("by a timer as it was when that was made, also if reset elsewhere", function()
    local out = go.chan(1)
    local timer = go.with_context({ id = 1 }, go.timer, math.huge, function()
      out:send(go.context().id)
    end)
    for _ = 1, 2 do
      go.with_context({ id = 2 }, timer.reset, timer, 0)
      assert.equal(1, out:recv())
    end
  end)

  it("into a group, from who spawns and not from who made it", function()
    local g = go.with_context({ id = 1 }, go.group)
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = go.with_context({ id = i * 10 }, g.spawn, g, function()
        return go.context().id
      end)
    end
    assert.is_true(g:wait())
    for i, task in ipairs(tasks) do
      assert.equal(i * 10, results(task))
    end
  end)

  it("apart by each of many goroutines", function()
    helper.each_procs({ 1, 4 }, function()
      local g <close> = go.group()
      for i = 1, 100 do
        g:spawn(function()
          go.with_context({ id = i }, function()
            for _ = 1, 3 do
              go.yield()
              assert(go.context().id == i)
              assert(select(2, go.spawn(function()
                return go.with_context({ sub = true }, function()
                  go.yield()
                  return go.context().id
                end)
              end):join()) == i)
            end
          end)
        end)
      end
      assert.is_true(g:wait())
    end)
  end)

  it("with handles, which are the same objects", function()
    local log = go.chan(1)
    go.with_context({ log = log }, function()
      assert(go.spawn(function() go.context().log:send("hello") end):join())
    end)
    assert.equal("hello", log:recv())
  end)

  it("with functions, where the state has no libraries yet", function()
    go.with_context({
      prefix = "r1",
      tag = function(s) return ("%s %s"):format(s, table.concat({ 1, 2 })) end,
    }, function()
      assert.equal("r1", results(go.spawn(function()
        return go.context().prefix
      end)))
      assert.equal("x 12", results(go.spawn(function()
        return go.context().tag("x")
      end)))
    end)
  end)

  it("into the function `init` of go.configure", function()
    assert.equal("7\n", helper.output([[
      local go = require("goroutines")
      go.configure({ init = function() prepared = go.context().id end })
      go.with_context({ id = 7 }, function()
        print((select(2, go.spawn(function() return prepared end):join())))
      end)
    ]]))
  end)

  it("and raises where it is read, if it cannot be rebuilt there", function()
    local value = setmetatable({}, {
      __transfer = function() return error, "not here" end,
    })
    go.with_context({ value = value }, function()
      local task = go.spawn(function()
        local ok, err = pcall(go.context)
        return ok, err
      end)
      local ok, err = results(task)
      assert.is_false(ok)
      assert.matches("not here", err)
    end)
  end)
end)
