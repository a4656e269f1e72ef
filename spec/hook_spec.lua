local go = require("goroutines")
local helper = require("spec.helper")

-- What hooks and coroutines do has to be the same with and without preemption
-- every 100 microseconds: each script prints what `work()` returns, first in
-- the stock interpreter, then in main and in a goroutine beside two hogs.
describe("code that is preempted all the time", function()
  local BESIDE_HOGS = [[
    local expected = table.pack(work())
    local go = require("goroutines")
    go.procs(1)
    go.configure({ time_slice = 0.0001 })
    for _ = 1, 2 do
      go(function() while true do end end)
    end
    local function show(who, ...)
      for i = 1, expected.n do
        local value = select(i, ...)
        print(who, i, value == expected[i] and "same" or value, expected[i])
      end
    end
    show("main", work())
    show("goroutine", select(2, go.spawn(work):join()))
  ]]

  -- Each value has to be the stock one, or to differ by `tolerance` at most.
  local function assert_as_stock(work, tolerance)
    local output = helper.output({ work .. BESIDE_HOGS, limit = 20 })
    local count = 0
    for who, i, got, expected in output:gmatch("(%w+)\t(%d)\t(%S+)\t(%S+)") do
      local off = got ~= "same"
        and math.abs(tonumber(got) - tonumber(expected)) or 0
      assert.is_true(off <= (tolerance or 0), who .. " " .. i .. ": " .. output)
      count = count + 1
    end
    assert.is_true(count >= 2, output)
  end

  local function hook_script(mask, count, loops)
    return ([[
      local function f() end
      local function work()
        local n = 0
        debug.sethook(function() n = n + 1 end, %q, %d)
        for i = 1, %d do
          f(i)
        end
        debug.sethook()
        return n
      end
    ]]):format(mask, count, loops)
  end

  it("has all its line events", function()
    assert_as_stock(hook_script("l", 0, 200000))
  end)

  it("has all its call and return events", function()
    assert_as_stock(hook_script("cr", 0, 200000))
  end)

  it("has its count events", function()
    assert_as_stock(hook_script("", 7, 200000), 1)
    assert_as_stock(hook_script("", 1000, 500000), 1)
  end)

  it("has rare count events, in spite of many slices", function()
    assert_as_stock([[
      local function work()
        local n = 0
        debug.sethook(function() n = n + 1 end, "", 1000000)
        for _ = 1, 50000000 do end
        debug.sethook()
        return n
      end
    ]], 1)
  end)

  it("has the events of several kinds of one hook", function()
    assert_as_stock([[
      local function f() return 1 end
      local function work()
        local counts = {}
        debug.sethook(function(event)
          counts[event] = (counts[event] or 0) + 1
        end, "lcr", 1000)
        for _ = 1, 50000 do
          f()
        end
        debug.sethook()
        return counts.line, counts.call, counts["return"], counts.count
      end
    ]], 1)
  end)

  it("may set and remove hooks all the time", function()
    assert_as_stock([[
      local function work()
        local lines, wrong = 0, 0
        local function hook() lines = lines + 1 end
        for i = 1, 60000 do
          debug.sethook(hook, "l")
          local f, mask = debug.gethook()
          if i % 2 == 0 then
            debug.sethook(print, "r", 9)
          end
          debug.sethook()
          local right = f == hook and mask == "l" and not debug.gethook()
          wrong = wrong + (right and 0 or 1)
        end
        return lines, wrong
      end
    ]])
  end)

  it("reads back its own hook, or none", function()
    assert_as_stock([[
      local function work()
        local function hook() end
        local wrong = 0
        for _ = 1, 300000 do
          wrong = wrong + (debug.gethook() == nil and 0 or 1)
        end
        debug.sethook(hook, "l", 100000)
        for _ = 1, 300000 do
          local f, mask, count = debug.gethook()
          local right = f == hook and mask == "l" and count == 100000
          wrong = wrong + (right and 0 or 1)
        end
        debug.sethook()
        return wrong
      end
    ]])
  end)

  it("has a hook of its own in each coroutine", function()
    assert_as_stock([[
      local function work()
        local inner, outer = 0, 0
        local co = coroutine.create(function()
          for _ = 1, 100 do
            for _ = 1, 1000 do
            end
            coroutine.yield()
          end
        end)
        debug.sethook(co, function() inner = inner + 1 end, "l")
        debug.sethook(function() outer = outer + 1 end, "l")
        for _ = 1, 100 do
          coroutine.resume(co)
        end
        debug.sethook()
        return inner, outer
      end
    ]])
  end)

  it("has its lines counted as a coverage tool does", function()
    assert_as_stock([[
      local function work()
        local hits = {}
        local function count(_, line)
          local source = debug.getinfo(2, "S").short_src
          hits[source] = hits[source] or {}
          hits[source][line] = (hits[source][line] or 0) + 1
        end
        local code = load("local n = ...\nfor i = 1, n do\n  if i % 3 == 0 then"
          .. "\n    n = n + i\n  end\nend\nreturn n", "=counted")
        debug.sethook(count, "l")
        local n = code(5000)
        local co = coroutine.wrap(function()
          debug.sethook(count, "l") -- per coroutine, as in stock Lua
          for i = 1, 500 do
            coroutine.yield(code(i % 5))
          end
        end)
        for _ = 1, 500 do
          n = n + co()
        end
        debug.sethook()
        local lines = hits["counted"]
        return n, lines[1], lines[2], lines[3], lines[4], lines[6], lines[7]
      end
    ]])
  end)

  it("has the same tracebacks", function()
    assert_as_stock([[
      local function work()
        local seen, kinds, lines = {}, 0, 0
        local function note(text)
          text = text:match("^(.-in function [^\n]*deep.-)\n") or text
          if not seen[text] then
            seen[text], kinds = true, kinds + 1
          end
          lines = lines + select(2, text:gsub("\n", "\n"))
        end
        local function deep(n)
          if n > 0 then
            return (deep(n - 1)) + 1
          end
          note(debug.traceback("top", 1))
          return 0
        end
        local sum = 0
        for _ = 1, 400 do
          sum = sum + deep(10)
          local co = coroutine.create(function()
            deep(5)
            coroutine.yield()
          end)
          coroutine.resume(co)
          note(debug.traceback(co))
          local _, err = xpcall(deep, function(m)
            return debug.traceback(tostring(m):gsub("^.*:", ""))
          end, {})
          note(err:match("^[^\n]*"))
        end
        return sum, kinds
      end
    ]])
  end)

  it("gets tracebacks in its hooks", function()
    assert_as_stock([[
      local function work()
        local depths, n = 0, 0
        local function f(x) return x + 1 end
        debug.sethook(function()
          local text = debug.traceback("", 2)
          local is_f = text:find("in function 'f'", 1, true)
            or text:find("in local 'f'", 1, true)
            or text:find("in upvalue 'f'", 1, true)
          depths = depths + (is_f and 1 or 0)
        end, "c")
        for i = 1, 5000 do
          n = f(n)
        end
        debug.sethook()
        return n, depths
      end
    ]], 0)
  end)

  it("reads and writes locals and upvalues", function()
    assert_as_stock([[
      local function work()
        local wrong, up = 0, 0
        local function step(a)
          local b = a + 1
          local name, value = debug.getlocal(1, 2)
          debug.setlocal(1, 2, value + 1)
          wrong = wrong + (name == "b" and b == a + 2 and 0 or 1)
          up = up + 1
          return debug.getinfo(1, "l").currentline
        end
        local line = step(0)
        for i = 1, 30000 do
          wrong = wrong + (step(i) == line and 0 or 1)
        end
        return wrong, up
      end
    ]])
  end)

  it("may raise errors out of its hook", function()
    assert_as_stock([[
      local function work()
        local caught = 0
        for _ = 1, 20 do
          debug.sethook(function() error("enough", 0) end, "", 10000)
          local ok, err = pcall(function() while true do end end)
          debug.sethook()
          caught = caught + (not ok and err == "enough" and 1 or 0)
        end
        return caught
      end
    ]])
  end)

  it("iterates by coroutines", function()
    assert_as_stock([[
      local function work()
        local function numbers(n)
          return coroutine.wrap(function()
            for i = 1, n do
              coroutine.yield(i)
            end
          end)
        end
        local sum = 0
        for i in numbers(100000) do
          for j in numbers(2) do
            sum = sum + i * j
          end
        end
        return sum
      end
    ]])
  end)

  it("closes coroutines and gets their errors", function()
    assert_as_stock([[
      local function work()
        local closed, message = 0, nil
        local function body(f)
          local _ <close> = setmetatable({}, { __close = function()
            for _ = 1, 1000 do end
            closed = closed + 1
          end })
          for _ = 1, 1000 do end
          f("boom", 0)
        end
        for _ = 1, 200 do
          local co = coroutine.create(body)
          coroutine.resume(co, coroutine.yield)
          coroutine.close(co)
          local ok, err = pcall(coroutine.wrap(body), error)
          message = not ok and err
        end
        return closed, message
      end
    ]])
  end)

  it("knows the state of its coroutines", function()
    assert_as_stock([[
      local function work()
        local states = {}
        local function note(x) states[#states + 1] = tostring(x) end
        local function spin() for _ = 1, 100000 do end end
        local co
        co = coroutine.create(function()
          spin()
          note(coroutine.status(co))
          note(coroutine.running() == co)
          note(select(2, coroutine.running()))
          note(coroutine.isyieldable())
          coroutine.wrap(function()
            spin()
            note(coroutine.status(co))
          end)()
          coroutine.yield()
        end)
        note(coroutine.status(co))
        coroutine.resume(co)
        note(coroutine.status(co))
        coroutine.close(co)
        note(coroutine.status(co))
        return table.concat(states, ",")
      end
    ]])
  end)

  it("sorts and substitutes with callbacks", function()
    assert_as_stock([[
      local function work()
        local list, x = {}, 1
        for i = 1, 20000 do
          x = x * 16807 % 2147483647
          list[i] = x
        end
        table.sort(list, function(a, b) return a < b end)
        local sorted = 0
        for i = 2, #list do
          sorted = sorted + (list[i - 1] <= list[i] and 1 or 0)
        end
        local text, n = ("ab"):rep(20000):gsub("a", function(c)
          return c:upper()
        end)
        return sorted, n, (text:gsub("b", ""):len())
      end
    ]])
  end)

  it("collects its garbage", function()
    assert_as_stock([[
      local function work()
        local finalized = 0
        for _ = 1, 20000 do
          setmetatable({}, { __gc = function()
            for _ = 1, 10 do end
            finalized = finalized + 1
          end })
        end
        collectgarbage()
        collectgarbage()
        return finalized
      end
    ]])
  end)
end)

describe("coroutine functions", function()
  it("are like the stock ones in main", function()
    local running, is_main = coroutine.running()
    assert.equal("thread", type(running))
    assert.is_true(is_main)
    assert.is_false(coroutine.isyieldable())
    assert.equal("running", coroutine.status(running))
  end)

  it("are like the stock ones in a goroutine", function()
    local task = go.spawn(function()
      local running, is_main = coroutine.running()
      return type(running), is_main, coroutine.isyieldable(),
        coroutine.status(running), pcall(coroutine.yield)
    end)
    assert.same({ true, "thread", true, false, "running", false,
      "attempt to yield from outside a coroutine" }, { task:join() })
  end)

  it("fail like the stock ones", function()
    local dead = coroutine.create(function() end)
    assert.is_true(coroutine.resume(dead))
    assert.same({ false, "cannot resume dead coroutine" },
      { coroutine.resume(dead) })
    assert.has_error(function() coroutine.wrap(1) end)
    assert.has_error(function() coroutine.resume(1) end)
    assert.has_error(function() coroutine.close(coroutine.running()) end)
  end)

  it("pass any number of values", function()
    local function echo(...)
      while true do
        coroutine.yield(select("#", ...), ...)
      end
    end
    local co = coroutine.create(echo)
    local results = table.pack(coroutine.resume(co, 1, nil, nil))
    assert.same({ n = 5, true, 3, 1 }, results)
    assert.same({ n = 1, 0 }, table.pack(coroutine.wrap(echo)()))
  end)
end)
