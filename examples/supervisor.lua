-- A supervised worker: when it fails it is started again, after a pause that
-- grows; after too many failures in a row the supervisor gives up.
--
--   lua5.4 examples/supervisor.lua

local go = require("goroutines")

local RESTARTS, PAUSE = 3, 0.001

-- Runs `f(attempt, ...)` until it ends well. The worker never outlives this call.
local function supervise(name, f, ...)
  local err
  for attempt = 1, RESTARTS + 1 do
    local g <close> = go.group()
    g:spawn({ name = name }, f, attempt, ...)
    local ok
    ok, err = g:wait()
    if ok then return true end
    print(("%s, attempt %d: %s"):format(name, attempt, err))
    go.sleep(PAUSE * 2 ^ attempt)
  end
  return nil, "gave up: " .. err
end

local function flaky(attempt)
  if attempt < 3 then error("not yet", 0) end
  print("flaky worker has done its work")
end

local function hopeless()
  error("no way", 0)
end

print(supervise("flaky", flaky))
print(supervise("hopeless", hopeless))
