-- A chat server: what one says, all others read. One goroutine owns the room, and
-- each client has a channel from it. Who does not read what waits for him is
-- dropped: nobody waits for a slow one.
--
--   lua5.4 examples/chat.lua [port]     (and then: nc 127.0.0.1 port)

local go = require("goroutines")

local WAITING_MAX = 100 -- messages

local stop = go.signal("INT", "TERM")
local listener = assert(go.net.listen("127.0.0.1", tonumber(arg[1]) or 0))
print("listening at " .. listener:port())

local function run_room(events)
  local clients = {} -- by number

  local function tell(text, but)
    for id, client in pairs(clients) do
      if id ~= but and go.select(client.out:sending(text), go.default) == 2 then
        client.conn:close() -- ends its goroutines; the one that reads says so
        clients[id] = nil
      end
    end
  end

  for e in events do
    if e.kind == "join" then
      tell(e.name .. " is here", e.id)
      clients[e.id] = e
      e.out:send("Welcome, " .. e.name)
    elseif e.kind == "say" then
      tell(e.name .. ": " .. e.text, e.id)
    else
      clients[e.id] = nil
      e.out:close()
      tell(e.name .. " has left", e.id)
    end
  end
end

local function write_all(conn, out)
  for text in out do
    if not conn:write(text, "\n") then break end
  end
end

local function read_line(conn)
  local line = conn:read() -- nil at the end, and when the connection fails
  return line and line:gsub("%c", "")
end

local function serve(id, conn, events)
  local _ <close> = conn
  conn:write("Your name?\n")
  local name, out = read_line(conn), go.chan(WAITING_MAX)
  if not name then return end
  go(write_all, conn, out)
  events:send({ kind = "join", id = id, name = name, conn = conn, out = out })
  for text in read_line, conn do
    events:send({ kind = "say", id = id, name = name, text = text })
  end
  events:send({ kind = "leave", id = id, name = name, out = out })
end

local events = go.chan()
go(run_room, events)
go(function()
  local count = 0
  for conn in listener do
    count = count + 1
    go(serve, count, conn, events)
  end
end)

print("stopped by " .. stop:recv())
listener:close()
