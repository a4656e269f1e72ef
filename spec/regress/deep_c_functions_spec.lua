-- Functions of C that have functions of C as upvalues were encoded at any
-- depth, beyond the end of the C stack. They are refused like those of Lua.

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
  it("arrive when they are not too many", function()
    local ch, depth = go.chan(1), 0
    ch:send(nested(180))
    local f = ch:recv()
    while f ~= print do
      f, depth = select(2, debug.getupvalue(f, 1)), depth + 1
    end
    assert.equal(180, depth)
  end)

  it("are refused when they are", function()
    local ch = go.chan(1)
    local ok, message = pcall(ch.send, ch, nested(200000))
    assert.is_false(ok)
    assert.matches("cannot send functions nested so deeply", message, 1, true)
  end)
end)
