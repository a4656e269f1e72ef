-- Arming the hook takes time in proportion to the depth of the Lua stack. A deep
-- recursion beside others, with short slices, got the next signal while the
-- handler still ran, again and again: it hardly ever executed an instruction, and
-- a C function below such a stack, such as the traceback of its overflow, took
-- minutes. No signal is sent any more while one is on its way or being handled,
-- and what has been armed is not armed again too soon. In each slice, the
-- goroutine goes on for longer than arming takes: it took 8 s, and takes 2.

local helper = require("spec.helper")

describe("a stack that overflows", function()
  it("is reported beside a hog with the shortest slices", function()
    assert.equal("false\ttrue\n", helper.output({ [[
      local go = require("goroutines")
      go.procs(1)
      go.configure({ time_slice = 0.0001 })
      go(function() while true do end end)
      local function deep() return 1 + deep() end
      local ok, err = go.spawn(deep):join()
      print(ok, err:find("stack overflow", 1, true) ~= nil)
    ]], limit = 20 }))
  end)
end)
