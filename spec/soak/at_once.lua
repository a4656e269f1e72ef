-- So many goroutines wait in a channel at once, and are then released.

local go = require("goroutines")
local count = tonumber(arg[1])

local start = go.now()
local gate, up = go.chan(), go.chan(count)
for _ = 1, count do
  go(function()
    up:send(true)
    gate:recv()
  end)
end
for _ = 1, count do
  up:recv()
end
local created = go.now()
local without_guard = go.stats().stacks_without_guard
gate:close()
while go.count() > 1 do
  go.sleep(0.01)
end
print(("%.1f s to create, %.1f s to release, %d stacks without a guard"):format(
  created - start, go.now() - created, without_guard))
collectgarbage()
assert(go.stats().messages == 0 and go.stats().timers == 0)
