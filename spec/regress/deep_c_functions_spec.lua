-- Functions of C that have functions of C as upvalues were encoded at any
-- depth, beyond the end of the C stack.

local go = require("goroutines")

-- string.gmatch makes one with upvalues, of which the last is userdata.
local function nested(depth)
  local f = print
  for _ = 1, depth do
    local outer = string.gmatch("", "")
    debug.setupvalue(outer, 1, f)
    debug.setupvalue(outer, 2, "")
    debug.setupvalue(outer, 3, false)
    f = outer
  end
  return f
end

describe("functions of C in functions of C", function()
  it("arrive, however many they are", function()
    for _, count in ipairs({ 1, 100, 180, 200000 }) do
      local ch, depth = go.chan(1), 0
      ch:send(nested(count))
      local f = ch:recv()
      while f ~= print do
        f, depth = select(2, debug.getupvalue(f, 1)), depth + 1
      end
      assert.equal(count, depth)
    end
  end)
end)
