-- A server that sends back every line, a goroutine for each connection. Ctrl-C
-- stops it: no new connections are accepted, and the open ones are closed.
--
--   lua5.4 examples/echo.lua [port]

local go = require("goroutines")

local stop = go.signal("INT", "TERM")
local listener = assert(go.net.listen("127.0.0.1", tonumber(arg[1]) or 0))
print("listening at " .. listener:port())

local function serve(conn)
  local _ <close> = conn
  conn:set_timeout(60) -- for each read and each write
  for line in conn:lines() do
    conn:write(line, "\n")
  end
end

go(function()
  for conn in listener do go(serve, conn) end
end)

print("stopped by " .. stop:recv())
listener:close()
