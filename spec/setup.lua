-- Loaded by busted before the specs (see .busted): puts a time limit on every
-- test, and checks after each that nothing of it is left in the runtime.
--
-- SPEC_LIMIT in the environment is the time limit in seconds (30); SPEC_SLICE
-- is the time slice in seconds, and SPEC_PAUSE the pause of the garbage
-- collector in main.

local busted = require("busted")
local go = require("goroutines")
local helper = require("spec.helper")

local LIMIT = tonumber(os.getenv("SPEC_LIMIT")) or 30

if os.getenv("SPEC_SLICE") then
  go.configure({ time_slice = tonumber(os.getenv("SPEC_SLICE")) })
end
if os.getenv("SPEC_PAUSE") then
  collectgarbage("setpause", tonumber(os.getenv("SPEC_PAUSE")))
end

local function expire(name, limit)
  io.stderr:write(("\n%s\nover its time limit of %g s\n"):format(name, limit))
  os.exit(124)
end

local watchdog, baseline

busted.subscribe({ "test", "start" }, function(test, parent)
  local name = ("%s %s"):format(parent and parent.name or "", test.name)
  watchdog = go.timer(LIMIT, expire, name, LIMIT)
  baseline = helper.baseline()
  return nil, true
end)

busted.subscribe({ "test", "end" }, function(_, _, status)
  local ok, message = true, nil
  if status == "success" then
    ok, message = pcall(helper.check_baseline, baseline)
  end
  watchdog:stop()
  if not ok then
    error(message, 0)
  end
  return nil, true
end)
