-- All go idle again and again, with something still to come each time: that is
-- never a deadlock. And real ones are found, every time. ROUNDS in the
-- environment is how often each of that.

local go = require("goroutines")
local fixture = require("fixture")
local rounds = tonumber(os.getenv("ROUNDS")) or 10000

-- Ways in which the next step comes from outside all queues.
local ways = {}

function ways.sleeps()
  for i = 1, rounds do
    go.sleep(i % 50 * 1e-6)
  end
end

function ways.timers()
  local ch = go.chan()
  for i = 1, rounds // 4 do
    go.timer(i % 50 * 1e-6, function() ch:send(i) end)
    ch:recv()
  end
end

function ways.time_limits()
  local ch = go.chan()
  for i = 1, rounds do
    ch:recv(i % 50 * 1e-6)
  end
end

-- Two with a thread each: a processor goes to and fro.
function ways.threads()
  local there, back = go.chan(), go.chan()
  local task = go.spawn({ thread = true }, function()
    for v in there do
      back:send(v)
    end
  end)
  go.lock_thread()
  for i = 1, rounds // 4 do
    there:send(i)
    assert(back:recv() == i)
  end
  go.unlock_thread()
  there:close()
  assert(task:join())
end

-- Blocked in C, announced and not, while all others wait.
function ways.calls()
  local nanosleep = require("fixture").nanosleep
  for i = 1, rounds // 10 do
    nanosleep(i % 50 * 1e-6)
    go.blocking(nanosleep, i % 50 * 1e-6)
  end
end

function ways.spawns()
  for i = 1, rounds // 4 do
    local ok, v = go.spawn(function()
      go.sleep(i % 20 * 1e-6)
      return i
    end):join()
    assert(ok and v == i)
  end
end

for _, procs in ipairs({ 1, 2, 8 }) do
  go.procs(procs)
  go.configure({ time_slice = procs == 2 and 0.0001 or 0.01 })
  for name, way in pairs(ways) do
    way() -- in main
    local ok, err = go.spawn(way):join()
    assert(ok, name .. ": " .. tostring(err))
  end
  local tasks = {}
  for _, way in pairs(ways) do
    table.insert(tasks, go.spawn(way))
  end
  for i = 1, rounds // 10 do
    go.procs(i % procs + 1)
    go.sleep(1e-5)
  end
  for _, task in ipairs(tasks) do
    assert(task:join())
  end
end

local ch, found = go.chan(), 0
for _ = 1, rounds // 10 do
  found = found + (pcall(ch.recv, ch) and 0 or 1)
end
assert(found == rounds // 10)
assert(fixture)
print("no false deadlock, and " .. found .. " real ones")
