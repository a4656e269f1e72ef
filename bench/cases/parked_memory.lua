-- 100,000 goroutines that wait in a receive on one channel: by how much each
-- makes the process grow, and how long each takes to create and to release.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local n = case.times(100000)

local function park(arrived, gate)
  arrived:send(true)
  gate:recv()
end

local function create(arrived, gate)
  for _ = 1, n do go(park, arrived, gate) end
  for _ = 1, n do arrived:recv() end
end

local function release(gate)
  gate:close()
  while go.count() > 1 do go.sleep(0.001) end
end

local arrived, gate = go.chan(128), go.chan()
local before = case.resident_bytes()
local create_s = case.seconds(function() create(arrived, gate) end)
go.sleep(0.05) -- the last ones are between send and recv
local grown = case.resident_bytes() - before
case.report("parked_memory", grown / n, "bytes")
case.report_ns("parked_create", create_s, n)
case.report_ns("parked_release", case.seconds(function() release(gate) end), n)
