-- What scripts in processes of their own begin with, for specs of states: `run`
-- gives what a goroutine returns, or raises.

local helper = require("spec.helper")

local scripts = {}

scripts.PREAMBLE = [[
  local go = require("goroutines")
  local function run(f, ...)
    local results = table.pack(go.spawn(f, ...):join())
    assert(results[1], results[2])
    return table.unpack(results, 2, results.n)
  end
  local function equal(expected, value)
    if expected ~= value then
      error(("%s ~= %s"):format(expected, value), 2)
    end
  end
]]

-- Runs the script after the preamble, which prints nothing if all is well.
function scripts.check(preamble, script, env)
  local output = helper.output({ preamble .. script, env = env })
  assert(output == "", output)
end

return scripts
