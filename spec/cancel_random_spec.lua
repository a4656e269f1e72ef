-- Cancellation at random.

local go = require("goroutines")
local helper = require("spec.helper")

local closing = helper.closing

describe("100 goroutines that are cancelled at random", function()
  -- Messages go through two stages; each goroutine counts what it holds.
  it("account for every message, and every handler has run", function()
    for _, procs in ipairs({ 1, 2, 4 }) do
      local _ <close> = helper.procs(procs)
      local first, second = go.chan(2), go.chan(2)
      local mutex, ended = go.mutex(), go.atomic()
      local sent, received, dropped = go.atomic(), go.atomic(), go.atomic()
      local tasks = {}
      for i = 1, 100 do
        local kind = i % 3
        tasks[i] = go.spawn(function()
          local _ <close> = closing(function() ended:add(1) end)
          while true do
            if kind == 0 then
              first:send(1)
              sent:add(1)
            elseif kind == 1 then
              local v = first:recv()
              local _ <close> = closing(function() if v then dropped:add(1) end end)
              mutex:with(go.yield)
              second:send(v)
              v = nil
            else
              second:recv()
              received:add(1)
            end
          end
        end)
      end
      math.randomseed(procs)
      for i = 100, 2, -1 do
        local j = math.random(i)
        tasks[i], tasks[j] = tasks[j], tasks[i]
      end
      for i = 1, 100 do
        if i % 10 == 0 then go.sleep(0.001) end
        tasks[i]:cancel(i)
      end
      for i = 1, 100 do
        local ok, err = tasks[i]:join()
        assert.is_true(not ok and go.is_cancelled(err))
        assert.equal(i, err.reason)
      end
      assert.equal(100, ended:load())
      assert.equal(sent:load(), received:load() + dropped:load() + #first + #second)
      assert.is_true(mutex:try_lock())
    end
  end)
end)
