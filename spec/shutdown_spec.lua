-- The end of the process while a thousand goroutines do everything at once.

local go = require("goroutines")
local helper = require("spec.helper")

local file <close> = assert(io.open("spec/soak/shutdown.lua"))
local SCRIPT = file:read("a")

-- How main ends: how, the status, and what is in stderr.
local ENDS = {
  { "return", 0, "" },
  { "error", 1, "main failed" },
  { "exit", 3, "" },
  { "exit_close", 4, "" },
  { "goroutine_exit", 5, "" },
}

describe("the end of the process beside a thousand goroutines", function()
  for _, row in ipairs(ENDS) do
    local how, code, message = table.unpack(row)
    it("is clean and soon, again and again: " .. how, function()
      local fastest = math.huge
      for i = 1, 4 do
        local result = helper.lua({ SCRIPT, env = {
          HOW = how, GOROUTINES_PROCS = i % 3 + 1,
        }, limit = 20 })
        local late = go.now() - result.stderr:match("^ended at (%S+)\n")
        local errors = result.stderr:gsub("^ended at %S+\n", "")
        assert.equal(code, result.code, errors)
        if message == "" then
          assert.equal("", errors)
        else
          assert.matches(message, errors, 1, true)
        end
        local handlers = ""
        if how == "exit_close" or not how:find("exit", 1, true) then
          handlers = "closed\ncollected\n"
        end
        local expected = ("line\n"):rep(1000) .. handlers
        assert.is_true(result.stdout == expected, result.stdout:sub(-30))
        fastest = math.min(fastest, late)
      end
      -- A tenth of a second for the threads that are stuck in C.
      assert.is_true(fastest < helper.within(0.3), fastest)
    end)
  end
end)
