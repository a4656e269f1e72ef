-- A pipeline whose goroutines are cancelled at random: spec/soak/cancel.lua, but
-- not for minutes.

local helper = require("spec.helper")

local file <close> = assert(io.open("spec/soak/cancel.lua"))
local SCRIPT = file:read("a")

describe("a pipeline of channels, locks, groups and timers", function()
  for _, procs in ipairs({ 1, 2, 4 }) do
    it("accounts for every message when its goroutines are cancelled at random, "
      .. "on processors: " .. procs, function()
      local output = helper.output({ SCRIPT, limit = 25, env = {
        CANCELLATIONS = 500, GOROUTINES_PROCS = procs,
      } })
      assert.matches("^SEED=%d+ CANCELLATIONS=500\n%d+ messages: .* handlers\n$", output)
    end)
  end
end)
