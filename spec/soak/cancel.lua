-- Cancels goroutines of a pipeline at random, so many times: producers, workers
-- that use locks, groups, deadlines and timers while they hold a message, and
-- consumers. In the end every message is accounted for: consumed, dropped by
-- the handler of the worker that held it, or still in a channel. And every
-- handler has run once.
--
-- CANCELLATIONS and SEED in the environment.

local go = require("goroutines")

local COUNT = tonumber(os.getenv("CANCELLATIONS")) or 100000
local SEED = tonumber(os.getenv("SEED")) or os.time() % 1000000
local SLOTS, BEHIND = 60, 8 -- tasks at once; so many are joined later
local MANY = 1000000 -- messages of one producer, at most
print(("SEED=%d CANCELLATIONS=%d"):format(SEED, COUNT))
math.randomseed(SEED)

local made, passed = go.chan(4), go.chan(2)
local report = go.chan(256)
local mutex, rwmutex, semaphore = go.mutex(), go.rwmutex(), go.semaphore(2)
local opened, closed, timed = go.atomic(), go.atomic(), go.atomic()

-- What runs `f` once when the block is left, and is counted.
local function closing(f)
  opened:add(1)
  local runs = 0
  return setmetatable({}, { __close = function()
    runs = runs + 1
    assert(runs == 1, "a handler has run twice")
    closed:add(1)
    f()
  end })
end

local function nothing() end

-- A handler that waits, now and then.
local function linger()
  if math.random(4) == 1 then
    go.sleep(0.00005)
  elseif math.random(8) == 1 then
    assert(select(2, go.with_timeout(0.00005, go.sleep, 3600)) == "timeout")
  end
end

local function tell(kind, id)
  report:send({ kind, id })
end

-- Ways of spending time --------------------------------------------------------

local function hold_mutex()
  mutex:with(go.yield)
end

local function step()
  local _ <close> = closing(linger)
  if math.random(2) == 1 then hold_mutex() else go.sleep(math.random() * 0.0001) end
end

local WAYS = {
  nothing,
  hold_mutex,
  function()
    local _ <close> = mutex:guard()
    local _ <close> = closing(linger)
    go.yield()
  end,
  function()
    if math.random(4) == 1 then
      rwmutex:lock()
      local _ <close> = closing(function() rwmutex:unlock() end)
      go.yield()
    else
      rwmutex:rlock()
      local _ <close> = closing(function() rwmutex:runlock() end)
      go.sleep(0.00002)
    end
  end,
  function()
    semaphore:acquire()
    local _ <close> = closing(function() semaphore:release() end)
    go.yield()
  end,
  function() go.sleep(math.random() * 0.0002) end,
  function() go.after(math.random() * 0.0001):recv() end,
  function()
    go.timer(0.00005, function() timed:add(1) end)
    go.yield()
    timed:add(-1)
  end,
  function() go.with_timeout(0.0001, step) end,
  function()
    go.with_timeout(0.00005, function()
      local _ <close> = closing(linger)
      go.with_timeout(0.1, go.sleep, 3600)
    end)
  end,
  function()
    local g <close> = go.group({ limit = 2, keep = "none" })
    for _ = 1, 3 do g:spawn(step) end
    g:wait()
  end,
  function()
    local g <close> = go.group()
    g:spawn(step)
    g:spawn(go.sleep, 3600)
    g:cancel()
  end,
  function() go.shield(step) end,
  function() for _ = 1, 5000 do end end,
}

-- Stages -------------------------------------------------------------------------

local function produce(number)
  local sent = 0
  local _ <close> = closing(function()
    linger()
    tell("sent", number * MANY + sent)
  end)
  while true do
    made:send(number * MANY + sent + 1)
    sent = sent + 1
  end
end

local function work(number)
  math.randomseed(number)
  local held
  local _ <close> = closing(function()
    if held then tell("dropped", held) end
    linger()
  end)
  while true do
    held = made:recv()
    WAYS[math.random(#WAYS)]()
    passed:send(held)
    held = nil
  end
end

local function consume(number)
  math.randomseed(number)
  local _ <close> = closing(linger)
  while true do
    local id = passed:recv()
    go.shield(tell, "consumed", id)
  end
end

local STAGES = { produce, work, work, work, consume }

-- Takes what the stages tell, and then gives it: where each message went, how
-- many each producer has sent, and how many messages there are of each kind.
local function collect()
  local places, sent, counts = {}, {}, { consumed = 0, dropped = 0, sent = 0 }
  for event in report do
    local kind, id = table.unpack(event)
    if kind == "sent" then
      local number = id // MANY
      assert(not sent[number], "a producer has ended twice")
      sent[number] = id % MANY
      counts.sent = counts.sent + id % MANY
    else
      assert(not places[id], "a message is at two places")
      places[id] = kind
      counts[kind] = counts[kind] + 1
    end
  end
  return places, sent, counts
end

-- Cancelling ---------------------------------------------------------------------

local collector = go.spawn(collect)
local started = 0

local function start()
  started = started + 1
  return go.spawn(STAGES[started % #STAGES + 1], started)
end

local function check_ended(task, reason)
  local ok, err, traceback = task:join(60)
  assert(ok == false and go.is_cancelled(err), tostring(err) .. "\n" .. tostring(traceback))
  assert(err.reason == reason)
end

local tasks, behind = {}, {}
for i = 1, SLOTS do
  tasks[i] = start()
end
for i = 1, COUNT do
  local slot = math.random(SLOTS)
  local task = tasks[slot]
  assert(task:cancel(i))
  behind[i] = task
  tasks[slot] = start()
  if math.random(8) == 1 then go.sleep(math.random() * 0.0003) else go.yield() end
  if i > BEHIND then
    check_ended(behind[i - BEHIND], i - BEHIND)
    behind[i - BEHIND] = nil
  end
end
for i, task in pairs(behind) do
  check_ended(task, i)
end
for i = 1, SLOTS do
  tasks[i]:cancel("end")
  check_ended(tasks[i], "end")
end
report:close()
local ok, places, sent, counts = collector:join(60)
assert(ok, places)

-- Accounting ---------------------------------------------------------------------

local left = 0
for _, ch in ipairs({ made, passed }) do
  while #ch > 0 do
    local id = ch:recv()
    assert(not places[id], "a message is at two places")
    places[id] = "left"
    left = left + 1
  end
end
for number, count in pairs(sent) do
  for n = 1, count do
    local id = number * MANY + n
    assert(places[id], "a message is lost")
    places[id] = nil
  end
end
assert(not next(places), "a message was not sent")
assert(counts.sent == counts.consumed + counts.dropped + left)
go.with_timeout(60, function()
  while closed:load() < opened:load() or go.count() > 1 do go.sleep(0.001) end
end)
assert(opened:load() == closed:load(), "a handler has not run")
assert(go.count() == 1, "a goroutine is left")
assert(mutex:try_lock() and rwmutex:try_lock() and semaphore:try_acquire(2), "a lock is held")
print(("%d messages: %d consumed, %d dropped, %d left; %d handlers")
  :format(counts.sent, counts.consumed, counts.dropped, left, closed:load()))
