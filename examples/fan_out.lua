-- Fan-out and fan-in: several workers take from one channel, and their results
-- flow into another, which is closed when the last worker has ended.
--
--   lua5.4 examples/fan_out.lua

local go = require("goroutines")

local WORKERS, JOBS = 4, 30

local function collatz(n)
  local steps = 0
  while n ~= 1 do
    n = n % 2 == 0 and n // 2 or 3 * n + 1
    steps = steps + 1
  end
  return steps
end

local function work(jobs, results)
  for n in jobs do results:send({ n = n, steps = collatz(n) }) end
end

-- Fans out to the workers, and closes what they send to.
local function fan(jobs, results)
  do
    local workers <close> = go.group()
    for _ = 1, WORKERS do workers:spawn(work, jobs, results) end
  end
  results:close()
end

local jobs, results = go.chan(), go.chan()
local g <close> = go.group()
g:spawn(fan, jobs, results)
g:spawn(function()
  for n = 1, JOBS do jobs:send(n) end
  jobs:close()
end)

local longest = { steps = 0 }
for result in results do
  if result.steps > longest.steps then longest = result end
end
print(("%d takes the most steps up to %d: %d"):format(longest.n, JOBS, longest.steps))
