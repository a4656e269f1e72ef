-- Counts the words of all text files under some directories on all processors:
-- a pool of workers, of which main is one, receives batches of paths, and each
-- makes a table. The output is that of wordcount_sequential.lua. Meanwhile one
-- more goroutine prints the progress ten times a second, though every processor
-- is computing.
--
--   lua5.4 examples/wordcount.lua [--megabytes N] [DIR...]

local go = require("goroutines")
local here = arg[0]:match("^.*/") or ""
local common = dofile(here .. "wordcount_common.lua")

local BATCH_BYTES = 500000

-- Sends the plan as lists of paths that make up about BATCH_BYTES each.
local function feed(jobs, plan)
  local batch = { bytes = 0 }
  for _, file in ipairs(plan) do
    table.insert(batch, file.path)
    batch.bytes = batch.bytes + file.bytes
    if batch.bytes >= BATCH_BYTES then
      jobs:send(batch)
      batch = { bytes = 0 }
    end
  end
  jobs:send(batch)
  jobs:close()
end

local function work(jobs, counted, count_file)
  local counts = {}
  for batch in jobs do
    for _, path in ipairs(batch) do count_file(path, counts) end
    counted:send(batch.bytes)
  end
  return counts
end

local function report(counted, total)
  local ticker, sum = go.ticker(0.1), 0
  while true do
    local case, bytes = go.select(counted, ticker)
    if case == 1 and not bytes then break end
    if case == 1 then sum = sum + bytes end
    if case == 2 then
      io.stderr:write(("\r%.0f of %.0f MB"):format(sum / 1e6, total / 1e6))
    end
  end
  ticker:stop()
  io.stderr:write(("\r%.0f of %.0f MB\n"):format(sum / 1e6, total / 1e6))
end

-- Adds what the tasks have counted.
local function merge(counts, tasks)
  for _, task in ipairs(tasks) do
    local ok, more = task:join()
    if not ok then error(more, 0) end
    for word, count in pairs(more) do
      counts[word] = (counts[word] or 0) + count
    end
  end
end

local function count(plan, bytes)
  local jobs, counted = go.chan(go.procs()), go.chan(go.procs())
  local reporter = go.spawn(report, counted, bytes)
  go(feed, jobs, plan)
  local others = {}
  for i = 1, go.procs() - 1 do
    others[i] = go.spawn(work, jobs, counted, common.count_file)
  end
  local counts = work(jobs, counted, common.count_file)
  merge(counts, others)
  counted:close()
  reporter:join()
  return counts
end

local options = common.options(arg)
local plan, bytes = common.plan(options)
common.print_result(count(plan, bytes), options, plan, bytes)
