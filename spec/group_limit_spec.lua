-- Groups: how many of their tasks may be alive.

local go = require("goroutines")
local helper = require("spec.helper")
local groups = require("spec.groups")

local forever, fail, id = helper.forever, helper.fail, helper.id
local PROCS, wait = groups.PROCS, groups.wait

describe("the limit of a group", function()
  it("is never exceeded", function()
    helper.each_procs(PROCS, function(procs)
      for _, limit in ipairs({ 1, 3, 10 }) do
        local g = go.group({ limit = limit })
        local active, most = go.atomic(), 0
        local seen = go.chan(300)
        for _ = 1, 300 // procs do
          g:spawn(function()
            seen:send(active:add(1))
            go.yield()
            active:add(-1)
          end)
        end
        assert.is_true(wait(g))
        while #seen > 0 do
          most = math.max(most, (seen:recv()))
        end
        assert.is_true(most <= limit, most)
      end
    end)
  end)

  it("is reached exactly: the next one waits", function()
    helper.each_procs(PROCS, function()
      for _, limit in ipairs({ 1, 2, 42 }) do
        local g, gate = go.group({ limit = limit }), go.chan()
        for _ = 1, limit do
          g:spawn(function() gate:recv() end)
        end
        assert.same({ nil, "timeout" }, { go.with_timeout(0.002, g.spawn, g, id) })
        local spawner = helper.blocked(function() g:spawn(id) end)
        gate:send(true)
        assert.is_true((spawner:join()))
        gate:close()
        assert.is_true(wait(g))
        assert.equal(limit + 1, #g:results())
      end
    end)
  end)

  it("has spawn wait, in order of arrival", function()
    helper.each_procs(PROCS, function()
      local g, gate, order = go.group({ limit = 1 }), go.chan(), go.chan(10)
      g:spawn(function() gate:recv() end)
      local spawners = {}
      for i = 1, 5 do
        spawners[i] = helper.blocked(function()
          g:spawn(function() order:send(i) end)
        end)
      end
      assert.same({ nil, "timeout" }, { g:wait(0) })
      gate:close()
      for i = 1, 5 do
        assert.is_true((spawners[i]:join()))
        assert.equal(i, order:recv())
      end
      assert.is_true(wait(g))
    end)
  end)

  it("is kept when who waits for a place is cancelled", function()
    helper.each_procs(PROCS, function()
      local g, gate = go.group({ limit = 1 }), go.chan()
      g:spawn(function() gate:recv() end)
      local first = helper.blocked(function() g:spawn(id, { "not started" }) end)
      local second = helper.blocked(function() return g:spawn(id, "started"):join() end)
      first:cancel()
      assert.is_true(go.is_cancelled(select(2, first:join())))
      gate:close()
      assert.same({ true, true, "started" }, { second:join() })
      assert.is_true(wait(g))
      assert.equal(2, #g:results())
    end)
  end)

  it("counts exactly when spawners are cancelled as places become free", function()
    helper.each_procs(PROCS, function()
      local g, started = go.group({ limit = 2, on_error = "collect" }), go.atomic()
      local spawners = {}
      for i = 1, 200 do
        spawners[i] = go.spawn(function()
          g:spawn(function() started:add(1) go.yield() end)
          go.shield(started.add, started, 1000)
        end)
        if i % 3 == 0 then spawners[i - 1]:cancel() end
      end
      for i = 1, 200 do spawners[i]:join() end
      assert.is_true(wait(g))
      local count = started:load()
      assert.equal(count // 1000, count % 1000)
      assert.equal(count // 1000, #g:results())
      g:spawn(id) -- both places are there
      assert.is_true(wait(g))
    end)
  end)

  it("lets those through that a failure has freed the way for", function()
    local g = go.group({ limit = 2 })
    g:spawn(forever)
    local failing = go.chan()
    g:spawn(function() failing:recv() fail("oops") end)
    local spawner = helper.blocked(function() return g:spawn(forever):join() end)
    failing:close()
    local _, ok, err = spawner:join()
    assert.is_false(ok)
    assert.is_true(go.is_cancelled(err))
    assert.equal("oops", select(2, wait(g)))
  end)

  it("does not count what could not be sent", function()
    local g = go.group({ limit = 1 })
    for _ = 1, 3 do
      assert.has_error(function() g:spawn(id, coroutine.create(print)) end,
        "cannot send a coroutine (at argument #1)")
    end
    assert.is_true((g:spawn(id):join()))
    assert.is_true(wait(g))
    assert.equal(1, #g:results())
  end)
end)

describe("a wait for a group that can never end", function()
  it("is told as a deadlock, with how many are alive", function()
    local result = helper.lua([[
      local go = require("goroutines")
      local g <close> = go.group({ limit = 2 })
      g:spawn(function() go.chan():recv() end)
      g:spawn(function() go.chan():recv() end)
      go(function() g:spawn(print) end)
      local ok, err = pcall(g.wait, g)
      print(ok, err)
      error("leave", 0)
    ]])
    assert.matches("all goroutines are asleep %- deadlock!", result.stdout)
    assert.matches("goroutine 1 %[group wait%]:\n\twaiting for group: %S+ %(2 alive%)",
      result.stderr)
    assert.matches("%[group spawn%]:\n\twaiting to spawn in group: %S+ %(2 of 2 alive%)",
      result.stderr)
  end)

  it("is shown by go.dump", function()
    local g, gate = go.group(), go.chan()
    g:spawn(function() gate:recv() end)
    local task = helper.blocked(function() g:wait() end)
    local path = os.tmpname()
    go.dump(path)
    local file <close> = assert(io.open(path))
    local text = file:read("a")
    os.remove(path)
    gate:close()
    assert.is_true((task:join()))
    assert.matches("waiting for " .. tostring(g):gsub("%p", "%%%0") .. " %(1 alive%)", text)
  end)
end)
