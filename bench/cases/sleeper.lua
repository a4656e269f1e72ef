-- A goroutine sleeps 1 ms over and over, 1,000 times or for 2.5 s, beside 0,
-- 2 and 8 endless loops: how late it goes on.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local n = case.times(1000)

local function hog()
  while true do end
end

local function sleeper()
  local late, stop = {}, go.now() + 2.5
  while #late < n and go.now() < stop do
    local start = go.now()
    go.sleep(0.001)
    late[#late + 1] = go.now() - start - 0.001
  end
  return late
end

local function report(hogs, late)
  local name = ("sleeper_%dhogs_"):format(hogs)
  local function rank(p) return late[math.ceil(p * #late)] * 1e6 end
  table.sort(late)
  case.report(name .. "p50", rank(0.5), "us")
  case.report(name .. "p99", rank(0.99), "us")
  case.report(name .. "max", rank(1), "us")
end

local running = 0
for _, hogs in ipairs({ 0, 2, 8 }) do
  while running < hogs do
    go(hog)
    running = running + 1
  end
  local ok, late = go.spawn(sleeper):join()
  assert(ok, late)
  report(hogs, late)
end
