-- Starts 10,000 goroutines that do nothing, then waits for all; over and over.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local GOROUTINES = 10000

local function nothing() end

local function round()
  local tasks = {}
  for i = 1, GOROUTINES do tasks[i] = go.spawn(nothing) end
  for _, task in ipairs(tasks) do task:join() end
end

round() -- the first one pays for memory that the others reuse
case.report_ns("spawn_many", case.average_seconds(round), GOROUTINES)
