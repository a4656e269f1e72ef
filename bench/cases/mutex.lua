-- One goroutine, and four, lock and unlock a mutex: a pair.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local function lock_often(n, m)
  for _ = 1, n do
    m:lock()
    m:unlock()
  end
end

local function add_often(n, m, sum)
  for _ = 1, n do
    m:lock()
    sum:store(sum:load() + 1)
    m:unlock()
  end
end

local n = case.times(2000000)
local seconds = case.seconds_of_all({ lock_often, n, go.mutex() })
case.report_ns("mutex", seconds, n)

n = case.times(200000)
local call = { add_often, n, go.mutex(), go.atomic() }
seconds = case.seconds_of_all(call, call, call, call)
case.report_ns("mutex_contended", seconds, 4 * n)
