-- Several sources flow into one channel, and whoever receives from it gives up
-- after some time without news: select on the channel and on go.after.
--
--   lua5.4 examples/fan_in.lua

local go = require("goroutines")

local PATIENCE = 0.5

-- Sends its messages every period seconds, then stays silent.
local function source(name, period, out)
  for i = 1, 3 do
    go.sleep(period)
    out:send(("%s %d"):format(name, i))
  end
end

local function forward(from, to)
  for message in from do to:send(message) end
end

local function fan_in(...)
  local merged = go.chan()
  for _, channel in ipairs({ ... }) do go(forward, channel, merged) end
  return merged
end

local minutes, hours = go.chan(), go.chan()
go(source, "minute", 0.02, minutes)
go(source, "hour", 0.05, hours)

local merged = fan_in(minutes, hours)
local count = 0
while true do
  local case, message = go.select(merged, go.after(PATIENCE))
  if case == 2 then break end
  count = count + 1
  print(message)
end
print(("%d messages, then silence for %g s"):format(count, PATIENCE))
