-- The end of main closes its Lua state, which unloads the C modules it has
-- loaded; a goroutine that was in a call of such a module then returned into
-- nothing. The workers are stopped first now, and nothing is unloaded if one of
-- them is stuck.

local helper = require("spec.helper")

describe("the end of main", function()
  it("leaves C modules alone that a goroutine is in", function()
    for _ = 1, 20 do
      assert.equal("", helper.output({ [[
        local go, fixture = require("goroutines"), require("fixture")
        go(function() fixture.nanosleep(0.15) end)
        go.sleep(0.01)
      ]] }))
    end
  end)
end)
