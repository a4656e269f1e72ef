-- Counts the instructions of single operations under valgrind: steadier than
-- their times. Each case runs twice, so that what comes before and after falls
-- out; and if it is over the budget, twice more, for what hashes by a seed
-- differs: the least counts.
--
--   lua5.4 bench/count.lua            prints them beside the budget
--   lua5.4 bench/count.lua --check    fails if one is over it by more than 5 %

local here = arg[0]:match("^.*/") or ""
local budget = dofile(here .. "budget.lua")

local SLACK <const>, RUNS <const> = 1.05, 3

-- Each does something N times; what is before it is preparation.
local CASES = {
  { "spawn", 300, 900, [[
    local f = function() end
    for _ = 1, N do go.spawn(f):join() end
  ]] },
  { "spawn_full", 300, 900, [[
    local f = function() return string end
    for _ = 1, N do go.spawn(f):join() end
  ]] },
  { "yield", 2000, 8000, [[
    go.spawn(function(n) for _ = 1, n do go.yield() end end, N // 2)
    for _ = 1, N // 2 do go.yield() end
  ]] },
  { "pingpong", 2000, 6000, [[
    local there, back = go.chan(), go.chan()
    go(function() for v in there do back:send(v) end end)
    for i = 1, N do there:send(i) back:recv() end
  ]] },
  { "stream", 2000, 8000, [[
    local ch = go.chan(128)
    go(function(n) for i = 1, n do ch:send(i) end end, N)
    for _ = 1, N do ch:recv() end
  ]] },
  { "select", 2000, 8000, [[
    local a, b = go.chan(128), go.chan(128)
    local function fill(ch, n) for i = 1, n do ch:send(i) end end
    go(fill, a, N // 2)
    go(fill, b, N // 2)
    for _ = 1, N do go.select(a, b) end
  ]] },
  { "mutex", 2000, 8000, [[
    local m = go.mutex()
    for _ = 1, N do m:lock() m:unlock() end
  ]] },
  { "timer", 500, 2500, [[
    local timers = {}
    for i = 1, N do
      timers[i % 100] = go.timer(1000 + i % 7, function() end)
      timers[i % 100]:stop()
    end
  ]] },
  { "struct", 500, 2500, [[
    local ch = go.chan(1)
    for i = 1, N do
      ch:send({ id = i, name = "abc", tags = { 1, 2, 3 } })
      ch:recv()
    end
  ]] },
}

local function interpreter()
  local i = 0
  while arg[i - 1] do i = i - 1 end
  return arg[i]
end

local function write_script(body)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  assert(file:write('local go, N = require("goroutines"), tonumber(arg[1])\n',
    body))
  return path
end

local function instructions(script, n)
  local command = ("GOROUTINES_PROCS=1 timeout 300 valgrind --tool=callgrind "
    .. "--callgrind-out-file=/dev/null %s %s %d 2>&1"):format(interpreter(),
    script, n)
  local pipe = assert(io.popen(command))
  local output = pipe:read("a")
  if not pipe:close() then
    error("valgrind failed:\n" .. output, 0)
  end
  return assert(tonumber(output:match("Collected : (%d+)")), output)
end

local function count(case)
  local name, few, many, body = table.unpack(case)
  local allowed = (budget[name] or 0) * SLACK
  local script <const> = write_script(body)
  local least = math.huge
  for _ = 1, RUNS do
    local difference = instructions(script, many) - instructions(script, few)
    least = math.min(least, difference // (many - few))
    if least <= allowed then break end
  end
  os.remove(script)
  return least
end

local checks = arg[1] == "--check"
local over = 0
print(("%-12s %10s %10s"):format("operation", "counted", "budget"))
for _, case in ipairs(CASES) do
  local name = case[1]
  local counted, allowed = count(case), budget[name]
  local is_over = not allowed or counted > allowed * SLACK
  over = over + (is_over and 1 or 0)
  print(("%-12s %10d %10s%s"):format(name, counted, allowed or "none",
    is_over and "  over the budget" or ""))
end
if checks and over > 0 then
  io.stderr:write("count: if that is meant, change bench/budget.lua in the "
    .. "same commit\n")
  os.exit(1)
end
