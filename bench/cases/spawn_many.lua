-- Starts 10,000 goroutines that do nothing, then waits for all; over and over.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local GOROUTINES = 10000
local rounds = case.times(10)

local function nothing() end

local function round()
  local all = go.waitgroup()
  for _ = 1, GOROUTINES do all:go(nothing) end
  all:wait()
end

round() -- the first one pays for memory that the others reuse
local seconds = case.seconds(function()
  for _ = 1, rounds do round() end
end)
case.report_ns("spawn_many", seconds, rounds * GOROUTINES)
