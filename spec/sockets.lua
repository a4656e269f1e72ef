-- Connections for specs: pairs of ends, servers, and what raises.

local go = require("goroutines")

local sockets = {}

-- A path where there is nothing yet.
function sockets.path()
  local path = os.tmpname()
  os.remove(path)
  return path
end

-- Two ends of a connection: of "TCP", the default, or "Unix".
function sockets.pair(kind)
  local path = kind == "Unix" and sockets.path()
  local l = assert(path and go.net.listen_unix(path)
    or go.net.listen("127.0.0.1", 0))
  local dialled = assert(path and go.net.connect_unix(path)
    or go.net.connect("127.0.0.1", l:port()))
  local accepted = assert(l:accept(5))
  l:close()
  return dialled, accepted
end

-- Calls body(kind, pair) for both kinds of connection.
function sockets.each_kind(body)
  for _, kind in ipairs({ "TCP", "Unix" }) do
    body(kind, function() return sockets.pair(kind) end)
  end
end

-- A server that answers each connection by `serve(conn)` in a goroutine.
function sockets.server(serve)
  local l = assert(go.net.listen("127.0.0.1", 0))
  go(function()
    for conn in l do
      go(function()
        serve(conn)
        conn:close()
      end)
    end
  end)
  return l
end

-- Sends back all that comes, until the end.
function sockets.echo(conn)
  while true do
    local data = conn:read("s")
    if not data or not conn:write(data) then
      return
    end
  end
end

-- The message of the error that f(...) raises.
function sockets.failure(f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok, "no error")
  return err
end

-- Checks that f(...) raises "bad argument " .. message.
function sockets.check_argument(message, f, ...)
  local err = sockets.failure(f, ...)
  assert(err == "bad argument " .. message, err)
end

return sockets
