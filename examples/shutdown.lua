-- Graceful shutdown: when the quit channel is closed the server takes no more
-- requests; those under way have some time to end, and are then cancelled. Each
-- tidies up behind itself.
--
--   lua5.4 examples/shutdown.lua

local go = require("goroutines")

local PATIENCE = 0.2

local function handle(name, seconds)
  local _ <close> = setmetatable({}, { __close = function(_, err)
    print(name .. (err and " was cancelled" or " has ended"))
  end })
  go.sleep(seconds)
end

local function serve(requests, quit, started)
  local g <close> = go.group({ on_error = "collect" })
  while true do
    local case, request = go.select(quit, requests)
    if case == 1 then break end
    g:spawn(handle, request.name, request.seconds)
    started:send(request.name)
  end
  print("shutting down")
  local _, why = g:wait(PATIENCE)
  if why == "timeout" then
    g:cancel("shutdown")
    g:wait()
  end
end

local requests, quit, started = go.chan(), go.chan(), go.chan()
local server = go.spawn(serve, requests, quit, started)
for _, request in ipairs({ { "quick", 0.005 }, { "endless", 3600 } }) do
  requests:send({ name = request[1], seconds = request[2] })
  started:recv()
end
quit:close()
assert(server:join())
print("stopped")
