-- The cases for lua-luv: coroutines that wait for handles of libuv's loop, and
-- threads with Lua states of their own.

local uv = require("luv")
local peer = dofile((arg[0]:match("^.*/") or "") .. "../peer.lua")

local HOUR_MS = 3600 * 1000

local function go_on(co)
  assert(coroutine.resume(co))
end

local function start(f)
  go_on(coroutine.create(f))
end

-- The loop's clock stands still during a callback, until it is asked to go on.
local function wait_ms(timer, ms)
  local co = coroutine.running()
  uv.update_time()
  timer:start(ms, 0, function()
    timer:close()
    go_on(co)
  end)
  coroutine.yield()
end

local function sleep(seconds)
  wait_ms(uv.new_timer(), math.floor(seconds * 1000 + 0.5))
end

local function nothing() end

peer.run({
  now = function() return uv.hrtime() / 1e9 end,
  spawn = start,
  sleep = sleep,

  yield = function()
    local co, idle = coroutine.running(), uv.new_idle()
    idle:start(function()
      idle:close()
      go_on(co)
    end)
    coroutine.yield()
  end,

  all = function(functions)
    for _, f in ipairs(functions) do start(f) end
    uv.run()
  end,

  spawn_join = function()
    uv.new_thread(nothing):join()
  end,

  spawn_many = function(count)
    local co, running = coroutine.running(), count
    local work = uv.new_work(nothing, function()
      running = running - 1
      if running == 0 then go_on(co) end
    end)
    for _ = 1, count do work:queue() end
    coroutine.yield()
  end,

  gate = function()
    local waiting = {}
    return {
      wait = function()
        local timer = uv.new_timer()
        waiting[timer] = coroutine.running()
        wait_ms(timer, HOUR_MS)
      end,
      open = function()
        for timer, co in pairs(waiting) do
          timer:close()
          go_on(co)
        end
      end,
    }
  end,

  thread = function(f)
    local thread = uv.new_thread(f)
    return function() thread:join() end
  end,
})
