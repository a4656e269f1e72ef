-- The cases for the Lua peers, written in what each of them has:
--
--   now()             the time in seconds
--   all(functions)    runs the functions at once, until all have ended
--   spawn(f)          starts f() in a coroutine
--   spawn_join()      starts what does nothing, and waits for its end
--   spawn_many(count) starts as many of that, and waits for all
--   yield()           lets others go on
--   sleep(seconds)
--   channel(capacity) with send(value) and recv()
--   select(a, b)      an item of either channel
--   gate()            with wait(), which returns after open()
--   thread(f)         starts f(), which has no upvalues, in a thread with a
--                     Lua state of its own; returns what waits for it
--
-- peer.run is given a table of these; where one is missing, so are its cases.
-- The program is run as lua5.4 bench/<peer>/bench.lua [CASE [SCALE]], and prints
-- the figures of the case as lines `name value unit`, or else which it has.

local HERE = arg[0]:match("^.*/") or ""
local figures = dofile(HERE .. "../figures.lua")

local peer = {}

-- A channel of items that wait in a queue, for who has conditions: condition()
-- returns one with wait() and signal().
function peer.channel(capacity, condition)
  local items, first, last = {}, 1, 0
  local channel = { filled = condition(), emptied = condition() }

  function channel.empty()
    return last < first
  end

  function channel:send(value)
    while last - first + 1 >= capacity do self.emptied:wait() end
    last = last + 1
    items[last] = value
    self.filled:signal()
  end

  function channel:recv()
    while last < first do self.filled:wait() end
    local value = items[first]
    items[first] = nil
    first = first + 1
    self.emptied:signal()
    return value
  end

  return channel
end

local cases = {}

local function nothing() end

local function seconds_of_all(kit, case, ...)
  local functions = { ... }
  return case.seconds(function() kit.all(functions) end)
end

function cases.spawn_join(kit, case)
  local COROUTINES = 1000
  kit.all({ function()
    local seconds = case.average_seconds(function()
      for _ = 1, COROUTINES do kit.spawn_join() end
    end)
    case.report_ns("spawn_join", seconds, COROUTINES)
  end })
end

function cases.spawn_many(kit, case)
  local COROUTINES = 10000
  local function round() kit.spawn_many(COROUTINES) end
  kit.all({ function()
    round() -- the first one pays for memory that the others reuse
    local seconds = case.average_seconds(round)
    case.report_ns("spawn_many", seconds, COROUTINES)
  end })
end

function cases.pingpong(kit, case)
  local n = case.times(300000)
  local out, back = kit.channel(1), kit.channel(1)
  local function ping()
    for i = 1, n do
      out:send(i)
      back:recv()
    end
  end
  local function pong()
    for _ = 1, n do back:send(out:recv()) end
  end
  case.report_ns("pingpong", seconds_of_all(kit, case, ping, pong), n)
end

function cases.stream_int(kit, case)
  local n = case.times(2000000)
  local channel = kit.channel(128)
  local function produce()
    for i = 1, n do channel:send(i) end
  end
  local function consume()
    for _ = 1, n do channel:recv() end
  end
  case.report_ns("stream_int", seconds_of_all(kit, case, produce, consume), n)
end

function cases.select2(kit, case)
  local n = case.times(1000000)
  local a, b = kit.channel(128), kit.channel(128)
  local function producer_of(channel)
    return function()
      for i = 1, n // 2 do channel:send(i) end
    end
  end
  local function consume()
    for _ = 1, n // 2 * 2 do kit.select(a, b) end
  end
  local seconds =
    seconds_of_all(kit, case, producer_of(a), producer_of(b), consume)
  case.report_ns("select2", seconds, n)
end

function cases.yield(kit, case)
  local n = case.times(1000000)
  local function give_way()
    local yield = kit.yield
    for _ = 1, n do yield() end
  end
  case.report_ns("yield", seconds_of_all(kit, case, give_way, give_way), 2 * n)
