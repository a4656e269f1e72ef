-- A goroutine sends a value into a channel of capacity 1 and receives it back:
-- a message, copied in and copied out.

local go = require("goroutines")
local transfer = dofile((arg[0]:match("^.*/") or "") .. "../transfer.lua")

local channel = go.chan(1)

transfer.report(function(value, n)
  for _ = 1, n do
    channel:send(value)
    channel:recv()
  end
end)
