-- Recursion without end is an error of Lua's, with the smallest stacks there
-- may be, and not a crash: Lua counts its nested C calls, and a stack has room
-- for as many as it allows.

local go = require("goroutines")
local helper = require("spec.helper")

-- Bodies of functions that never come to an end of themselves.
local KINDS = {
  { "Lua functions", "local function f() return 1 + f() end f()" },
  { "pcall", [[
    local function f()
      local ok, err = pcall(f)
      if not ok then error(err, 0) end
    end
    f()
  ]] },
  { "xpcall", [[
    local function f()
      local ok, err = xpcall(f, function(m) return m end)
      if not ok then error(err, 0) end
    end
    f()
  ]] },
  { "message handlers", [[
    local function handler(m) error(m, 0) end
    local _, err = xpcall(error, handler, "x")
    error(tostring(err), 0)
  ]] },
  { "message handlers that nest callbacks", [[
    local function f() return (("x"):gsub("x", f)) end
    local _, err = xpcall(f, function(m)
      pcall(f)
      return m
    end)
    error(tostring(err), 0)
  ]] },
  { "string.gsub", 'local function f() return (("x"):gsub("x", f)) end f()' },
  { "table.sort", [[
    local function f()
      table.sort({ 3, 1, 2 }, function() f() return false end)
    end
    f()
  ]] },
  { "table.concat", [[
    local t = setmetatable({}, {})
    getmetatable(t).__index = function() return table.concat(t, "", 1, 1) end
    return table.concat(t, "", 1, 1)
  ]] },
  { "string.format and __tostring", [[
    local t = setmetatable({}, {})
    getmetatable(t).__tostring = function() return ("%s"):format(t) end
    return ("%s"):format(t)
  ]] },
  { "tostring", [[
    local t = setmetatable({}, {})
    getmetatable(t).__tostring = function() return tostring(t) end
    return tostring(t)
  ]] },
  { "print", [[
    local t = setmetatable({}, {})
    getmetatable(t).__tostring = function() print(t) return "" end
    print(t)
  ]] },
  { "coroutine.wrap", [[
    local function f() return coroutine.wrap(f)() end
    f()
  ]] },
  { "coroutine.wrap with string.gsub", [[
    local function f()
      return coroutine.wrap(function() return (("x"):gsub("x", f)) end)()
    end
    f()
  ]] },
  { "coroutine.resume", [[
    local function f()
      local ok, err = coroutine.resume(coroutine.create(f))
      if not ok then error(err, 0) end
    end
    f()
  ]] },
  { "coroutine.close", [[
    local function f()
      local co = coroutine.create(function()
        local _ <close> = setmetatable({}, { __close = function() f() end })
        coroutine.yield()
      end)
      coroutine.resume(co)
      assert(coroutine.close(co))
    end
    f()
  ]] },
  { "load with a reader", [[
    local function reader() assert(load(reader)) end
    assert(load(reader))
  ]] },
  { "the parser", [[
    assert(load("return " .. ("("):rep(1000) .. "1" .. (")"):rep(1000)))
  ]] },
  { "the parser's blocks", [[
    assert(load(("do "):rep(1000) .. ("end "):rep(1000)))
  ]] },
  { "require", [[
    local n = 0
    local function f()
      n = n + 1
      local name = "nested" .. n
      package.preload[name] = function() f() return 1 end
      require(name)
    end
    f()
  ]] },
  { "package.searchers", [[
    table.insert(package.searchers, 1, function(name)
      require(name .. "x")
    end)
    require("x")
  ]] },
  { "an iterator", [[
    local function iterator() for _ in iterator do end end
    for _ in iterator do end
  ]] },
  { "__close", [[
    local function f()
      local _ <close> = setmetatable({}, { __close = function() f() end })
    end
    f()
  ]] },
  { "__transfer", [[
    local ch, make = go.chan(1)
    function make()
      return setmetatable({}, { __transfer = function()
        ch:send(make())
      end })
    end
    ch:send(make())
  ]] },
  { "go.blocking", "local function f() return go.blocking(f) end f()" },
  { "patterns", 'return (("("):rep(300) .. "x"):find(("("):rep(300))' },
  { "a deep pattern below callbacks", [[
    local function f()
      assert(("x"):rep(199):find(("x?"):rep(199)))
      return (("x"):gsub("x", f))
    end
    f()
  ]] },
  { "values in a message below callbacks", [[
    local value = {}
    for _ = 1, 3000 do value = { value } end
    local ch = go.chan(1)
    local function f()
      ch:send(value)
      ch:recv()
      return (("x"):gsub("x", f))
    end
    f()
  ]] },
  { "a wait below callbacks", [[
    local function f()
      go.sleep(0.00001)
      return (("x"):gsub("x", f))
    end
    f()
  ]] },
}

for event, use in pairs({
  add = "t + 1", concat = 't .. "x"', call = "1 + t()", lt = "t < t",
  le = "t <= t", eq = "t == other", len = "#t", unm = "-t", idiv = "t // 1",
  bor = "t | 1", index = "t.x",
}) do
  table.insert(KINDS, { "__" .. event, ([[
    local meta = {}
    local t, other = setmetatable({}, meta), setmetatable({}, meta)
    meta.__%s = function() return %s end
    return %s, other
  ]]):format(event, use, use) })
end
table.insert(KINDS, { "__newindex", [[
  local t = setmetatable({}, {})
  getmetatable(t).__newindex = function(self, key, value) self[key] = value end
  t.x = 1
]] })

-- Each in a goroutine, in a coroutine of one, and beside hogs with short slices.
local SCRIPT = [[
  local go = require("goroutines")
  go.configure({ stack_size = 512 * 1024 })
  local function f() %s end
  local function in_coroutine() return select(2, coroutine.wrap(pcall)(f)) end
  local function check(task)
    local ok, err = task:join()
    print(tostring(err):gsub("\n.*", ""):sub(-60), ok)
  end
  check(go.spawn(f))
  check(go.spawn(in_coroutine))
  go.procs(1)
  go.configure({ time_slice = 0.0001 })
  go(function() while true do end end)
  check(go.spawn(f))
]]

describe("recursion without end", function()
  table.sort(KINDS, function(a, b) return a[1] < b[1] end)
  for _, row in ipairs(KINDS) do
    local name, body = table.unpack(row)
    it("is an error: " .. name, function()
      local result = helper.lua({ SCRIPT:format(body), limit = 20 })
      assert.equal("", result.stderr)
      assert.equal(0, result.code)
      local ends = {}
      for line in result.stdout:gmatch("[^\n]+") do
        ends[#ends + 1] = line
      end
      assert.equal(3, #ends)
      for _, line in ipairs(ends) do
        assert.is_truthy(line:find("overflow", 1, true)
          or line:find("too many captures", 1, true)
          or line:find("error in error handling", 1, true), result.stdout)
      end
    end)
  end

  it("needs the least stack that may be configured", function()
    for _, bytes in ipairs({ 0, 65536, 512 * 1024 - 1 }) do
      local ok, err = pcall(go.configure, { stack_size = bytes })
      assert.is_false(ok)
      assert.matches("option 'stack_size': from 524288 to", err, 1, true)
    end
  end)
end)
