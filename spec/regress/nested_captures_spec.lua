-- What a __transfer mentions is written in the midst of the value that it is of,
-- and so on: each started to count its depth anew, until the C stack was used up,
-- and the receiver, which counted on, took the message for damaged.

local helper = require("spec.helper")

local SCRIPT = [[
  local go = require("goroutines")
  -- Chains of functions, whose innermost has what mentions the next chain.
  local function build(chains, depth)
    for k = chains, 1, -1 do
      local rebuild = load(("return function() return G%d and 1 or 1 end"):format(k + 1))()
      local value = setmetatable({}, { __transfer = function() return rebuild end })
      local f = function() return value end
      for _ = 1, depth do
        local inner = f
        f = function() return inner end
      end
      _G["G" .. k] = f
    end
  end
  local function start()
    return go.spawn(function() return type(G1) end):join()
  end
  for _, chains in ipairs({ 1, 2, 3, 10, 40, 60, 100, 1000 }) do
    for _, depth in ipairs({ 10, 60, 180, 1000 }) do
      build(chains, depth)
      local ok, result = start()
      local expected = chains <= 40 and "^function$"
        or chains >= 100 and "cannot send a __transfer within so many" or ""
      assert(result:find(expected), result)
      for k = 1, chains do _G["G" .. k] = nil end
      local again, inside = go.spawn(function(c, d)
        build(c, d)
        return start()
      end, chains, depth):join()
      assert(again and inside == ok, inside)
    end
  end
]]

describe("what a __transfer mentions", function()
  it("is refused where it is nested too deeply, and uses no stack without end", function()
    assert.equal("", helper.output({ SCRIPT }))
  end)
end)
