-- 100,000 goroutines sleep three times each, from 0.1 to 1 s: the CPU time of all
-- that, and how late they go on.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local n = case.times(100000)
local gate, up, results = go.chan(), go.chan(n), go.chan(n)

local function sleeper(i)
  local late = {}
  up:send(true)
  gate:recv()
  for j = 1, 3 do
    local seconds = ((i * 7919 + j * 104729) % 900 + 100) / 1000
    local start = go.now()
    go.sleep(seconds)
    late[j] = go.now() - start - seconds
  end
  results:send(late)
end

for i = 1, n do
  go(sleeper, i)
end
for _ = 1, n do
  up:recv()
end
local cpu = os.clock()
gate:close()
local all = {}
for _ = 1, n do
  for _, late in ipairs(results:recv()) do
    all[#all + 1] = late
  end
end
case.report("sleepers_cpu", (os.clock() - cpu) / (3 * n) * 1e9, "ns")
case.report_late("sleepers_", all)
