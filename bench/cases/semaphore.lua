-- One goroutine, and four, acquire and release a unit of a semaphore: a pair.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local function acquire_often(n, s)
  for _ = 1, n do
    s:acquire()
    s:release()
  end
end

local function hold_often(n, s)
  local yield = go.yield
  for _ = 1, n do
    s:acquire()
    yield()
    s:release()
  end
end

local n = case.times(2000000)
local seconds = case.seconds_of_all({ acquire_often, n, go.semaphore(1) })
case.report_ns("semaphore", seconds, n)

n = case.times(200000)
local call = { hold_often, n, go.semaphore(2) }
seconds = case.seconds_of_all(call, call, call, call)
case.report_ns("semaphore_contended", seconds, 4 * n)
