local go = require("goroutines")
local helper = require("spec.helper")
local maps = require("spec.maps")

local contents, updating = maps.contents, maps.updating

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
    local before = helper.baseline()
    local iterate = pairs(m)
    assert.is_not_nil(iterate())
    iterate = nil
    assert.is_nil(iterate)
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
