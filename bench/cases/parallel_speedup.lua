-- Two CPU-bound goroutines: their time in turn over their time at once.

local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local function fib(i)
  return i < 2 and i or fib(i - 1) + fib(i - 2)
end

local work = { fib, 32 }
local in_turn = case.seconds_of_all(work) + case.seconds_of_all(work)
local at_once = case.seconds_of_all(work, work)
case.report("parallel_speedup", in_turn / at_once, "x")
