-- No alarm can be set once main has ended. A goroutine that tried just then, and had
-- not been told of the end yet, failed with "not enough memory", and said so.

local helper = require("spec.helper")

describe("goroutines that make timers when main ends", function()
  it("end silently", function()
    for _ = 1, 10 do
      assert.equal("", helper.output({ [[
        local go = require("goroutines")
        local quit, up = go.chan(), go.chan()
        for _ = 1, 5000 do
          go(function() up:send(true) quit:recv() end)
          up:recv()
        end
        for _ = 1, 8 do
          go(function() while true do go.after(3600) end end)
        end
        go.sleep(0.01)
      ]], env = { GOROUTINES_PROCS = 4 } }))
    end
  end)
end)
