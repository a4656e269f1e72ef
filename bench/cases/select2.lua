-- One consumer selects over two channels, each of which has a producer: an
-- item. With channels of capacity 128, and with unbuffered ones.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local n = case.times(1000000)

local function produce(channel)
  for i = 1, n // 2 do channel:send(i) end
end

local function consume(a, b)
  local select = go.select
  for _ = 1, n // 2 * 2 do select(a, b) end
end

local function report(name, capacity)
  local a, b = go.chan(capacity), go.chan(capacity)
  local seconds =
    case.seconds_of_all({ produce, a }, { produce, b }, { consume, a, b })
  case.report_ns(name, seconds, n)
end

report("select2", 128)
report("select2_unbuffered", 0)
