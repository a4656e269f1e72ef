-- Main gave way, its thread took the other goroutine, and a worker that was free
-- took main, which it could only hand back to main's thread. That made way at the
-- end of its slice, when the worker slept again: the two changed places for ever,
-- and never ran at the same time. A free worker now has that thread make way at
-- once, and takes what ran there.

local helper = require("spec.helper")

describe("main and a goroutine that computes", function()
  it("run at the same time on two processors, as often as main looks", function()
    assert.equal("ok\n", helper.output({ [[
      local go = require("goroutines")
      go.procs(2)
      for _ = 1, 30 do
        local stop = go.chan(1)
        local task = go.spawn(function() repeat until #stop > 0 end)
        while task:status() ~= "running" do go.yield() end
        stop:send(true)
        task:join()
      end
      print("ok")
    ]], limit = 20 }))
  end)
end)
