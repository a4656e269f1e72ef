-- Ten clients send 64 bytes to a server over TCP and wait for them to come back:
-- per round trip of any of them.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local CLIENTS, BYTES = 10, 64
local n = case.times(5000)

local function echo(conn)
  while true do
    local data = conn:read("s")
    if not data or not conn:write(data) then break end
  end
  conn:close()
end

local function client(port)
  local conn <close> = assert(go.net.connect("127.0.0.1", port))
  local message = ("m"):rep(BYTES)
  for _ = 1, n do
    conn:write(message)
    conn:read(BYTES)
  end
end

local listener = assert(go.net.listen("127.0.0.1", 0))
go(function()
  for conn in listener do go(echo, conn) end
end)

local calls = {}
for i = 1, CLIENTS do calls[i] = { client, listener:port() } end
local seconds = case.seconds_of_all(table.unpack(calls))
case.report_ns("echo", seconds, n * CLIENTS)
