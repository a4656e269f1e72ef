-- Starts a goroutine that does nothing and waits for its end, in turn.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local GOROUTINES = 1000

local function nothing() end

local seconds = case.average_seconds(function()
  for _ = 1, GOROUTINES do go.spawn(nothing):join() end
end)
case.report_ns("spawn_join", seconds, GOROUTINES)
