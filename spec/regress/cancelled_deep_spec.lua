-- Whether a handler runs is seen by looking through the whole stack, which took
-- steps in the square of its depth, at each wait of a goroutine that is
-- cancelled, and on each strike of its hook: deep in a recursion it hardly
-- executed an instruction between two slices, and took minutes.

local helper = require("spec.helper")

describe("a goroutine that is cancelled", function()
  it("deep in a recursion ends soon", function()
    assert.equal("20\tfalse\tcancelled\n", helper.output({ [[
      local go = require("goroutines")
      local ch, count = go.chan(), go.atomic()
      local function deep(n)
        if n > 0 then
          return 1 + deep(n - 1)
        end
        for _ = 1, 20 do
          if not pcall(ch.recv, ch) then
            count:add(1)
          end
        end
        return 0
      end
      local task = go.spawn(deep, 100000)
      while task:status() ~= "waiting" do
        go.yield()
      end
      task:cancel()
      local ok, err = task:join()
      print(count:load(), ok, tostring(err))
    ]], limit = 20 }))
  end)
end)
