local go = require("goroutines")
local helper = require("spec.helper")
local maps = require("spec.maps")

local contents, updating = maps.contents, maps.updating

local blocked = helper.blocked

describe("map:update", function()
  it("sets what the function gives for the old value, and returns it", function()
    local m = go.map()
    local function increment(n) return (n or 0) + 1, "ignored" end
    assert.same({ 1 }, { m:update("n", increment) })
    assert.same({ 2 }, { m:update("n", increment) })
    assert.equal(2, m:get("n"))
    m:set("t", { 1 })
    assert.same({ 1, 2 }, m:update("t", function(t)
      t[2] = 2
      return t
    end))
    assert.same({ 1, 2 }, m:get("t"))
  end)

  it("deletes by a nil", function()
    local m = go.map()
    m:set("k", 1)
    assert.is_nil(m:update("k", function() end))
    assert.equal(0, #m)
    assert.is_nil(m:update("none", function() return nil end))
    assert.equal(0, #m)
  end)

  it("loses none", function()
    helper.each_procs({ 1, 2, 4 }, function()
      local m, wg = go.map(), go.waitgroup()
      for _ = 1, 8 do
        wg:go(function()
          for i = 1, 200 do
            m:update("n", function(n)
              if i % 20 == 0 then
                go.yield()
              end
              return (n or 0) + 1
            end)
          end
        end)
      end
      wg:wait()
      assert.equal(1600, m:get("n"))
    end)
  end)

  local USES = {
    { "get", function(m) return m:get("k") end, "new" },
    { "set", function(m) m:set("k", "mine") return m:get("k") end, "mine" },
    { "delete", function(m) m:delete("k") return m:get("k") end, nil },
    { "compare_and_swap", function(m)
      return m:compare_and_swap("k", "new", 1)
    end, true },
    { "update", function(m)
      return m:update("k", function(v) return v .. "er" end)
    end, "newer" },
  }
  for _, row in ipairs(USES) do
    local name, use, expected = table.unpack(row, 1, 3)
    it("has others wait for the key: " .. name, function()
      local m, gate, task = updating("k")
      local other = blocked(use, m)
      assert.same({ nil, "timeout" }, { other:join(0.002) })
      m:set("another key", 1)
      gate:close()
      assert.same({ true, "new" }, { task:join() })
      assert.same({ true, expected }, { other:join() })
    end)
  end

  it("serves those who wait in the order of their arrival", function()
    local m, gate, task = updating("k")
    local tasks = {}
    for i = 1, 10 do
      tasks[i] = blocked(function()
        return m:update("k", function(v) return v .. i % 10 end)
      end)
    end
    gate:close()
    task:join()
    for i = 1, 10 do
      tasks[i]:join()
    end
    assert.equal("new1234567890", m:get("k"))
  end)

  it("refuses a function that uses the same key", function()
    local m = go.map()
    m:set("k", 1)
    for name, use in pairs({
      get = function() m:get("k") end,
      set = function() m:set("k", 2) end,
      delete = function() m:delete("k") end,
      update = function() m:update("k", print) end,
      compare_and_swap = function() m:compare_and_swap("k", 1, 2) end,
    }) do
      local ok, message = pcall(m.update, m, "k", use)
      assert.is_false(ok)
      assert.matches(("bad call of '%s' (it uses a key in the function that " ..
        "updates this key)"):format(name), message, 1, true)
    end
    assert.equal(3, m:update("k", function(v)
      m:set("other", 2)
      return v + m:get("other")
    end))
  end)

  it("changes nothing on an error, and frees the key", function()
    local m, err = go.map(), {}
    m:set("k", 1)
    for _, key in ipairs({ "k", "none" }) do
      local ok, message = pcall(m.update, m, key, function() error(err) end)
      assert.is_false(ok)
      assert.equal(err, message)
    end
    assert.equal(1, m:get("k"))
    assert.is_nil(m:get("none"))
    assert.equal(1, #m)
    assert.is_false((pcall(m.update, m, "k",
      function() return coroutine.create(print) end)))
    assert.equal(1, m:get("k"))
  end)

  it("frees the key when the coroutine it is in fails", function()
    local m = go.map()
    local co = coroutine.create(function() m:update("k", error, "oops") end)
    assert.is_false((coroutine.resume(co)))
    co = coroutine.create(function() m:update("k", error) end)
    assert.is_false((coroutine.resume(co)))
    m:set("k", 1)
    coroutine.close(co)
    assert.equal(1, m:get("k"))
  end)

  it("changes nothing on go.exit, and frees the key", function()
    local m = go.map()
    m:set("k", 1)
    local task = go.spawn(function()
      m:update("k", function() go.exit("out") end)
    end)
    assert.same({ true, "out" }, { task:join() })
    assert.equal(1, m:get("k"))
  end)

  it("passes the key on after an error", function()
    local m, gate, inside = go.map(), go.chan(), go.chan()
    local task = go.spawn(function()
      m:update("k", function()
        inside:close()
        gate:recv()
        error("oops", 0)
      end)
    end)
    inside:recv()
    local other = blocked(function() return m:get("k") end)
    gate:close()
    assert.same({ false, "oops" }, { table.unpack({ task:join() }, 1, 2) })
    assert.same({ true }, { other:join() })
  end)

  it("frees the key when the old value cannot be rebuilt", function()
    local m = go.map()
    m:set("k", setmetatable({}, {
      __transfer = function() return error, "not here" end,
    }))
    assert.is_false((pcall(m.update, m, "k", print)))
    assert.is_false((pcall(m.get, m, "k")))
    m:set("k", 1)
    assert.equal(1, m:get("k"))
  end)

  it("does not let the function yield", function()
    local m = go.map()
    local ok, message = coroutine.resume(coroutine.create(function()
      m:update("k", coroutine.yield)
    end))
    assert.is_false(ok)
    assert.matches("yield across a C%-call boundary", message)
    m:set("k", 1)
  end)

  it("may use other keys, also in itself", function()
    local m = go.map()
    assert.equal("cba", m:update("a", function()
      return m:update("b", function()
        return m:update("c", function() return "c" end) .. "b"
      end) .. "a"
    end))
    assert.same({ a = "cba", b = "cb", c = "c" }, contents(m))
  end)
end)

describe("map:compare_and_swap", function()
  it("swaps if the value is equal", function()
    local m = go.map()
    local ch = go.chan()
    for _, row in ipairs({
      { nil, 1 }, { 1, 2.0 }, { 2, 2.5 }, { 2.5, "a" }, { "a", ("b"):rep(300) },
      { ("b"):rep(300), true }, { true, false }, { false, ch },
      { ch, go.default }, { go.default, math.huge }, { math.huge, nil },
    }) do
      local old, new = table.unpack(row, 1, 2)
      assert.is_false(m:compare_and_swap("k", "another", "never"))
      assert.is_true(m:compare_and_swap("k", old, new))
      assert.equal(new, m:get("k"))
    end
    assert.equal(0, #m)
  end)

  it("compares as == does", function()
    local m = go.map()
    m:set("k", 1)
    assert.is_false(m:compare_and_swap("k", "1", 2))
    assert.is_false(m:compare_and_swap("k", nil, 2))
    assert.is_true(m:compare_and_swap("k", 1.0, 0 / 0))
    assert.is_false(m:compare_and_swap("k", 0 / 0, 2))
    m:set("k", math.maxinteger)
    assert.is_false(m:compare_and_swap("k", 2^63, 2))
    m:set("k", { 1 })
    assert.is_false(m:compare_and_swap("k", "x", 2))
    m:set("k", go.chan())
    assert.is_false(m:compare_and_swap("k", go.chan(), 2))
  end)

  it("refuses what has no equal among copies", function()
    local m = go.map()
    for _, old in ipairs({ {}, print, io.stdout }) do
      local ok, message = pcall(m.compare_and_swap, m, "k", old, 1)
      assert.is_false(ok)
      assert.matches("bad argument #2 to 'compare_and_swap'", message)
    end
  end)

  it("is done by one of many", function()
    helper.each_procs({ 1, 2, 4 }, function()
      local m, winners, wg = go.map(), go.atomic(), go.waitgroup()
      for i = 1, 20 do
        wg:go(function()
          if m:compare_and_swap("k", nil, i) then
            winners:add(1)
          end
        end)
      end
      wg:wait()
      assert.equal(1, winners:load())
    end)
  end)
end)
