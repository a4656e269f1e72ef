-- Arming the hook takes time in proportion to the depth of the Lua stack. A deep
-- recursion beside others, with short slices, got the next signal while the
-- handler still ran, again and again, and never executed another instruction. No
-- signal is sent any more while one is on its way or being handled, and what has
-- been armed is not armed again too soon: a C function was slowed down tenfold.

local helper = require("spec.helper")

describe("a recursion of 190,000 levels", function()
  it("goes on beside a hog with the shortest slices", function()
    assert.equal("true\t190000\n", helper.output({ [[
      local go = require("goroutines")
      go.procs(1)
      go.configure({ time_slice = 0.0001 })
      go(function() while true do end end)
      local function deep(n)
        if n > 0 then return 1 + deep(n - 1) end
        for _ = 1, 100000 do end
        return 0
      end
      print(go.spawn(deep, 190000):join())
    ]], limit = 20 }))
  end)
end)
