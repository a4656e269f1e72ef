-- Four goroutines add to a wait group and count it down: an add and a done.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local n = case.times(500000)

local function count(times, wg)
  for _ = 1, times do
    wg:add(1)
    wg:done()
  end
end

local seconds = case.seconds(function()
  local wg = go.waitgroup()
  for _ = 1, 4 do wg:go(count, n, wg) end
  wg:wait()
end)
case.report_ns("waitgroup", seconds, 4 * n)
