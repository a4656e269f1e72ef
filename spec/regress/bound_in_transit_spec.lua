-- A worker that serves a bound goroutine passes its processor on and then waits
-- for another. When its goroutine became runnable in between, it was with that
-- worker alone, in no queue: the last processor to go idle found it runnable, and
-- took that for a lost wake-up. Such a worker counts as busy.

local helper = require("spec.helper")

describe("a goroutine with a thread of its own", function()
  it("may be woken while its thread passes its processor on", function()
    assert.equal("ok\n", helper.output({ [[
      local go = require("goroutines")
      go.procs(2)
      for _ = 1, 300 do
        local there, back = go.chan(), go.chan()
        local task = go.spawn({ thread = true }, function()
          for v in there do back:send(v) end
        end)
        for i = 1, 10 do
          there:send(i)
          assert(back:recv() == i)
        end
        there:close()
        assert(task:join())
      end
      print("ok")
    ]], limit = 20 }))
  end)

  it("may be main while its thread leaves a goroutine that loads modules", function()
    assert.equal("ok\n", helper.output({ [[
      local go = require("goroutines")
      package.preload.own = function() return {} end
      for _ = 1, 500 do
        assert(go.spawn(function() return require("own") end):join())
      end
      print("ok")
    ]], limit = 20 }))
  end)
end)
