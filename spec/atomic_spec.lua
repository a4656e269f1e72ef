local go = require("goroutines")
local helper = require("spec.helper")

describe("an atomic", function()
  it("is an integer", function()
    local a = go.atomic()
    assert.equal(0, a:load())
    assert.is_nil(a:store(5))
    assert.equal(5, a:load())
    assert.equal(8, a:add(3))
    assert.equal(7, a:add(-1))
    assert.equal(7, a:swap(1))
    assert.equal(1, a:load())
    assert.equal(9, go.atomic(9):load())
    assert.equal("integer", math.type(go.atomic(2.0):load()))
  end)

  it("is compared and swapped", function()
    local a = go.atomic(1)
    assert.is_false(a:compare_and_swap(2, 3))
    assert.equal(1, a:load())
    assert.is_true(a:compare_and_swap(1, 3))
    assert.equal(3, a:load())
  end)

  it("has 64 bits, and wraps around as Lua's integers do", function()
    local a = go.atomic(math.maxinteger)
    assert.equal(math.mininteger, a:add(1))
    assert.equal(math.maxinteger, a:add(-1))
    assert.equal(math.maxinteger, a:swap(math.mininteger))
    assert.equal(0, a:add(math.mininteger))
    assert.is_true(a:compare_and_swap(0, -1))
    assert.equal(-1, a:load())
  end)

  it("loses nothing", function()
    helper.each_procs({ 1, 2, 4 }, function()
      local a, b, wg = go.atomic(), go.atomic(), go.waitgroup()
      for i = 1, 8 do
        wg:go(function()
          for _ = 1, 2000 do
            a:add(i)
            local old
            repeat
              old = b:load()
            until b:compare_and_swap(old, old + i)
          end
        end)
      end
      wg:wait()
      assert.equal(72000, a:load())
      assert.equal(72000, b:load())
    end)
  end)

  it("gives each old value to one who swaps", function()
    local a, seen, wg = go.atomic(0), go.chan(4000), go.waitgroup()
    for i = 1, 4 do
      wg:go(function()
        for j = 1, 1000 do
          seen:send(a:swap(i * 10000 + j))
        end
      end)
    end
    wg:wait()
    seen:close()
    local values, n = { [a:load()] = true }, 1
    for v in seen do
      assert.is_nil(values[v])
      values[v] = true
      n = n + 1
    end
    assert.equal(4001, n)
  end)

  it("is ordered with other atomics", function()
    -- Each stores and then looks at the other's: one of the two sees it.
    helper.each_procs({ 1, 2 }, function()
      for _ = 1, 200 do
        local x, y = go.atomic(), go.atomic()
        local function store_and_load(mine, other)
          mine:store(1)
          return other:load()
        end
        local a = go.spawn(store_and_load, x, y)
        local b = go.spawn(store_and_load, y, x)
        local _, from_a = a:join()
        local _, from_b = b:join()
        assert.is_true(from_a + from_b > 0)
      end
    end)
  end)

  it("is one and the same in all goroutines", function()
    local a = go.atomic()
    local _, text = go.spawn(tostring, a):join()
    assert.equal(tostring(a), text)
    assert.matches("^atomic: 0x", text)
  end)
end)
