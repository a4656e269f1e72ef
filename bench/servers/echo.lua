-- The echo server for bench/echo.lua: a goroutine for each connection.

local go = require("goroutines")

local listener = assert(go.net.listen("127.0.0.1", 0))
go.stdout:write("listening at ", listener:port(), "\n")

local function serve(conn)
  while true do
    local data = conn:read("s")
    if not data or not conn:write(data) then break end
  end
  conn:close()
end

for conn in listener do go(serve, conn) end
