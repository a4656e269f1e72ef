-- How deep values may be nested: as deep as memory allows, but for what has a
-- __transfer in what a __transfer gave, and so on. What lies deeper than a
-- hundred levels is filled in later on both sides: so around that depth there is
-- every kind of value.

local go = require("goroutines")
local helper = require("spec.helper")

local DEEP <const> = helper.times(100000)

local function through_channel(v)
  local ch = go.chan(1)
  ch:send(v)
  return ch:recv()
end

-- What is wrapped so often by these, in turn.
local function nested(innermost, depth, ...)
  local v, wraps = innermost, { ... }
  for i = 1, depth do
    v = wraps[(i - 1) % #wraps + 1](v)
  end
  return v
end

local function in_table(v) return { v } end

local function in_key(v) return { [v] = true } end

local function in_metatable(v) return setmetatable({}, { inner = v }) end

local function in_function(v)
  return function() return v end
end

-- string.gmatch makes a function of C with upvalues, of which the last is
-- userdata.
local function in_c_function(v)
  local f = string.gmatch("", "")
  debug.setupvalue(f, 1, v)
  debug.setupvalue(f, 2, "")
  debug.setupvalue(f, 3, false)
  return f
end

local WRAPS = { in_table, in_key, in_metatable, in_function, in_c_function }

-- What is inside, or nil.
local function unwrap(v)
  if type(v) == "function" then
    local _, inner = debug.getupvalue(v, 1)
    return inner
  elseif type(v) ~= "table" then
    return nil
  elseif getmetatable(v) then
    return getmetatable(v).inner
  end
  local key, value = next(v)
  return value == true and key or value
end

-- The kinds on the way to the innermost value, and that.
local function shape(v)
  local kinds, inner = {}, unwrap(v)
  while inner ~= nil do
    kinds[#kinds + 1] = type(v) == "function" and debug.getinfo(v, "S").what or
      getmetatable(v) and "M" or v[1] and "T" or "K"
    v, inner = inner, unwrap(inner)
  end
  return table.concat(kinds, " "), v
end

describe("nested a hundred thousand deep", function()
  for name, wrap in pairs({ tables = in_table, keys = in_key,
    metatables = in_metatable, ["functions of Lua"] = in_function,
    ["functions of C"] = in_c_function }) do
    it(name .. " arrive", function()
      local v = nested("innermost", DEEP, wrap)
      local kinds, innermost = shape(through_channel(v))
      assert.equal("innermost", innermost)
      assert.equal((shape(v)), kinds)
    end)
  end

  it("all of them arrive", function()
    local v = nested("innermost", DEEP, table.unpack(WRAPS))
    local kinds, innermost = shape(through_channel(v))
    assert.equal("innermost", innermost)
    assert.equal((shape(v)), kinds)
  end)

  it("they arrive as arguments, results and what a function captured", function()
    local v = nested("innermost", DEEP, in_table, in_function)
    local kinds = shape(v)
    local _, as_argument, as_captured, back = go.spawn(function(x)
      return (shape(x)), (shape(v)), x
    end, v):join()
    assert.is_true(kinds == as_argument and kinds == as_captured)
    assert.is_true(kinds == (shape(back)))
  end)
end)

describe("what is nested about a hundred deep", function()
  it("arrives, whatever it is", function()
    local random = 20
    local function draw(n)
      random = (random * 1103515245 + 12345) % 2147483648
      return random // 65536 % n + 1
    end
    for depth = 95, 105 do
      for _ = 1, 40 do
        local wraps = {}
        for i = 1, depth do
          wraps[i] = WRAPS[draw(#WRAPS)]
        end
        local v = nested("innermost", depth, table.unpack(wraps))
        local kinds, innermost = shape(through_channel(v))
        assert.equal("innermost", innermost)
        assert.equal((shape(v)), kinds)
      end
    end
  end)

  it("still shares variables with what is not", function()
    for depth = 95, 105 do
      local n = 0
      local function count()
        n = n + 1
        return n
      end
      local deep = nested(count, depth, in_table)
      local function read() return n end
      for _, order in ipairs({ { deep, read }, { read, deep } }) do
        local copy = through_channel(order)
        local deep_copy = type(copy[1]) == "table" and copy[1] or copy[2]
        local read_copy = type(copy[1]) == "table" and copy[2] or copy[1]
        while type(deep_copy) == "table" do deep_copy = deep_copy[1] end
        assert.equal(0, read_copy())
        assert.equal(1, deep_copy())
        assert.equal(1, read_copy())
      end
      assert.equal(0, n)
    end
  end)

  it("may refer to itself, and to what it is in", function()
    for depth = 95, 105 do
      local outermost = {}
      local f
      f = function() return f, outermost end
      outermost[1] = nested(f, depth, in_table, in_function)
      local copy = through_channel(outermost)
      local at = copy[1]
      for _ = 1, depth do
        at = unwrap(at)
      end
      local again, outer = at()
      assert.is_true(again == at and outer == copy)
    end
  end)

  it("has the finalizer of a metatable that is so deep", function()
    for depth = 95, 105 do
      local finalized = go.chan(1)
      local meta = { __gc = function() finalized:send(true) end }
      local ch = go.chan(1)
      ch:send(nested(setmetatable({}, meta), depth, in_table))
      meta.__gc = nil
      assert.equal("table", type(ch:recv()))
      collectgarbage()
      collectgarbage()
      assert.equal(1, #finalized)
    end
  end)

  it("is named where it cannot be sent", function()
    local ok, message = pcall(through_channel,
      nested(coroutine.create(print), 150, in_function))
    assert.is_false(ok)
    assert.matches("cannot send a coroutine (at upvalue 'v' of function <", message, 1, true)
  end)
end)

describe("what is nested deeply in a __transfer", function()
  local transferred <const> = helper.transferred

  local function depth_of(v)
    local n = 0
    while true do
      local inner
      if type(v) == "function" then
        inner = v()
      elseif type(v) == "table" then
        inner = v[1]
      end
      if not inner then
        return n, v
      end
      n, v = n + 1, inner
    end
  end

  it("is whole when the function is called", function()
    for _, depth in ipairs({ 90, 98, 99, 100, 101, 102, 250, DEEP }) do
      local deep = nested("innermost", depth, in_table, in_function)
      local result = through_channel({ transferred(function(v)
        return { depth_of(v) }
      end, deep) })
      assert.same({ { depth, "innermost" } }, result)
    end
  end)

  it("is whole though it came up deeply before", function()
    local part = nested("innermost", 50, in_table, in_function)
    local message = { nested(part, 150, in_table), transferred(depth_of, part) }
    assert.equal(50, through_channel(message)[2])
  end)

  -- Old objects are not written where a new one is: the list is no part of it.
  it("keeps no other value from arriving that lies deep", function()
    local t = transferred(function() return "one" end)
    local list
    for _ = 1, 150 do list = { list or false, t } end
    local copy = through_channel(list)
    for _ = 1, 150 do
      assert.equal("one", copy[2])
      copy = copy[1]
    end
    copy = through_channel({ nested({ t }, 100, in_table), t })
    assert.equal("one", copy[2])
    local siblings = {}
    for i = 1, 200 do
      siblings[i] = nested({ transferred(function() return i end) }, 95 + i % 10, in_table)
    end
    copy = through_channel(siblings)
    for i = 1, 200 do
      local at = copy[i]
      while type(at) == "table" do at = at[1] end
      assert.equal(i, at)
    end
  end)

  it("is in a list of as many as there are", function()
    local list = false
    for i = 1, DEEP // 10 do
      list = { list, transferred(function() return i end) }
    end
    local copy = through_channel(list)
    for i = DEEP // 10, 1, -1 do
      assert.equal(i, copy[2])
      copy = copy[1]
    end
  end)

  it("is whole where others are filled later before it", function()
    local first = { transferred(function() return "one" end), "x" }
    local second = { transferred(function(t) return #t .. tostring(t[2]) end, first) }
    for _, message in ipairs({
      { nested(first, 100, in_table), nested(second, 100, in_table) },
      { nested(second, 100, in_table), nested(first, 100, in_table) },
    }) do
      local copy = through_channel(message)
      local seen = {}
      for i = 1, 2 do
        local at = copy[i]
        while type(at) == "table" do at = at[1] end
        seen[at] = true
      end
      assert.is_true(seen["2x"] and seen["one"])
    end
  end)

  it("is whole where that is deep itself", function()
    for depth = 95, 105 do
      local inner = transferred(depth_of, nested("innermost", 60, in_table))
      local _, value = depth_of(through_channel(nested(inner, depth, in_table)))
      assert.equal(60, value)
    end
  end)

  it("is whole in a function that is captured for it", function()
    _G.deep_global = nested("innermost", 300, in_table, in_function)
    _G.depth_of_deep = depth_of
    local value = transferred(load("return function() return (depth_of_deep(deep_global)) end")())
    local ok, depth = go.spawn(function(v) return v end, value):join()
    _G.deep_global, _G.depth_of_deep = nil, nil
    assert.is_true(ok)
    assert.equal(300, depth)
  end)

  it("is whole in the loader of a module", function()
    local deep = nested("innermost", 300, in_table, in_function)
    package.preload["deep.module"] = function()
      return { depth = depth_of(deep) }
    end
    local module = require("deep.module")
    local ok, depth = go.spawn(function() return module.depth end):join()
    package.preload["deep.module"], package.loaded["deep.module"] = nil, nil
    assert.is_true(ok)
    assert.equal(300, depth)
  end)

  it("has the globals that a loader mentions, where that is deep", function()
    assert.equal("1\n", helper.output([[
      local go = require("goroutines")
      function helper_g() return 1 end
      package.preload.m = function() return { v = helper_g() } end
      local m = require("m")
      local deep = m
      for _ = 1, 100 do deep = { deep } end
      local _, _, v = assert(go.spawn(function() return #deep, m.v end):join())
      print(v)
    ]]))
  end)

  it("is refused, or arrives, where loaders have modules that loaders make", function()
    assert.equal("", helper.output([[
      local go = require("goroutines")
      local function try(count)
        local prev = {}
        for i = 1, count do
          local p = prev
          package.preload["m" .. i] = function() return { p } end
          prev = require("m" .. i)
        end
        local function measure()
          local n, at = 0, prev
          while at[1] do n, at = n + 1, at[1] end
          return n
        end
        local ok, result = pcall(go.spawn, measure)
        if ok then ok, result = result:join() end
        assert(ok and result == count or not ok and
          result:find("cannot send a loader within so many", 1, true), result)
        return ok
      end
      assert(try(1) and try(20))
      for _, count in ipairs({ 50, 60, 64, 70, 90, 100, 200, 3000 }) do try(count) end
      assert(go.spawn(try, 3000):join())
    ]]))
  end)

  it("is a module made by hand whose metatable came up deeply before", function()
    assert.equal("field\n", helper.output([[
      local go = require("goroutines")
      local meta = { __index = { field = "field" } }
      local m = setmetatable({}, meta)
      package.loaded.m = m
      local deep = meta
      for _ = 1, 99 do deep = { deep } end
      print(select(3, assert(go.spawn(function() return #deep, m.field end):join())))
    ]]))
  end)

  it("has its finalizer though the metatable came up deeply before", function()
    for depth = 95, 105 do
      local finalized, ch = go.chan(1), go.chan(1)
      local meta = { __gc = function() finalized:send(true) end }
      ch:send({ nested(meta, depth, in_table), setmetatable({}, meta) })
      meta.__gc = nil
      assert.equal(2, #ch:recv())
      collectgarbage()
      collectgarbage()
      assert.equal(1, #finalized)
    end
  end)

  -- Each has the next in what its __transfer gives.
  local function chain(length)
    local v = "innermost"
    for _ = 1, length do
      v = transferred(in_table, v)
    end
    return v
  end

  it("may have a __transfer in what it gives, and so on, 150 times", function()
    local copy = through_channel(chain(150))
    for _ = 1, 150 do copy = copy[1] end
    assert.equal("innermost", copy)
  end)

  it("is refused where that goes on for ever", function()
    for _, length in ipairs({ 200, DEEP }) do
      local ok, message = pcall(through_channel, chain(length))
      assert.is_false(ok)
      assert.matches("cannot send a __transfer within so many (at value, in what", message, 1, true)
    end
    local meta = {}
    meta.__transfer = function() return in_table, setmetatable({}, meta) end
    local ok, message = pcall(through_channel, setmetatable({}, meta))
    assert.is_false(ok)
    assert.matches("cannot send a __transfer within so many", message, 1, true)
  end)
end)
