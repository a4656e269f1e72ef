-- Limits of memory and of CPU time of a goroutine.

local go = require("goroutines")
local helper = require("spec.helper")

local function spin() while true do end end

-- A value whose handler sends `name` to the channel.
local function closing(ch, name)
  return setmetatable({}, { __close = function() ch:send(name) end })
end

describe("memory_limit", function()
  -- Each would take far more than a megabyte.
  local GROWS = {
    ["a table"] = function()
      local t = {}
      repeat t[#t + 1] = { {} } until not t
    end,
    ["a global table"] = function()
      everything = {} -- luacheck: ignore
      while true do everything[#everything + 1] = {} end -- luacheck: ignore
    end,
    ["strings"] = function()
      local s = "x"
      while true do s = s .. s end
    end,
    ["a large block"] = function() return ("x"):rep(1 << 24) end,
    ["closures"] = function()
      local f
      while true do
        local g = f
        f = function() return g end
      end
    end,
    ["coroutines"] = function()
      local all = {}
      while true do all[#all + 1] = coroutine.create(spin) end
    end,
    ["deep calls"] = function()
      local function deeper(n) return 1 + deeper(n + 1) end
      return deeper(0)
    end,
  }

  for name, grows in pairs(GROWS) do
    it("ends a goroutine cleanly: " .. name, function()
      local ok, err = go.spawn({ memory_limit = 1 << 20 }, grows):join()
      assert.is_false(ok)
      assert.equal("not enough memory", err)
    end)
  end

  it("is an error that can be caught, after which memory is there again", function()
    local ok, caught, err, length = go.spawn({ memory_limit = 1 << 20 }, function()
      local caught, err = pcall(function()
        local t = {}
        while true do t[#t + 1] = ("x"):rep(100) .. #t end
      end)
      return caught, err, #("y"):rep(1 << 18)
    end):join()
    assert.same({ true, false, "not enough memory", 1 << 18 },
      { ok, caught, err, length })
  end)

  it("does not count garbage", function()
    assert.is_true((go.spawn({ memory_limit = 1 << 20 }, function()
      for i = 1, 1e5 do
        local _ = ("z"):rep(100) .. i
      end
    end):join()))
  end)

  it("runs handlers and finalizers", function()
    local ch = go.chan(2)
    local ok = go.spawn({ memory_limit = 1 << 20 }, function()
      local _ <close> = closing(ch, "closed")
      finalized = setmetatable({}, { __gc = function() ch:send("finalized") end }) -- luacheck: ignore
      everything = {} -- luacheck: ignore
      while true do everything[#everything + 1] = {} end -- luacheck: ignore
    end):join()
    assert.is_false(ok)
    assert.equal("closed", ch:recv(5))
    assert.equal("finalized", ch:recv(5))
  end)

  it("may be too small for a state", function()
    for _, bytes in ipairs({ 1, 1000, 10000, 0.5 }) do
      local ok, err = go.spawn({ memory_limit = bytes }, function() end):join()
      assert.is_false(ok)
      assert.equal("not enough memory", err)
    end
  end)

  it("at any size gives a result or the error", function()
    for bytes = 20000, 60000, 777 do
      local ok, err = go.spawn({ memory_limit = bytes }, function()
        local t = {}
        for i = 1, 100 do t[i] = { tostring(i) } end
        return #t
      end):join()
      if ok then
        assert.equal(100, err)
      else
        assert.equal("not enough memory", err)
      end
    end
  end)

  it("concerns nobody else", function()
    local others = {}
    for i = 1, 4 do
      others[i] = go.spawn(function()
        local t = {}
        for n = 1, 50000 do t[n] = { n } end
        return #t
      end)
      go.spawn({ memory_limit = 1 << 18 }, GROWS["a table"]):join()
    end
    for i = 1, 4 do
      assert.equal(50000, select(2, others[i]:join()))
    end
  end)
end)

describe("cpu_limit", function()
  local LIMIT = 0.03

  local SWALLOWS = {
    ["nothing"] = spin,
    ["pcall"] = function() while true do pcall(spin) end end,
    ["xpcall"] = function() while true do xpcall(spin, type) end end,
    ["pcall of short calls"] = function()
      while true do pcall(function() for _ = 1, 100 do end end) end
    end,
    ["coroutine.wrap"] = function()
      while true do pcall(coroutine.wrap(spin)) end
    end,
    ["coroutine.resume"] = function()
      while true do coroutine.resume(coroutine.create(spin)) end
    end,
    ["pcall in a coroutine"] = function()
      while true do
        coroutine.wrap(function() while true do pcall(spin) end end)()
      end
    end,
    ["a comparator"] = function()
      while true do pcall(table.sort, { 3, 2, 1, 5, 4 }, spin) end
    end,
    ["a metamethod"] = function()
      local t = setmetatable({}, { __index = spin })
      while true do pcall(function() return t.x end) end
    end,
    ["a user's hook"] = function()
      debug.sethook(function() end, "l")
      while true do pcall(spin) end
    end,
  }

  for name, f in pairs(SWALLOWS) do
    it("ends a goroutine that catches its error by " .. name, function()
      local ch = go.chan(1)
      local ok, err, traceback = go.spawn({ cpu_limit = LIMIT }, function(g)
        local _ <close> = closing(ch, "closed")
        g()
      end, f):join(helper.within(5))
      assert.equal(false, ok)
      assert.equal("cpu limit exceeded", err)
      assert.truthy(traceback:find("limits_spec"))
      assert.equal("closed", ch:recv(1))
    end)
  end

  it("is an error that can be caught, after which there is a grace", function()
    local ok, caught, err = go.spawn({ cpu_limit = LIMIT }, function()
      return pcall(spin)
    end):join(helper.within(5))
    assert.same({ true, false, "cpu limit exceeded" }, { ok, caught, err })
  end)

  it("does not count waiting", function()
    assert.is_true((go.spawn({ cpu_limit = LIMIT }, function()
      for _ = 1, 10 do go.sleep(0.01) end
    end):join()))
  end)

  it("counts on other processors and after waits", function()
    local _ <close> = helper.procs(2)
    local ok, err = go.spawn({ cpu_limit = LIMIT }, function()
      while true do
        for _ = 1, 1000 do end
        go.yield()
        go.sleep(0)
      end
    end):join(helper.within(5))
    assert.equal(false, ok)
    assert.equal("cpu limit exceeded", err)
  end)

  it("ends handlers that do not end", function()
    local ch = go.chan(1)
    local ok, err = go.spawn({ cpu_limit = LIMIT }, function()
      local _ <close> = closing(ch, "outer")
      local _ <close> = setmetatable({}, { __close = spin })
      while true do pcall(spin) end
    end):join(helper.within(5))
    assert.equal(false, ok)
    assert.equal("cpu limit exceeded", err)
    assert.equal("outer", ch:recv(1))
  end)

  it("frees the key of a map that is being updated", function()
    local m = go.map()
    local function stubborn() while true do pcall(spin) end end
    for _, run in ipairs({
      function(f) return f() end,
      function(f) return coroutine.wrap(f)() end,
      function(f) return coroutine.resume(coroutine.create(f)) end,
    }) do
      for _, f in ipairs({ spin, stubborn }) do
        local task = go.spawn({ cpu_limit = 0.02 }, run,
          function() m:update("k", f) end)
        task:join()
        m:set("k", 1)
      end
    end
  end)

  it("is not looked at before it is used up", function()
    local ok, n = go.spawn({ cpu_limit = 100 }, function()
      local n = 0
      for i = 1, 1e6 do n = n + i % 2 end
      return n
    end):join()
    assert.same({ true, 500000 }, { ok, n })
  end)
end)

describe("limits", function()
  it("are checked", function()
    for _, key in ipairs({ "memory_limit", "cpu_limit" }) do
      for value, why in pairs({
        [0] = "must be positive", [-1] = "must be positive",
        [true] = "number expected, got boolean",
        ["1"] = "number expected, got string",
      }) do
        local ok, err = pcall(go.spawn, { [key] = value }, print)
        assert.is_false(ok)
        assert.equal(("bad argument #1 to 'spawn' (option '%s': %s)"):format(
          key, why), err)
      end
      assert.is_false((pcall(go.spawn, { [key] = 0 / 0 }, print)))
      assert.is_true((go.spawn({ [key] = math.huge }, function() end):join()))
    end
  end)
end)

-- The replaced pcall and xpcall, and the stock ones.
describe("pcall and xpcall", function()
  it("are as the stock ones", function()
    local script = [[
      %s
      local function show(...) print(select("#", ...), ...) end
      show(pcall(print))
      show(pcall(error))
      show(pcall(error, nil))
      show(pcall(function(...) return ... end, 1, nil, 3, nil))
      show(pcall(pcall))
      show(pcall(xpcall))
      show(pcall(xpcall, print))
      show(pcall(xpcall, print, 1))
      show(xpcall(error, function(e) return e .. "!" end, "x"))
      show(xpcall(error, function(e) error(e, 0) end, "x"))
      show(xpcall(function(...) return ... end, print, 1, nil, nil))
      show(xpcall(error, function(...) return select("#", ...) end))
      show(pcall(nil))
      show(pcall(setmetatable({}, { __call = function(_, a) return a end }), 7))
      show(select(2, xpcall(function() local x = nil + 1 end, debug.traceback)))
      local co = coroutine.wrap(function(...)
        show(pcall(coroutine.yield, ...))
        show(pcall(function() coroutine.yield(2) error("late", 0) end))
        show(xpcall(function(a) return a, coroutine.yield(3) end, print, "a"))
        return "end"
      end)
      show(co(1)) show(co("r")) show(co()) show(co("s", "t"))
      local n = 0
      local function deep() n = n + 1 return pcall(deep) end
      show(deep()) show(n > 100)
    ]]
    local plain = helper.output({ script:format("") })
    local ours = helper.output({ script:format('require("goroutines")') })
    assert.equal((plain:gsub("/[%w/_]+:", "")), (ours:gsub("/[%w/_]+:", "")))
  end)
end)
