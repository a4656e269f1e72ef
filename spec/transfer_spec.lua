local go = require("goroutines")
local fixture = require("fixture")
local transferred = require("spec.helper").transferred

-- What comes out of a channel when `v` is sent.
local function through_channel(v)
  local ch = go.chan(1)
  ch:send(v)
  return ch:recv()
end

-- What a goroutine returns that was called with `v`.
local function through_goroutine(v)
  return select(2, assert(go.spawn(function(x) return x end, v):join()))
end

local WAYS = { through_channel, through_goroutine }

-- A table with this __transfer.
local function with_transfer(transfer)
  return setmetatable({}, { __transfer = transfer })
end

local function dead() return coroutine.create(print) end

-- The error that sending `v` raises, which leaves all as it was.
local function refusal(v)
  local ch, before = go.chan(1), go.stats().messages
  local ok, message = pcall(ch.send, ch, v)
  assert.is_false(ok)
  assert.equal(0, #ch)
  assert.equal(before, go.stats().messages)
  ch:send("still usable")
  assert.equal("still usable", ch:recv())
  return message
end

describe("a table with __transfer", function()
  it("arrives as what the function returns for the arguments", function()
    local function point(x, y) return { x = x, y = y, rebuilt = true } end
    for _, way in ipairs(WAYS) do
      assert.same({ x = 1, y = 2, rebuilt = true },
        way(transferred(point, 1, 2)))
      assert.same({ y = 2, rebuilt = true }, way(transferred(point, nil, 2)))
    end
  end)

  it("gets itself as the argument of __transfer", function()
    local meta = {}
    function meta.__transfer(self)
      return function(name) return name .. " rebuilt" end, self.name
    end
    for _, way in ipairs(WAYS) do
      assert.equal("t rebuilt", way(setmetatable({ name = "t" }, meta)))
    end
  end)

  it("may hold what cannot be sent", function()
    local meta = {}
    function meta.__transfer(self)
      return function(v) return { v = v } end, self.v
    end
    local t = setmetatable({ co = dead(), v = "kept" }, meta)
    for _, way in ipairs(WAYS) do
      assert.same({ v = "kept" }, way(t))
      assert.same({ { v = "kept" } }, way({ t }))
    end
  end)

  it("may be rebuilt as anything but nil", function()
    for _, way in ipairs(WAYS) do
      for _, v in ipairs({ false, 0, "", go, print }) do
        assert.is_true(v == way(transferred(function() return v end)))
      end
    end
  end)

  it("may be a key, an upvalue, a metatable, an error and a result", function()
    local v = transferred(function() return "rebuilt" end)
    assert.equal(1, through_channel({ [v] = 1 }).rebuilt)
    assert.equal("rebuilt", through_channel(function() return v end)())
    local meta = { __index = { v = v } }
    assert.equal("rebuilt", through_channel(setmetatable({}, meta)).v)
    local function make()
      return setmetatable({}, { __transfer = function()
        return function() return "rebuilt" end
      end })
    end
    assert.equal("rebuilt", select(2, go.spawn(make):join()))
    assert.equal("rebuilt",
      select(2, go.spawn(function() error(make()) end):join()))
  end)

  it("may be rebuilt by a C function, and one of a module", function()
    local t = { 1, 2 }
    for _, way in ipairs(WAYS) do
      assert.equal("1-2", way(transferred(table.concat, t, "-")))
      assert.equal(3, way(transferred(fixture.box, 3)):get())
    end
  end)

  it("may have arguments that have a __transfer, too", function()
    local inner = transferred(function(s) return s .. "!" end, "inner")
    local outer = transferred(function(s) return { "outer", s } end, inner)
    for _, way in ipairs(WAYS) do
      assert.same({ "outer", "inner!" }, way(outer))
    end
  end)

  it("may have up to 254 arguments", function()
    local function count(...) return select("#", ...) end
    local args = {}
    for i = 1, 254 do args[i] = i end
    assert.equal(254, through_channel(transferred(count, table.unpack(args))))
    args[255] = 255
    assert.matches("__transfer", refusal(transferred(count, table.unpack(args))))
  end)

  it("keeps its metatable's own __transfer if it is rebuilt so", function()
    local class = {}
    class.__index = class
    function class.__transfer(self)
      return function(c, n) return setmetatable({ n = n }, c) end,
        getmetatable(self), self.n + 1
    end
    local v = setmetatable({ n = 1 }, class)
    assert.equal(3, through_channel(through_channel(v)).n)
    assert.equal(1, v.n)
  end)

  it("may be captured as a global", function()
    rawset(_G, "spec_transferred", transferred(function() return "global" end))
    local _, value = go.spawn(function()
      return rawget(_G, "spec_transferred")
    end):join()
    rawset(_G, "spec_transferred", nil)
    assert.equal("global", value)
  end)

  it("may wait in __transfer and in the function", function()
    local gate = go.chan(2)
    local v = with_transfer(function()
      gate:send(1)
      go.yield()
      return function(g)
        go.yield()
        return g:recv()
      end, gate
    end)
    for _, way in ipairs(WAYS) do
      assert.equal(1, way(v))
    end
  end)

  it("is sent by a select", function()
    local ch = go.chan(1)
    local v = transferred(function() return "selected" end)
    assert.equal(1, (go.select(ch:sending(v))))
    assert.equal("selected", ch:recv())
  end)
end)

describe("__transfer", function()
  local function counted()
    local count = 0
    local v = with_transfer(function()
      count = count + 1
      return function() return { "rebuilt" } end
    end)
    return v, function() return count end
  end

  it("is called once a message, however often it is there", function()
    for _, way in ipairs(WAYS) do
      local v, count = counted()
      local copy = way({ v, { v }, key = v })
      assert.equal(1, count())
      assert.is_true(copy[1] == copy[2][1] and copy[1] == copy.key)
      assert.same({ "rebuilt" }, copy[1])
      way(v)
      assert.equal(2, count())
    end
  end)

  it("is called once for function, captured values and arguments", function()
    local v, count = counted()
    local task = go.spawn(function(x, y) return v == x and x == y end, v, v)
    assert.is_true(select(2, task:join()))
    assert.equal(1, count())
  end)

  it("is called for the case of a select that loses, too", function()
    local full, ready = go.chan(), go.chan(1)
    local v, count = counted()
    ready:send("ready")
    assert.equal(1, (go.select(ready, full:sending(v))))
    assert.equal(1, count())
  end)

  it("shares with the rest of the message what it gives", function()
    local shared = { "shared" }
    local v = transferred(function(t) return { t } end, shared)
    for _, way in ipairs(WAYS) do
      for _, list in ipairs({ { v, shared, v }, { shared, v, shared } }) do
        local copy = way(list)
        local inner = copy[1][1] == "shared" and copy[2][1] or copy[1][1]
        local outer = copy[1][1] == "shared" and copy[1] or copy[2]
        assert.is_true(inner == outer)
      end
    end
  end)

  it("keeps upvalues of its function shared", function()
    local n = 0
    local function increment() n = n + 1 return n end
    local v = transferred(function() return increment end)
    local copy = through_channel({ v, increment })
    copy[1]()
    assert.equal(2, copy[2]())
    assert.equal(0, n)
  end)

  it("may give tables that nothing else holds", function()
    local meta, list = {}, {}
    function meta.__transfer()
      local fresh = {}
      for i = 1, 50 do fresh[i] = { i } end
      collectgarbage("step")
      return function(t) return t end, fresh
    end
    for i = 1, 50 do list[i] = setmetatable({}, meta) end
    for _, t in ipairs(through_channel(list)) do
      assert.equal(50, #t)
      assert.equal(50, t[50][1])
    end
  end)

  it("works among a hundred thousand nested tables", function()
    local deep = { v = transferred(function(t) return t end, { "deepest" }) }
    for _ = 1, 100000 do deep = { deep } end
    local copy = through_channel(deep)
    while copy[1] do copy = copy[1] end
    assert.same({ "deepest" }, copy.v)
  end)

  it("may give nested tables, which are whole for its function", function()
    local deep, depth = {}, 120
    for _ = 1, depth do deep = { deep } end
    local function measure(t)
      local n = 0
      while t[1] do t, n = t[1], n + 1 end
      return n
    end
    assert.equal(depth, through_channel(transferred(measure, deep)))
  end)
end)

describe("a message is refused, and all is as it was,", function()
  it("if __transfer raises an error, which is the one", function()
    local object = {}
    assert.equal(object, refusal(with_transfer(function() error(object) end)))
    assert.matches("no luck", refusal({ 1, go.chan(),
      with_transfer(function() error("no luck") end) }))
    local ok, message = pcall(go.spawn, print, with_transfer(function()
      error("no luck either")
    end))
    assert.is_false(ok)
    assert.matches("no luck either", message)
  end)

  it("if __transfer gives no function", function()
    for _, v in ipairs({ 1, "f", {}, false }) do
      assert.matches("__transfer that returns no function (at value.list[1])",
        refusal({ list = { with_transfer(function() return v end) } }), 1, true)
    end
    assert.matches("no function", refusal(with_transfer(function() end)))
    assert.matches("no function", refusal(with_transfer(function() return nil, 1 end)))
  end)

  it("if __transfer is no function", function()
    assert.matches("call", refusal(with_transfer(true)))
  end)

  it("if the object is among what its __transfer gives", function()
    local direct = setmetatable({}, {
      __transfer = function(self) return print, self end,
    })
    local inside = setmetatable({}, {
      __transfer = function(self) return print, { { self } } end,
    })
    local captured = setmetatable({}, {
      __transfer = function(self) return function() return self end end,
    })
    for _, v in ipairs({ direct, inside, captured }) do
      assert.matches("refers to itself in its __transfer", refusal(v))
      assert.matches("refers to itself in its __transfer", refusal({ v }))
    end
  end)

  it("if two give each other", function()
    local a, b = {}, {}
    setmetatable(a, { __transfer = function() return print, b end })
    setmetatable(b, { __transfer = function() return print, a end })
    assert.matches("refers to itself in its __transfer", refusal({ a, b }))
  end)

  it("if __transfer gives what cannot be sent, with its path", function()
    local v = transferred(print, { { co = dead() } })
    local message = refusal({ v = v })
    assert.matches("cannot send a coroutine (at value.v", message, 1, true)
    assert.matches("__transfer gave[1].co)", message, 1, true)
  end)

  it("if something else in the message cannot be sent", function()
    local v = transferred(function() return 1 end)
    for _ = 1, 100 do
      assert.matches("coroutine", refusal({ v, go.chan(), v, dead() }))
    end
  end)
end)

describe("an error of the function that rebuilds", function()
  local function explode() error("cannot rebuild", 0) end

  it("raises in recv, and the channel goes on", function()
    local ch = go.chan(3)
    ch:send({ "first", transferred(explode) })
    ch:send("second")
    local ok, message = pcall(ch.recv, ch)
    assert.is_false(ok)
    assert.matches("cannot rebuild", message)
    assert.equal("second", ch:recv())
  end)

  it("raises in the receiver that waited, and not in the sender", function()
    local ch = go.chan()
    local task = go.spawn(function()
      local ok, message = pcall(ch.recv, ch)
      return ok, message, ch:recv()
    end)
    assert.is_true(ch:send(transferred(explode)))
    assert.is_true(ch:send("next"))
    local _, ok, message, after = task:join()
    assert.is_false(ok)
    assert.matches("cannot rebuild", message)
    assert.equal("next", after)
  end)

  it("raises in a select", function()
    local ch = go.chan(2)
    ch:send(transferred(explode))
    ch:send("second")
    assert.has_error(function() return go.select(ch) end)
    local _, v = go.select(ch)
    assert.equal("second", v)
  end)

  it("ends a loop over the channel, which may be started again", function()
    local ch = go.chan(2)
    ch:send(transferred(explode))
    ch:send("second")
    ch:close()
    assert.has_error(function() for _ in ch do error("no value") end end)
    for v in ch do assert.equal("second", v) end
  end)

  it("fails the task whose argument it is", function()
    local ok, message = go.spawn(function() return 1 end,
      transferred(explode)):join()
    assert.is_false(ok)
    assert.matches("cannot rebuild", message)
  end)

  it("raises in join if it is a result's", function()
    local task = go.spawn(function()
      return setmetatable({}, { __transfer = function()
        return function() error("cannot rebuild", 0) end
      end })
    end)
    for _ = 1, 2 do
      local ok, message = pcall(task.join, task)
      assert.is_false(ok)
      assert.matches("cannot rebuild", message)
    end
  end)

  it("is said if the function returns nil", function()
    local ch = go.chan(1)
    ch:send(transferred(function() end))
    local ok, message = pcall(ch.recv, ch)
    assert.is_false(ok)
    assert.matches("returned nil", message)
  end)

  it("may be any value", function()
    local ch = go.chan(1)
    ch:send(transferred(function() error({ code = 7 }) end))
    local _, object = pcall(ch.recv, ch)
    assert.equal(7, object.code)
  end)
end)

describe("a userdata", function()
  it("with __transfer is rebuilt in the receiver", function()
    for _, way in ipairs(WAYS) do
      local box = fixture.box(42)
      local copy = way(box)
      assert.equal("userdata", type(copy))
      assert.is_false(rawequal(copy, box))
      assert.equal(42, copy:get())
      assert.is_true(getmetatable(copy) == getmetatable(box))
    end
  end)

  it("with __transfer is rebuilt in a fresh state", function()
    local task = go.spawn(function(box, list)
      return box:get() + list[1]:get(), box == list[2]
    end, fixture.box(1), { fixture.box(2) })
    assert.same({ true, 3, false }, { task:join() })
  end)

  it("with __transfer stays one in a message", function()
    local box = fixture.box(1)
    local copy = through_channel({ box, { box }, [box] = "key" })
    assert.is_true(rawequal(copy[1], copy[2][1]))
    assert.equal("key", copy[copy[1]])
  end)

  it("is sent if __transfer is given to its type", function()
    local sealed = fixture.sealed()
    local meta = getmetatable(sealed)
    meta.__transfer = function() return function() return "opened" end end
    assert.equal("opened", through_channel(sealed))
    meta.__transfer = nil
    assert.matches("fixture.sealed", refusal(sealed), 1, true)
  end)

  it("without it is refused by the name of its type", function()
    assert.matches("cannot send a userdata (fixture.sealed) (at value[2])",
      refusal({ 1, fixture.sealed() }), 1, true)
  end)
end)

describe("a handle", function()
  it("goes by reference, whatever its metatable says", function()
    local ch = go.chan(1)
    ch:send(ch)
    assert.is_true(ch:recv() == ch)
  end)
end)

describe("records with the same fields", function()
  -- Each is sent several times: a state knows fields from the second time on.
  local function each(record, check)
    for _, way in ipairs(WAYS) do
      for _ = 1, 4 do
        check(way(record))
      end
    end
  end

  it("arrive with all fields, few or many, short or long", function()
    for count = 1, 40 do
      local record = {}
      for i = 1, count do
        record[("n"):rep(count * i % 43 + 1) .. i] = i % 3 == 0 and { i } or i
      end
      each(record, function(r) assert.same(record, r) end)
    end
  end)

  it("are tables like any other on arrival", function()
    each({ id = 1, name = "abc", tags = { 1, 2, 3 } }, function(r)
      for i = 1, 20 do
        r[i], r["more" .. i] = i, { i }
      end
      r.id, r.name = nil, nil
      assert.equal(20, #r)
      assert.same({ 7 }, r.more7)
      local keys = 0
      for _ in pairs(r) do keys = keys + 1 end
      assert.equal(41, keys)
    end)
  end)

  it("may be metatables on arrival", function()
    local fields = { __index = { x = 1 }, __mode = "k", y = 2 }
    each(fields, function(r)
      assert.equal(1, setmetatable({}, r).x)
    end)
    each({ __len = 3 }, function(r)
      assert.has_error(function() return #setmetatable({}, r) end)
      r.__len = function() return 5 end
      assert.equal(5, #setmetatable({}, r))
    end)
  end)

  it("are told apart by names, not by places", function()
    local records = {}
    for i = 1, 100 do
      records[i] = { ["a" .. i] = i, ["b" .. i % 7] = "x" .. i, c = { i } }
    end
    local ch = go.chan(1)
    for _ = 1, 5 do
      for i = 1, 100 do
        ch:send(records[i])
        assert.same(records[i], ch:recv())
      end
    end
  end)

  it("come from many states, with the fields in their orders", function()
    local results = go.chan()
    for i = 1, 50 do
      go(function()
        local record = {}
        for j = 1, 12 do
          record["field" .. (i + j * 5) % 12] = i
        end
        for _ = 1, 20 do results:send(record) end
      end)
    end
    for _ = 1, 1000 do
      local r = results:recv()
      for j = 0, 11 do assert.equal(r.field0, r["field" .. j]) end
    end
  end)

  it("survive each other and the collector", function()
    collectgarbage("generational")
    local kept, ch = {}, go.chan(1)
    for i = 1, 2000 do
      ch:send({ id = i, name = "n" .. i, next = { id = -i, name = "m" .. i } })
      kept[i] = ch:recv()
      if i % 100 == 0 then collectgarbage() end
      if i % 400 == 0 then collectgarbage("incremental") end
      if i % 600 == 0 then collectgarbage("generational") end
    end
    collectgarbage("incremental")
    for i, r in ipairs(kept) do
      assert.same({ id = i, name = "n" .. i, next = { id = -i, name = "m" .. i } }, r)
    end
  end)
end)
