-- The cases for lua-cqueues: coroutines of one controller.

local cqueues = require("cqueues")
local condition = require("cqueues.condition")
local promise = require("cqueues.promise")
local thread = require("cqueues.thread")
local peer = dofile((arg[0]:match("^.*/") or "") .. "../peer.lua")

local function nothing() end

peer.run({
  now = cqueues.monotime,
  spawn = promise.new,
  sleep = cqueues.sleep,

  yield = function()
    cqueues.sleep(0)
  end,

  all = function(functions)
    local controller = cqueues.new()
    for _, f in ipairs(functions) do controller:wrap(f) end
    assert(controller:loop())
  end,

  spawn_join = function()
    promise.new(nothing):get()
  end,

  spawn_many = function(count)
    local tasks = {}
    for i = 1, count do tasks[i] = promise.new(nothing) end
    for _, task in ipairs(tasks) do task:get() end
  end,

  channel = function(capacity)
    return peer.channel(capacity, condition.new)
  end,

  select = function(a, b)
    while a.empty() and b.empty() do cqueues.poll(a.filled, b.filled) end
    return (a.empty() and b or a):recv()
  end,

  gate = function()
    local gate = condition.new()
    return {
      wait = function() gate:wait() end,
      open = function() gate:signal() end,
    }
  end,

  thread = function(f)
    local started = assert(thread.start(function(_, code)
      load(code, "thread", "b")()
    end, string.dump(f)))
    return function() assert(started:join()) end
  end,
})
