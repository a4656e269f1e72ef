local helper = require("spec.helper")

-- Functions that never give way of themselves.
local HOGS = {
  { "an empty while loop", "while true do end" },
  { "a numeric for loop", "for i = 1, math.maxinteger do end" },
  { "a loop of goto", "::again:: goto again" },
  { "a loop of arithmetic", [[
    local x = 1.0
    repeat x = x * 1.000001 + 1 / x until x < 0
  ]] },
  { "a generic for loop", "for _ in function() return 1 end do end" },
  { "a loop that swallows errors", "while true do pcall(error) end" },
  { "a loop inside pcall", "pcall(function() while true do end end)" },
  { "a loop in a coroutine", [[
    coroutine.wrap(function() while true do end end)()
  ]] },
  { "a loop in coroutines in coroutines", [[
    coroutine.wrap(function()
      local inner = coroutine.create(function() while true do end end)
      coroutine.resume(inner)
    end)()
  ]] },
  { "a loop of coroutine switches", [[
    local co = coroutine.wrap(function()
      while true do coroutine.yield() end
    end)
    while true do co() end
  ]] },
  { "a comparator of table.sort", [[
    table.sort({ 3, 1, 2 }, function() while true do end end)
  ]] },
  { "a callback of string.gsub", [[
    ("x"):gsub("x", function() while true do end end)
  ]] },
  { "a metamethod", [[
    local function loop() while true do end end
    return setmetatable({}, { __index = loop }).x
  ]] },
  { "a __close handler", [[
    local function loop() while true do end end
    local _ <close> = setmetatable({}, { __close = loop })
  ]] },
  { "a loop of method calls", [[
    local object = {}
    function object:method(x) return self, x end
    while true do object:method(1) end
  ]] },
  { "a deep recursion", [[
    local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end
    fib(100)
  ]] },
  { "a loop of short calls of C functions", [[
    while true do math.abs(-1) end
  ]] },
  { "a loop that makes garbage", "while true do local _ = { {} } end" },
  { "a loop of tail calls", [[
    local function again() return again() end
    again()
  ]] },
  { "loaded code", "load('while true do end')()" },
  { "a finalizer", [[
    local function loop() while true do end end
    setmetatable({}, { __gc = loop })
    collectgarbage()
  ]] },
  { "a hook", [[
    debug.sethook(function() while true do end end, "", 1)
  ]] },
  { "one long call of a C function", [[
    local pattern = ("a?"):rep(40) .. ("a"):rep(40)
    return (("a"):rep(40):find(pattern))
  ]] },
}

-- Sleeps of 5 ms beside the hog, in main and in a goroutine, on one processor:
-- prints how many have been done.
local SLEEPERS = [[
  local go = require("goroutines")
  go.procs(1)
  go(hog)
  local function sleep(n)
    for _ = 1, n do
      go.sleep(0.005)
    end
    return n
  end
  local task = go.spawn(sleep, 5)
  print(sleep(5), task:join())
]]

local function beside(hog, before)
  local script = ("%s\nlocal function hog() %s end\n%s"):format(
    before or "", hog, SLEEPERS)
  return helper.lua({ script, limit = 5 })
end

local function assert_makes_way(result)
  assert.equal("", result.stderr)
  assert.equal("5\ttrue\t5\n", result.stdout)
  assert.equal(0, result.code)
  assert.is_true(result.seconds < helper.within(1))
end

describe("a hog on one processor", function()
  for _, row in ipairs(HOGS) do
    local name, code = table.unpack(row)
    it("makes way: " .. name, function()
      assert_makes_way(beside(code))
    end)
  end

  it("makes way by a count hook as well", function()
    local before = 'require("goroutines").configure({ preempt = "count" })'
    for _, row in ipairs({ HOGS[1], HOGS[2], HOGS[8], HOGS[11] }) do
      assert_makes_way(beside(row[2], before))
    end
  end)

  it("makes way when it is main", function()
    assert.equal("true\n", helper.output([[
      local go = require("goroutines")
      go.procs(1)
      local ticks = go.chan(100)
      go(function()
        while true do
          go.sleep(0.001)
          ticks:send(true, 0)
        end
      end)
      local clock = os.clock
      local start = clock()
      while clock() - start < 0.2 do end
      print(#ticks >= 3)
    ]]))
  end)

  it("shares it with the other hogs", function()
    assert.equal("done\n", helper.output([[
      local go = require("goroutines")
      go.procs(1)
      for _ = 1, 3 do
        go(function() while true do end end)
      end
      local tasks = {}
      for i = 1, 3 do
        tasks[i] = go.spawn(function()
          local x = 0
          for j = 1, 2000000 do x = x + j end
        end)
      end
      for i = 1, 3 do
        tasks[i]:join()
      end
      print("done")
    ]]))
  end)

  it("lets another that yields see what is sent later", function()
    assert.equal("got it\n", helper.output([[
      local go = require("goroutines")
      go.procs(1)
      local ch = go.chan(1)
      go(function() while true do end end)
      go(function()
        go.sleep(0.005)
        ch:send("got it")
      end)
      local _, v
      repeat
        go.yield()
        _, v = go.select(ch, go.default)
      until v
      print(v)
    ]]))
  end)
end)

describe("preempt = \"off\"", function()
  it("leaves a hog alone, and all ends well", function()
    assert.equal("off\t20000000\n", helper.output([[
      local go = require("goroutines")
      go.procs(1)
      go.configure({ preempt = "off" })
      local task = go.spawn(function()
        local n = 0
        for _ = 1, 20000000 do n = n + 1 end
        return n
      end)
      local _, n = task:join()
      print(go.configure().preempt, n)
    ]]))
  end)
end)

describe("a sleeper beside two endless loops a processor", function()
  it("wakes within 25 ms, 99 times in 100", function()
    for procs = 1, 2 do
      local late = helper.output({ [[
        local go = require("goroutines")
        for _ = 1, 2 * go.procs() do
          go(function() while true do end end)
        end
        print(select(2, go.spawn(function()
          local late = {}
          for i = 1, 100 do
            local start = go.now()
            go.sleep(0.010)
            late[i] = go.now() - start
          end
          table.sort(late)
          return late[99]
        end):join()))
      ]], env = { GOROUTINES_PROCS = procs } })
      assert.is_true(tonumber(late) < helper.within(0.025), late)
    end
  end)
end)

describe("receivers beside sixteen endless loops", function()
  -- Behind these one would wait for 160 ms.
  local function late_ones(receivers, times)
    return helper.output({ ([[
      local go = require("goroutines")
      local receivers, times = %d, %d
      for _ = 1, 16 do
        go(function() while true do end end)
      end
      local chans, late = {}, go.atomic()
      for i = 1, receivers do
        chans[i] = go.chan()
        go(function(ch)
          for sent in ch do
            if go.now() - sent > 0.04 then late:add(1) end
          end
        end, chans[i])
      end
      go.sleep(0.4) -- until all have begun
      go.spawn(function()
        for _ = 1, times do
          go.sleep(0.001)
          for i = 1, receivers do chans[i]:send(go.now()) end
        end
      end):join()
      print(late:load())
    ]]):format(receivers, times), env = { GOROUTINES_PROCS = 1 } })
  end

  it("are woken before them", function()
    local late = late_ones(1, 600)
    assert.is_true(tonumber(late) <= 3, late)
  end)

  it("are woken before them, ten in a row", function()
    local late = late_ones(10, 100)
    assert.is_true(tonumber(late) <= 5, late)
  end)
end)
