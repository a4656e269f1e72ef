-- All of the language, in eight goroutines at once that are preempted all the
-- time, gives what it gives in plain Lua.

local helper = require("spec.helper")

local file <close> = assert(io.open("spec/soak/workload.lua"))
local SCRIPT = file:read("a")

describe("a mixed workload in eight goroutines", function()
  local expected

  setup(function()
    expected = helper.output({ SCRIPT, env = { SCALE = 10 }, limit = 60 })
  end)

  for _, procs in ipairs({ 1, 2, 8 }) do
    it("gives what it gives in plain Lua, on processors: " .. procs, function()
      local output = helper.output({ SCRIPT, limit = 60, env = {
        SCALE = 10, GOROUTINES = 8, GOROUTINES_PROCS = procs,
      } })
      assert.equal(expected, output)
    end)
  end
end)
