-- The interpreter's hook for Ctrl-C raises in whatever call comes next. If that
-- was the writing of a captured global, its error was taken for the reason why the
-- global could not be sent, and Ctrl-C had no effect.

local helper = require("spec.helper")

describe("Ctrl-C while functions are sent", function()
  it("interrupts main", function()
    for i = 1, 10 do
      local result = helper.lua({ ([[
        local go = require("goroutines")
        for n = 1, 50 do _G["global" .. n] = { n } end
        local body = { "return function() return " }
        for n = 1, 50 do body[#body + 1] = "global" .. n .. ", " end
        local f = load(table.concat(body) .. "1 end")()
        local pid = io.open("/proc/self/stat"):read("n")
        os.execute(("(sleep 0.%%02d; kill -INT %%d) &"):format(%d, pid))
        while true do go.spawn(f) end
      ]]):format(i * 2), limit = 20 })
      assert.equal(1, result.code)
      assert.truthy(result.stderr:find("interrupted!", 1, true), result.stderr)
    end
  end)
end)
