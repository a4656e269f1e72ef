-- Four goroutines lock for reading, and seldom for writing: a pair.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local n = case.times(2000)

local function use(rounds, rw)
  for _ = 1, rounds do
    for _ = 1, 99 do
      rw:rlock()
      rw:runlock()
    end
    rw:lock()
    rw:unlock()
  end
end

local call = { use, n, go.rwmutex() }
local seconds = case.seconds_of_all(call, call, call, call)
case.report_ns("rwmutex_read_mostly", seconds, 4 * 100 * n)
