-- Starts so many goroutines, one after the other; the memory must not grow.

local go = require("goroutines")
local count = tonumber(arg[1])

local function resident_kb()
  for line in io.lines("/proc/self/status") do
    local kb = line:match("^VmRSS:%s+(%d+)")
    if kb then return tonumber(kb) end
  end
end

local first
for i = 1, count do
  local ok, n = go.spawn(function(n) return n end, i):join()
  assert(ok and n == i)
  if i == count // 10 then
    collectgarbage()
    first = resident_kb()
  end
end
collectgarbage()
local last = resident_kb()
print(("memory: %d KB after a tenth, %d KB at the end"):format(first, last))
assert(last < first * 1.2 + 2000, "memory has grown")
assert(go.stats().messages == 0 and go.count() == 1)
