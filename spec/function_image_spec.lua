-- A function that many goroutines are started with is in images of its own, so
-- that a new state has it already: no program can tell, but by time. In processes
-- of their own, for a process keeps only so many.

local scripts = require("spec.scripts")

local PREAMBLE = scripts.PREAMBLE .. [[
  local function images() return go.stats().functions_in_images end
  -- Until there is an image, and some times more; `check` gets the results.
  local function often(f, check, ...)
    for _ = 1, 100 do check(run(f, ...)) end
  end
]]

local function check(script, env)
  scripts.check(PREAMBLE, script, env)
end

describe("a function that is started often", function()
  it("is in an image, one for each kind of state that it needs", function()
    check([[
      equal(0, images())
      local value = 1
      local function f(x) return x, value end
      often(f, function(x, v) equal(7, x) equal(1, v) end, 7)
      equal(1, images())
      value = 2
      often(f, function(x, v) equal(8, x) equal(2, v) end, 8)
      equal(1, images())
      value = string
      often(f, function(_, v) equal(string, v) end)
      equal(2, images())
      value = 3
      equal(3, select(2, run(f)))
      equal(2, images())
    ]])
  end)

  it("is one of sixteen in a process, and works beyond that", function()
    check([[
      for i = 1, 20 do
        local f = load(("local a, b = ... return a + b + %d, math"):format(i))
        often(f, function(sum, m) equal(3 + i, sum) equal(math, m) end, 1, 2)
      end
      equal(16, images())
    ]])
  end)

  it("is a new closure each time, with upvalues of its own", function()
    check([[
      local function make(n)
        local t = { n }
        return function(x) n = n + x t[#t + 1] = x return n, #t end
      end
      for i = 1, 100 do
        local n, count = run(make(i), 1)
        equal(i + 1, n) equal(2, count)
      end
      equal(1, images())
      -- recursive, shared with another closure and among the arguments
      local fib, calls = nil, 0
      local function count() calls = calls + 1 return calls end
      function fib(n, again, other)
        count()
        if again then equal(fib, again) equal(other(), calls) end
        return n < 2 and n or fib(n - 1) + fib(n - 2)
      end
      often(fib, function(n) equal(55, n) end, 10, fib, count)
      equal(2, images())
    ]])
  end)

  it("tells where it is from, and is collected, as any other", function()
    check([[
      local function f()
        local info = debug.getinfo(1, "Slf")
        local weak = setmetatable({ info.func }, { __mode = "v" })
        local where = info.short_src .. ":" .. info.linedefined .. ":" .. info.currentline
        info = nil
        local function rest()
          collectgarbage() collectgarbage()
          return where, weak[1] == nil
        end
        return rest()
      end
      local where, collected = run(f)
      often(f, function(w, c) equal(where, w) equal(collected, c) end)
      equal(1, images())
      local function fails() local x = nil; return x.field end
      local message = select(2, go.spawn(fails):join())
      for _ = 1, 100 do equal(message, (select(2, go.spawn(fails):join()))) end
      equal(2, images())
    ]])
  end)

  it("is not in one if it may be mistaken for an address", function()
    check([[
      local before = images()
      -- The second one is that of builds for the thread sanitizer.
      for _, address in ipairs({ "0x1CE1059F0010, 0x1CE1050010",
          "0x1CE105AF1238, 0x1CE1150001, math" }) do
        local f = load("return " .. address)
        local value = run(f)
        often(f, function(v) equal(value, v) end)
      end
      -- A string, which is followed by zeros in memory.
      for i = 0, 12 do
        local function text_of(first) return string.pack("<I6", first + i * 0x100000 + 0x100) end
        local text = text_of(0x1CE1059F0000)
        local f = load(("return %q, %q"):format(text, text_of(0x1CE1050000)))
        often(f, function(v) equal(text, v) end)
      end
      equal(before, images())
    ]])
  end)

  it("may be what go.configure runs, a timer, or a task of a group", function()
    check([[
      local function f(n) count = (count or 0) + 1 return count, n end
      often(f, function(c) equal(1, c) end)
      equal(1, images())
      go.configure({ init = f })
      often(f, function(c) equal(2, c) end)
      go.configure({ init = false })
      local ch = go.chan(300)
      local function send() ch:send("sent") end
      for _ = 1, 200 do go.timer(0.0001, send) equal("sent", ch:recv()) end
      local group = go.group()
      for _ = 1, 200 do group:spawn(send) end
      assert(group:wait())
      equal(200, #ch)
      for _ = 1, 200 do
        assert(go.spawn({ name = "named" }, send):join())
        equal("sent", ch:recv())
      end
    ]])
  end)

  it("gets no image at the expense of a limit on CPU time", function()
    check([[
      local function f() return math.pi end
      for _ = 1, 200 do equal(math.pi, select(2, go.spawn({ cpu_limit = 1 }, f):join())) end
      equal(0, images())
      often(f, function(v) equal(math.pi, v) end)
      equal(1, images())
    ]])
  end)

  it("fails as any other when memory is short", function()
    check([[
      local function f(n)
        local t = {}
        for i = 1, n do t[i] = i end
        return #t
      end
      often(f, function(n) equal(10, n) end, 10)
      equal(1, images())
      for _, limit in ipairs({ 2000, 5000, 9000, 10000, 20000 }) do
        local ok, err = go.spawn({ memory_limit = limit }, f, 100000):join()
        equal(false, ok) equal("not enough memory", err)
      end
      equal(100, run({ memory_limit = 100000 }, f, 100))
    ]])
  end)

  it("is started by many at once", function()
    for _, procs in ipairs({ 1, 2, 8 }) do
      check([[
        local wg, done = go.waitgroup(), go.atomic()
        for k = 1, 8 do
          wg:go(function()
            local fs = {}
            for i = 1, 6 do
              fs[i] = load(("local a = ... return a * %d, tostring(a)"):format(i))
            end
            for n = 1, 80 do
              for i, f in ipairs(fs) do
                local ok, product, text = go.spawn(f, n):join()
                assert(ok and product == n * i and text == tostring(n), product)
                done:add(1)
              end
            end
          end)
        end
        wg:wait()
        equal(8 * 6 * 80, done:load())
        equal(6, images())
      ]], { GOROUTINES_PROCS = procs })
    end
  end)
end)
