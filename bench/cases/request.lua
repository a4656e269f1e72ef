-- A goroutine sends 64 bytes over TCP to another one, which sends them back, every
-- millisecond, 1,000 times or for 2.5 s, beside 0, 2, 8 and 32 endless loops: how
-- long each round trip takes.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local BYTES = 64
local n = case.times(1000)

local function hog()
  while true do end
end

local function echo(conn)
  while true do
    local data = conn:read("s")
    if not data or not conn:write(data) then break end
  end
end

local function client(port)
  local conn <close> = assert(go.net.connect("127.0.0.1", port))
  local message, took, stop = ("m"):rep(BYTES), {}, go.now() + 2.5
  while #took < n and go.now() < stop do
    local start = go.now()
    conn:write(message)
    conn:read(BYTES)
    took[#took + 1] = go.now() - start
    go.sleep(0.001)
  end
  return took
end

local listener = assert(go.net.listen("127.0.0.1", 0))
go(function()
  for conn in listener do go(echo, conn) end
end)

local running = 0
for _, hogs in ipairs({ 0, 2, 8, 32 }) do
  while running < hogs do
    go(hog)
    running = running + 1
  end
  local ok, took = go.spawn(client, listener:port()):join()
  assert(ok, took)
  case.report_late(("request_%dhogs_"):format(hogs), took)
end
