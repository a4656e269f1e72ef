-- A goroutine sleeps 1 ms over and over, 1,000 times or for 2.5 s, beside 0,
-- 2, 8 and 32 endless loops: how late it goes on.

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

local running = 0
for _, hogs in ipairs({ 0, 2, 8, 32 }) do
  while running < hogs do
    go(hog)
    running = running + 1
  end
  local ok, late = go.spawn(sleeper):join()
  assert(ok, late)
  case.report_late(("sleeper_%dhogs_"):format(hogs), late)
end
