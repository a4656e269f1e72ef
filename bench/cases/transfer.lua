-- A goroutine sends a value into a channel of capacity 1 and receives it back:
-- a message, copied in and copied out. It is not main, as in the other cases:
-- what main makes and collects is the C library's memory, which takes longer.

local go = require("goroutines")
local transfer = dofile((arg[0]:match("^.*/") or "") .. "../transfer.lua")

local function run(channel)
  transfer.report(function(value, n)
    for _ = 1, n do
      channel:send(value)
      channel:recv()
    end
  end)
end

assert(go.spawn(run, go.chan(1)):join())
