-- The cases for plain coroutines, with a scheduler as one writes it in a few
-- lines: a queue of those that can go on.

local peer = dofile((arg[0]:match("^.*/") or "") .. "../peer.lua")

local create, resume = coroutine.create, coroutine.resume
local running, pause = coroutine.running, coroutine.yield

local ready, first, last = {}, 1, 0

local function wake(co)
  last = last + 1
  ready[last] = co
end

local function yield()
  wake(running())
  pause()
end

local function loop()
  while first <= last do
    local co = ready[first]
    ready[first] = nil
    first = first + 1
    assert(resume(co))
  end
end

-- Those that wait for a signal, which wakes all.
local condition = {}
condition.__index = condition

local function new_condition()
  return setmetatable({}, condition)
end

function condition:wait()
  self[#self + 1] = running()
  pause()
end

function condition:signal()
  for i = 1, #self do
    wake(self[i])
    self[i] = nil
  end
end

local function spawn(f)
  local task = { ended = new_condition() }
  wake(create(function()
    f()
    task.done = true
    task.ended:signal()
  end))
  return task
end

local function join(task)
  if not task.done then task.ended:wait() end
end

local function nothing() end

peer.run({
  now = os.clock,
  spawn = spawn,
  yield = yield,

  all = function(functions)
    for _, f in ipairs(functions) do wake(create(f)) end
    loop()
  end,

  spawn_join = function()
    join(spawn(nothing))
  end,

  spawn_many = function(count)
    local tasks = {}
    for i = 1, count do tasks[i] = spawn(nothing) end
    for _, task in ipairs(tasks) do join(task) end
  end,

  channel = function(capacity)
    return peer.channel(capacity, new_condition)
  end,

  select = function(a, b)
    while a.empty() and b.empty() do yield() end
    return (a.empty() and b or a):recv()
  end,

  gate = function()
    local gate = new_condition()
    gate.open = gate.signal
    return gate
  end,
})
