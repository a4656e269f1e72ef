-- One producer, one consumer, a channel of capacity 128: an integer.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local n = case.times(2000000)

local function produce(channel)
  for i = 1, n do channel:send(i) end
end

local function consume(channel)
  for _ = 1, n do channel:recv() end
end

local channel = go.chan(128)
local seconds = case.seconds_of_all({ produce, channel }, { consume, channel })
case.report_ns("stream_int", seconds, n)
