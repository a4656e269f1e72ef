local go = require("goroutines")
local helper = require("spec.helper")

local blocked = helper.blocked

-- What pairs gives, as a table.
local function contents(m)
  local t = {}
  for k, v in pairs(m) do
    assert.is_nil(t[k])
    t[k] = v
  end
  return t
end

-- A map, and a task that updates `key` of it from nothing to "new" as soon as
-- the channel is closed.
local function updating(key)
  local m, gate, inside = go.map(), go.chan(), go.chan()
  local task = go.spawn({ name = "updater" }, function()
    return m:update(key, function()
      inside:close()
      gate:recv()
      return "new"
    end)
  end)
  inside:recv()
  return m, gate, task
end

describe("a map", function()
  it("keeps copies of values under keys", function()
    local m, value = go.map(), { 1, { 2 } }
    assert.is_nil(m:get("k"))
    assert.is_nil(m:set("k", value))
    value[2] = "changed"
    assert.same({ 1, { 2 } }, m:get("k"))
    assert.not_equal(m:get("k"), m:get("k"))
    m:set("k", false)
    assert.is_false(m:get("k"))
    assert.is_nil(m:delete("k"))
    assert.is_nil(m:get("k"))
    m:delete("k")
  end)

  it("deletes by a nil", function()
    local m = go.map()
    m:set("k", 1)
    m:set("k", nil)
    assert.is_nil(m:get("k"))
    assert.equal(0, #m)
    m:set("never", nil)
    assert.equal(0, #m)
  end)

  it("has keys of many kinds", function()
    local m = go.map()
    local keys = {
      "", "a", "a\0b", ("long"):rep(1000), 1, -1, math.maxinteger, 1.5,
      math.huge, -math.huge, true, false, go.default, m, go.chan(), go.mutex(),
      go.self(),
    }
    for i, key in ipairs(keys) do
      m:set(key, i)
    end
    assert.equal(#keys, #m)
    for i, key in ipairs(keys) do
      assert.equal(i, m:get(key))
    end
    assert.is_true(go.spawn(function(same, list)
      for i, key in ipairs(list) do
        assert(same:get(key) == i)
      end
    end, m, keys):join())
    for _, key in ipairs(m:keys()) do
      m:delete(key)
    end
    assert.equal(0, #m)
  end)

  it("takes a float with an integer's value as that integer", function()
    local m = go.map()
    m:set(2.0, "two")
    m:set(-0.0, "zero")
    assert.equal("two", m:get(2))
    assert.equal("zero", m:get(0))
    m:set(2^53, "large")
    assert.equal("large", m:get(1 << 53))
    assert.equal("integer", math.type(next(contents(m))))
    m:set("2", "text")
    assert.equal("two", m:get(2))
  end)

  it("tells views of a channel apart, as == does", function()
    local m, ch = go.map(), go.chan()
    m:set(ch, "both")
    m:set(ch:sender(), "sender")
    assert.equal("both", m:get(ch))
    assert.equal("sender", m:get(ch:sender()))
    assert.is_nil(m:get(ch:receiver()))
  end)

  it("refuses other keys", function()
    local m = go.map()
    local function refused(key)
      for name, arguments in pairs({
        get = {}, set = { 1 }, delete = {}, update = { print },
        compare_and_swap = { 1, 2 },
      }) do
        local ok, message = pcall(m[name], m, key, table.unpack(arguments))
        assert.is_false(ok)
        assert.matches(("bad argument #1 to '%s'"):format(name), message, 1, true)
      end
    end
    refused(nil)
    refused(0 / 0)
    refused({})
    refused(print)
    refused(io.stdout)
    refused(coroutine.create(print))
    assert.equal(0, #m)
  end)

  it("stays as it was when a value cannot be sent", function()
    local m = go.map()
    m:set("k", 1)
    local ok, message = pcall(m.set, m, "k", { coroutine.create(print) })
    assert.is_false(ok)
    assert.matches("cannot send a coroutine %(at value%[1%]%)", message)
    assert.equal(1, m:get("k"))
    assert.is_false((pcall(m.compare_and_swap, m, "k", 1, coroutine.create(print))))
    assert.equal(1, m:get("k"))
  end)

  it("holds many", function()
    local m = go.map()
    for i = 1, 5000 do
      m:set(i, i)
      m:set("key " .. i, i)
    end
    assert.equal(10000, #m)
    for i = 1, 5000 do
      assert.equal(i, m:get(i))
      assert.equal(i, m:get("key " .. i))
    end
    for i = 1, 5000 do
      m:delete(i)
    end
    assert.equal(5000, #m)
    assert.is_nil(m:get(17))
    assert.equal(17, m:get("key 17"))
  end)

  it("is shared", function()
    helper.each_procs({ 1, 2, 4 }, function()
      local m, wg = go.map(), go.waitgroup()
      for i = 1, 8 do
        wg:go(function()
          for j = 1, 100 do
            m:set(("%d:%d"):format(i, j), { i, j })
          end
        end)
      end
      wg:wait()
      assert.equal(800, #m)
      for k, v in pairs(m) do
        assert.equal(k, v[1] .. ":" .. v[2])
      end
    end)
  end)

  it("carries functions, handles and maps", function()
    local m, inner, ch = go.map(), go.map(), go.chan(1)
    m:set("f", function(x) return x + 1 end)
    m:set("ch", ch)
    m:set("inner", inner)
    inner:set("k", "v")
    local task = go.spawn(function()
      m:get("ch"):send(m:get("f")(1))
      return m:get("inner"):get("k")
    end)
    assert.same({ true, "v" }, { task:join() })
    assert.equal(2, ch:recv())
    assert.equal(ch, m:get("ch"))
  end)

  it("frees what it has", function()
    local before = helper.baseline()
    for _ = 1, 20 do
      local m = go.map()
      for i = 1, 100 do
        m:set(i, { i, go.chan() })
        m:set(go.chan(), go.mutex())
      end
    end
    helper.check_baseline(before)
  end)

  it("is one and the same in all goroutines", function()
    local m = go.map()
    local _, text = go.spawn(tostring, m):join()
    assert.equal(tostring(m), text)
    assert.matches("^map: 0x", text)
  end)
end)

describe("map:keys and pairs", function()
  it("give all there is", function()
    local m, expected = go.map(), {}
    assert.same({}, m:keys())
    assert.same({}, contents(m))
    for i = 1, 200 do
      m:set(i, { i })
      expected[i] = { i }
    end
    assert.same(expected, contents(m))
    local keys = m:keys()
    table.sort(keys)
    assert.same(helper.range(200), keys)
  end)

  it("bear changes meanwhile", function()
    local m = go.map()
    for i = 1, 200 do
      m:set(i, i)
    end
    local seen = {}
    for k, v in pairs(m) do
      assert.is_nil(seen[k])
      seen[k] = v
      m:delete(k)
      m:set(k + 1000, true)
      m:set(k % 50, nil)
    end
    for k in pairs(seen) do
      if k <= 200 then
        assert.is_nil(m:get(k))
      end
    end
  end)

  it("leave nothing behind when a loop is left", function()
    local m = go.map()
    for i = 1, 100 do
      m:set(i, { i })
    end
    for _ in pairs(m) do
      break
    end
    local before = helper.baseline()
    for _ in pairs(m) do
      break
    end
    helper.check_baseline(before)
    assert.is_false((pcall(function()
      for _ in pairs(m) do
        error("out")
      end
    end)))
    helper.check_baseline(before)
  end)

  it("raise for a value that cannot be rebuilt, and can go on", function()
    local m = go.map()
    m:set("bad", setmetatable({}, {
      __transfer = function() return error, "not here" end,
    }))
    m:set("good", 1)
    local iterate, errors, values = pairs(m), 0, 0
    for _ = 1, 3 do
      local ok, key = pcall(iterate)
      errors = errors + (ok and 0 or 1)
      values = values + (ok and key and 1 or 0)
    end
    assert.same({ 1, 1 }, { errors, values })
    assert.equal(2, #m:keys())
  end)

  it("do not wait for an update, and give the old value", function()
    local m, gate, task = updating("k")
    assert.equal(0, #m)
    assert.same({}, contents(m))
    m:set("other", 1)
    assert.same({ "other" }, m:keys())
    gate:close()
    task:join()
    assert.same({ k = "new", other = 1 }, contents(m))
  end)
end)

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

  it("frees the key when the CPU limit ends the goroutine in it", function()
    local m = go.map()
    local function hog() while true do end end
    local function stubborn() while true do pcall(hog) end end
    for _, run in ipairs({
      function(f) return f() end,
      function(f) return coroutine.wrap(f)() end,
      function(f) return coroutine.resume(coroutine.create(f)) end,
    }) do
      for _, f in ipairs({ hog, stubborn }) do
        local task = go.spawn({ cpu_limit = 0.02 }, run,
          function() m:update("k", f) end)
        task:join()
        m:set("k", 1)
      end
    end
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
