-- Passes TCP connections on to another server. Each way ends by itself: who has
-- finished writing can still read the answer.
--
--   lua5.4 examples/proxy.lua host port [own port]

local go = require("goroutines")

local host, port = arg[1] or "127.0.0.1", tonumber(arg[2])
if not port then error("usage: proxy.lua host port [own port]", 0) end

local stop = go.signal("INT", "TERM")
local listener = assert(go.net.listen("127.0.0.1", tonumber(arg[3]) or 0))
print("listening at " .. listener:port())

-- One way. A slow reader slows the writer down: no more is read than was written.
local function copy(from, to)
  while true do
    local data, why = from:read("s")
    if not data and not why then -- the end, of this way
      to:shutdown()
      return
    end
    if not data or not to:write(data) then break end
  end
  from:close() -- one of the two has failed
  to:close()
end

local function serve(client)
  local _ <close> = client
  local server <close>, why = go.net.connect(host, port, { timeout = 10 })
  if not server then
    io.stderr:write("no connection to ", host, ": ", why, "\n")
    return
  end
  local g <close> = go.group() -- waits for both ways
  g:spawn(copy, client, server)
  g:spawn(copy, server, client)
end

go(function()
  for client in listener do go(serve, client) end
end)

print("stopped by " .. stop:recv())
listener:close()
