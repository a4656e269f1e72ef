-- go.configure{ preload = names }: modules that are loaded once, into a state of
-- which full states are copies. In processes of their own, for a process keeps
-- only so many lists.

local helper = require("spec.helper")
local scripts = require("spec.scripts")

local PREAMBLE = scripts.PREAMBLE .. [[
  local function module(name, text)
    package.preload[name] = assert(load(text, "=" .. name))
  end
  local function preload(...)
    go.configure({ preload = { ... } })
    return go.stats().preload_failure
  end
]]

local function check(script, env)
  scripts.check(PREAMBLE, script, env)
end

-- Runs `f` with a folder in which modules can be written, which are found there.
local function with_modules(modules, script)
  local folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir " .. folder))
  for name, text in pairs(modules) do
    local file <close> = assert(io.open(("%s/%s.lua"):format(folder, name), "w"))
    file:write(text)
  end
  local output = helper.output({ ("package.path = %q .. package.path\n")
    :format(folder .. "/?.lua;") .. PREAMBLE .. script })
  os.execute("rm -r " .. folder)
  return output
end

describe("a preloaded module", function()
  it("is loaded once, and is there in each goroutine", function()
    assert.equal("loaded\n", with_modules({ shop = [[
      print("loaded")
      local Item, made = {}, 0
      Item.__index = Item
      function Item.new(price) made = made + 1 return setmetatable({ price = price }, Item) end
      function Item.made() return made end
      function Item:twice() return self.price * 2 end
      Item.names = { "a", "b", nested = { deep = { 1, 2, 3 } } }
      return Item
    ]] }, [[
      equal(nil, preload("shop"))
      equal("shop", go.configure().preload[1])
      for i = 1, 50 do
        local twice, made, names, deep = run(function(price)
          local Item = require("shop")
          local item = Item.new(price)
          Item.names[#Item.names + 1] = "c"
          Item.names.nested.deep[2] = "changed"
          collectgarbage()
          return item:twice(), Item.made(), #Item.names, Item.names.nested.deep[3]
        end, i)
        equal(2 * i, twice) equal(1, made) equal(3, names) equal(3, deep)
      end
    ]]))
  end)

  it("is the class of what is sent", function()
    assert.equal("", with_modules({ point = [[
      local Point = {} Point.__index = Point
      function Point.new(x) return setmetatable({ x = x }, Point) end
      return Point
    ]] }, [[
      equal(nil, preload("point"))
      local Point = require("point")
      local ch = go.chan(1)
      for i = 1, 20 do
        equal(true, run(function(p) return getmetatable(p) == require("point") end, Point.new(i)))
        equal(true, run(function() return Point == require("point") end))
        go.spawn(function() ch:send(require("point").new(i)) end):join()
        local p = ch:recv()
        equal(Point, getmetatable(p)) equal(i, p.x)
      end
    ]]))
  end)

  it("keeps closures, variables they share, and metatables of types", function()
    check([[
      module("m", [=[
        local function counter()
          local n, step = 0, 1
          return function() n = n + step return n end, function(s) step = s end
        end
        local count, set = counter()
        for _ = 1, 100 do count() end
        local squares = {}
        for v in coroutine.wrap(function() for i = 1, 50 do coroutine.yield(i * i) end end) do
          squares[#squares + 1] = v
        end
        debug.setmetatable(0, { __index = { plus = function(a, b) return a + b end } })
        function string.shout(s) return s:upper() .. "!" end
        return { count = count, set = set, squares = squares, text = ("long "):rep(100),
          float = 1.5, nan = 0 / 0, self = {}, [1] = "one", [2.5] = "key" }
      ]=])
      equal(nil, preload("m"))
      for _ = 1, 30 do
        local n, sum, square, shout, text, nan = run(function()
          local m = require("m")
          m.set(10)
          local list = {}
          for i = 1, 200 do list[i] = { m.count(), tostring(i):rep(3) } end
          collectgarbage() collectgarbage("generational") collectgarbage()
          return m.count(), (5):plus(6), m.squares[50], ("a"):shout(), #m.text, m.nan ~= m.nan
        end)
        equal(2110, n) equal(11, sum) equal(2500, square) equal("A!", shout)
        equal(500, text) equal(true, nan)
      end
    ]])
  end)

  it("is found where the program looks for modules", function()
    check([[
      module("from_preload", "return { value = 1 }")
      table.insert(package.searchers, 2, function(name)
        return name == "from_searcher" and function() return { value = 2 } end
      end)
      package.loaded.by_hand = { value = 3 }
      equal(nil, preload("from_preload", "from_searcher", "by_hand"))
      for _ = 1, 3 do
        local a, b, c = run(function()
          return require("from_preload").value, require("from_searcher").value,
            require("by_hand").value
        end)
        equal(1, a) equal(2, b) equal(3, c)
      end
    ]])
  end)

  it("may be a C module, in many goroutines", function()
    check([[
      equal(nil, preload("lpeg", "lfs"))
      local wg = go.waitgroup()
      local count = go.atomic()
      for i = 1, 100 do
        wg:go(function()
          local lpeg, lfs = require("lpeg"), require("lfs")
          assert(lpeg.match(lpeg.P("a") ^ 1 * lpeg.Cp(), ("a"):rep(i)) == i + 1)
          assert(lfs.attributes("/", "mode") == "directory")
          count:add(1)
        end)
      end
      wg:wait()
      equal(100, count:load())
    ]])
  end)

  it("may send and receive while it is loaded", function()
    check([[
      module("busy", "local go = require('goroutines') local ch = go.chan(1) "
        .. "local n = 0 for i = 1, 5 do ch:send({ id = i, name = 'x' }) "
        .. "n = n + ch:recv().id end return { n = n }")
      equal(nil, preload("busy"))
      for _ = 1, 3 do
        equal(15, run(function()
          local ch = require("goroutines").chan(1)
          for i = 1, 5 do
            ch:send({ id = i, name = "x" })
            assert(ch:recv().id == i)
          end
          return require("busy").n
        end))
      end
    ]])
  end)

  it("that keeps what wants finalizing is left out, and the others loaded anew", function()
    assert.equal("good good bad bad good good ", with_modules({
      good = [[io.write("good ") return { value = "good" }]],
      bad = [[
        io.write("bad ")
        return { value = "bad", kept = setmetatable({}, { __gc = function() end }) }
      ]],
      channel = [[local go = require("goroutines") return { ch = go.chan() }]],
    }, [[
      io.stdout:setvbuf("no")
      equal("keeps an object with a finalizer: channel", preload("good", "channel"))
      equal("good", run(function() return require("good").value end))
      equal("bad", run(function() return require("bad").value end))
      equal("keeps an object with a finalizer: bad channel", preload("bad", "good", "channel"))
      equal("good", run(function() return require("good").value end))
    ]]))
  end)

  it("that a copy cannot have is refused, with all others", function()
    check([[
      module("keyed", "local t = {} return { [t] = 1 }")
      module("thread", "return { co = coroutine.create(print) }")
      module("deep", "local t = {} for i = 1, 500 do t = { t } end return { t = t }")
      module("large", "local t = {} for i = 1, 30000 do t[i] = { i } end return { t = t }")
      for name, why in pairs({ keyed = "a copy does not work", thread = "a copy does not work",
          deep = "a copy does not work", large = "not enough memory: 512 KB at most" }) do
        equal(why, preload(name))
        equal("table", run(function(m)
          local _ = { "keyed", "thread", "deep", "large" } -- mentioned
          return type(require(m))
        end, name))
      end
    ]])
  end)

  it("that fails is an error, and nothing is changed", function()
    check([[
      module("fails", "error('on purpose', 0)")
      local function message(...) return select(2, pcall(go.configure, ...)) end
      equal("bad argument #1 to 'configure' (option 'preload': on purpose)",
        message({ preload = { "string", "fails" }, time_slice = 0.5 }))
      equal(0.01, go.configure().time_slice)
      equal(nil, go.configure().preload)
      assert(message({ preload = { "nowhere" } }):find("module 'nowhere' not found", 1, true))
      local expected =
        "bad argument #1 to 'configure' (option 'preload': a list of names, or false, expected)"
      for _, value in ipairs({ 1, "string", true, { 1 }, { "" }, { "a'b" }, { "a\nb" }, { {} } }) do
        equal(expected, message({ preload = value }))
      end
      local many = {}
      for i = 1, 65 do many[i] = "string" end
      assert(message({ preload = many }):find("at most 64 names", 1, true))
      module("again", "return {}")
      equal(nil, preload("again"))
    ]])
  end)

  it("is there until it is set otherwise; a process has eight lists", function()
    check([[
      for i = 1, 9 do module("m" .. i, "return { value = " .. i .. " }") end
      local function loaded(name) return package.loaded[name] ~= nil end
      for i = 1, 8 do
        equal(nil, preload("m" .. i))
        equal(true, run(loaded, "m" .. i))
        equal(false, run(loaded, "m" .. i + 1))
      end
      equal(nil, preload("m1")) -- again
      equal(true, run(loaded, "m1"))
      local ok, message = pcall(preload, "m9")
      equal(false, ok)
      assert(message:find("too many different lists", 1, true))
      go.configure({ preload = false })
      equal(nil, go.configure().preload)
      equal(false, run(loaded, "m1"))
    ]])
  end)

  it("does without copies where memory is short, and in states that are not full", function()
    check([[
      module("m", "local t = {} for i = 1, 2000 do t[i] = 'text' .. i end return t")
      equal(nil, preload("m"))
      local kilobytes = run(function() return collectgarbage("count"), string end)
      assert(kilobytes > 100, kilobytes)
      kilobytes = run(function() return collectgarbage("count") end)
      assert(kilobytes < 20, kilobytes)
      equal("string", run(function() return type(string.rep) == "function" and "string" end))
      local ok, limited = go.spawn({ memory_limit = 60000 }, function()
        return collectgarbage("count"), string
      end):join()
      assert(ok and limited < 50, limited)
    ]])
  end)

  it("is the same beside many of its copies", function()
    for _, procs in ipairs({ 1, 2, 8 }) do
      check([[
        module("work", [=[
          local cache = {}
          local function fib(n)
            local known = cache[n]
            if not known then
              known = n < 2 and n or fib(n - 1) + fib(n - 2)
              cache[n] = known
            end
            return known
          end
          fib(30)
          return { fib = fib, add = function(n, v) cache[n] = v end }
        ]=])
        equal(nil, preload("work"))
        local group = go.group()
        for i = 1, 300 do
          group:spawn(function()
            local work = require("work")
            work.add(1000 + i, i)
            local text = {}
            for k = 1, 50 do text[k] = tostring(work.fib(30) + k) end
            if i % 7 == 0 then collectgarbage() end
            go.yield()
            return work.fib(1000 + i), #table.concat(text), work.fib(40)
          end)
        end
        for i, result in ipairs(group:results()) do
          equal(true, result[1]) equal(i, result[2])
          equal(300, result[3]) equal(102334155, result[4])
        end
      ]], { GOROUTINES_PROCS = procs })
    end
  end)
end)
