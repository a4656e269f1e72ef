-- Two goroutines send to and fro over unbuffered channels: a round trip.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local n = case.times(300000)

local function ping(out, back)
  for i = 1, n do
    out:send(i)
    back:recv()
  end
  out:close()
end

local function pong(out, back)
  for i in out do back:send(i) end
end

local out, back = go.chan(), go.chan()
local seconds = case.seconds_of_all({ ping, out, back }, { pong, out, back })
case.report_ns("pingpong", seconds, n)
