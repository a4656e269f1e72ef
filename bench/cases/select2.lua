-- One consumer selects over two channels of capacity 128, each of which has a
-- producer: an item.

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

local a, b = go.chan(128), go.chan(128)
local seconds =
  case.seconds_of_all({ produce, a }, { produce, b }, { consume, a, b })
case.report_ns("select2", seconds, n)
