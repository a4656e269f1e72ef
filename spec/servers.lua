-- Programs that serve: the examples, each in a process of its own.

local go = require("goroutines")
local helper = require("spec.helper")

local servers = {}

local started = {}

-- Has it killed by kill_all.
function servers.add(p)
  started[#started + 1] = p
  return p
end

-- Nothing that a test started outlives it.
function servers.kill_all()
  while #started > 0 do
    table.remove(started):kill("KILL")
  end
end

-- Starts a script that prints its port; returns the process and the port.
function servers.start(script)
  local p = servers.add(assert(go.process.spawn({ "sh", "-c",
    "exec " .. helper.command .. " " .. script, stdout = "pipe" })))
  p.stdout:set_timeout(helper.within(10))
  return p, tonumber(p.stdout:read():match("listening at (%d+)"))
end

-- Stops it and returns what it said.
function servers.stop(p)
  p:kill("TERM")
  local said = p.stdout:read("a")
  assert(p:wait(helper.within(10)) == 0)
  servers.kill_all()
  return said
end

return servers
