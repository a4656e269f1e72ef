-- A worker that had been woken to search for work found that its processor was
-- one too many, gave that up and went to sleep, without looking at the queues
-- and without waking anybody else; while it counted as one who searches, others
-- had queued work and woken nobody. Everybody slept, with two goroutines in the
-- global queue.

local helper = require("spec.helper")

describe("a searcher that loses its processor", function()
  it("has another one search", function()
    assert.equal("done\n", helper.output({ [[
      local go = require("goroutines")
      for _ = 1, 5 do
        local stop, out = go.chan(), go.chan()
        local function respawn(n)
          if stop:is_closed() then out:send(n) else go(respawn, n + 1) end
        end
        go(respawn, 1)
        for i = 1, 1000 do go.procs(i % 3 + 1) end
        stop:close()
        out:recv()
      end
      print("done")
    ]], env = { GOROUTINES_PROCS = 1 } }))
  end)
end)
