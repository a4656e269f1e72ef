-- What the cases share. A case prints its figures as lines `name value unit`
-- and may be run alone: lua5.4 bench/cases/<case>.lua [SCALE], where SCALE
-- multiplies how often or how long it does what it measures.

local go = require("goroutines")

local case = {}

local scale = tonumber(arg[1] or 1)

function case.times(n)
  return math.max(1, math.floor(n * scale))
end

function case.report(name, value, unit)
  print(("%s %.3f %s"):format(name, value, unit))
end

function case.report_ns(name, seconds, times)
  case.report(name, seconds / times * 1e9, "ns")
end

-- Percentiles of a list of seconds, which is sorted.
function case.report_late(prefix, late)
  local function rank(p) return late[math.ceil(p * #late)] * 1e6 end
  table.sort(late)
  case.report(prefix .. "p50", rank(0.5), "us")
  case.report(prefix .. "p99", rank(0.99), "us")
  case.report(prefix .. "max", rank(1), "us")
end

-- How long f() takes.
function case.seconds(f)
  local start = go.now()
  f()
  return go.now() - start
end

-- How long f() takes on average, called again and again for half a second.
function case.average_seconds(f)
  local calls, limit, start = 0, 0.5 * scale, go.now()
  repeat
    f()
    calls = calls + 1
  until go.now() - start >= limit
  return (go.now() - start) / calls
end

-- How long f(...) of each list { f, ... } takes, all in goroutines at once.
function case.seconds_of_all(...)
  local calls = { ... }
  return case.seconds(function()
    local tasks = {}
    for i, call in ipairs(calls) do
      tasks[i] = go.spawn(table.unpack(call))
    end
    for _, task in ipairs(tasks) do assert(task:join()) end
  end)
end

return case
