-- Starts 100 goroutines that do nothing in a group, and waits for them.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local GOROUTINES, ROUNDS = 100, 10

local function nothing() end

local seconds = case.average_seconds(function()
  for _ = 1, ROUNDS do
    local g <close> = go.group()
    for _ = 1, GOROUTINES do g:spawn(nothing) end
    assert(g:wait())
  end
end)
case.report_ns("group", seconds, ROUNDS * GOROUTINES)
