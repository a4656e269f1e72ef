-- One goroutine, and four, add to an integer: an addition.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local function add_often(n, a)
  for _ = 1, n do a:add(1) end
end

local n = case.times(4000000)
local seconds = case.seconds_of_all({ add_often, n, go.atomic() })
case.report_ns("atomic", seconds, n)

n = case.times(1000000)
local call = { add_often, n, go.atomic() }
seconds = case.seconds_of_all(call, call, call, call)
case.report_ns("atomic_contended", seconds, 4 * n)
