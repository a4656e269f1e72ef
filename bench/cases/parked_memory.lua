-- 100,000 goroutines that wait in a receive on one channel: by how much each
-- makes the process grow, and how long each takes to create and to release. And
-- the first of it for 20,000 that use the standard libraries.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local n = case.times(100000)

local function park(arrived, gate)
  arrived:send(true)
  gate:recv()
end

local function park_full(arrived, gate)
  local words = {}
  for word in ("with all standard libraries"):gmatch("%a+") do
    words[#words + 1] = word:upper()
  end
  table.sort(words)
  arrived:send(utf8.len(table.concat(words, " ")) + math.max(1, os.time()))
  gate:recv()
end

-- Until there are so many goroutines.
local function release(gate, left)
  gate:close()
  while go.count() > left do go.sleep(0.001) end
end

-- Bytes for each of so many, seconds to create them, and their gate.
local function create(count, body)
  local arrived, gate = go.chan(128), go.chan()
  local before = case.resident_bytes()
  local create_s = case.seconds(function()
    for _ = 1, count do go(body, arrived, gate) end
    for _ = 1, count do arrived:recv() end
  end)
  go.sleep(0.05) -- the last ones are between send and recv
  return (case.resident_bytes() - before) / count, create_s, gate
end

local bytes, create_s, gate = create(n, park)
-- Beside the others, or what these leave free would be used again.
local full_bytes, _, full_gate = create(case.times(20000), park_full)
release(full_gate, n + 1)
local release_s = case.seconds(function() release(gate, 1) end)
case.report("parked_memory", bytes, "bytes")
case.report("parked_memory_full", full_bytes, "bytes")
case.report_ns("parked_create", create_s, n)
case.report_ns("parked_release", release_s, n)
