-- Two goroutines yield to each other: a yield.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local n = case.times(1000000)

local function give_way()
  local yield = go.yield
  for _ = 1, n do yield() end
end

local seconds = case.seconds_of_all({ give_way }, { give_way })
case.report_ns("yield", seconds, 2 * n)