end

-- Starts n of f(i, gate) and waits until all of them are at the gate.
local function start_at_gate(kit, n, f)
  local gate, arrived, ended = kit.gate(), 0, 0
  for i = 1, n do
    kit.spawn(function()
      arrived = arrived + 1
      gate:wait()
      f(i)
      ended = ended + 1
    end)
  end
  while arrived < n do kit.yield() end
  return function(wait)
    gate:open()
    while ended < n do wait() end
  end
end

function cases.parked_memory(kit, case)
  local n = case.times(100000)
  kit.all({ function()
    local before, release = case.resident_bytes(), nil
    local create_s = case.seconds(function()
      release = start_at_gate(kit, n, nothing)
    end)
    local grown = case.resident_bytes() - before
    local release_s = case.seconds(function() release(kit.yield) end)
    case.report("parked_memory", grown / n, "bytes")
    case.report_ns("parked_create", create_s, n)
    case.report_ns("parked_release", release_s, n)
  end })
end

-- A function that compiles the same in another Lua state.
local function fib_often()
  local function fib(i)
    return i < 2 and i or fib(i - 1) + fib(i - 2)
  end
  fib(32)
end

function cases.parallel_speedup(kit, case)
  local in_turn = case.seconds(function()
    for _ = 1, 2 do kit.thread(fib_often)() end
  end)
  local at_once = case.seconds(function()
    local join_a, join_b = kit.thread(fib_often), kit.thread(fib_often)
    join_a()
    join_b()
  end)
  case.report("parallel_speedup", in_turn / at_once, "x")
end

local function hog()
  while true do end
end

function cases.sleeper(kit, case)
  local n = case.times(1000)
  local now, sleep = kit.now, kit.sleep
  local function sleep_often()
    local late, stop = {}, now() + 2.5
    while #late < n and now() < stop do
      local start = now()
      sleep(0.001)
      late[#late + 1] = now() - start - 0.001
    end
    return late
  end
  kit.all({ function()
    case.report_late("sleeper_0hogs_", sleep_often())
    if not kit.thread then return end
    for _ = 1, 2 do kit.thread(hog) end
    case.report_late("sleeper_2hogs_", sleep_often())
  end })
end

function cases.sleepers(kit, case)
  local n = case.times(100000)
  local now, sleep = kit.now, kit.sleep
  local all = {}
  local function sleeper(i)
    for j = 1, 3 do
      local seconds = ((i * 7919 + j * 104729) % 900 + 100) / 1000
      local start = now()
      sleep(seconds)
      all[#all + 1] = now() - start - seconds
    end
  end
  kit.all({ function()
    local release = start_at_gate(kit, n, sleeper)
    local cpu = os.clock()
    release(function() sleep(0.01) end)
    case.report("sleepers_cpu", (os.clock() - cpu) / (3 * n) * 1e9, "ns")
    case.report_late("sleepers_", all)
  end })
end

-- What a case needs of its peer; a list of all, for their order.
local NEEDS = {
  { name = "spawn_join", "spawn_join" },
  { name = "spawn_many", "spawn_many" },
  { name = "pingpong", "channel" },
  { name = "stream_int", "channel" },
  { name = "select2", "select" },
  { name = "yield", "yield" },
  { name = "parked_memory", "gate" },
  { name = "parallel_speedup", "thread" },
  { name = "sleeper", "sleep" },
  { name = "sleepers", "sleep" },
}

local function has_all(kit, needs)
  for _, need in ipairs(needs) do
    if not kit[need] then return false end
  end
  return true
end

function peer.run(kit)
  local case = figures(kit.now, arg[2])
  for _, needs in ipairs(NEEDS) do
    if has_all(kit, needs) then
      if not arg[1] then print(needs.name) end
      if arg[1] == needs.name then
        cases[needs.name](kit, case)
        os.exit(true) -- whatever threads still run
      end
    end
  end
  os.exit(not arg[1])
end

return peer
