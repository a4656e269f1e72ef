-- A goroutine that ran on a processor too many, just after their number was
-- reduced, was not seen by the deadlock check: main was told that all were
-- asleep. And a processor on its way from one worker to another was taken for
-- an idle one when their number was raised.

local helper = require("spec.helper")

describe("a change of the number of processors", function()
  it("is no deadlock", function()
    for procs = 1, 2 do
      assert.equal("done\n", helper.output({ [[
        local go = require("goroutines")
        for i = 1, 2000 do
          local task = go.spawn(function() return i end)
          go.procs(i % 3 + 1)
          assert(select(2, task:join()) == i)
        end
        print("done")
      ]], env = { GOROUTINES_PROCS = procs } }))
    end
  end)

  it("does not hide one", function()
    for i = 1, 20 do
      local result = helper.lua({ ([[
        local go = require("goroutines")
        for _ = 1, 5 do go(function() go.chan():recv() end) end
        go.procs(%d)
        go.procs(1)
        go.chan():recv()
      ]]):format(i % 4 + 1), env = { GOROUTINES_PROCS = 4 }, limit = 5 })
      assert.matches("all goroutines are asleep", result.stderr)
      assert.equal(1, result.code)
    end
  end)
end)
