-- A pool of workers takes jobs from one channel and sends results to another.
-- Which worker does a job and which result comes first is open; the number
-- of each job puts the results in order. An error in a job is a result too.
--
--   lua5.4 examples/worker_pool.lua

local go = require("goroutines")

local WORKERS, JOBS = 4, 12

local function fibonacci(n)
  if n > 30 then error("too large: " .. n, 0) end
  return n < 2 and n or fibonacci(n - 1) + fibonacci(n - 2)
end

local function work(jobs, results)
  for job in jobs do
    local ok, value = pcall(fibonacci, job.n)
    results:send({ id = job.id, ok = ok, value = value })
  end
end

local function feed(jobs)
  for id = 1, JOBS do jobs:send({ id = id, n = 9 + 2 * id }) end
  jobs:close()
end

local jobs, results = go.chan(), go.chan()
for _ = 1, WORKERS do go(work, jobs, results) end
go(feed, jobs)

local ordered = {}
for _ = 1, JOBS do
  local result = results:recv()
  ordered[result.id] = result
end
for id, result in ipairs(ordered) do
  print(id, result.ok and result.value or "failed: " .. result.value)
end
