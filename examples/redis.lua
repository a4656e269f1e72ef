-- A client of Redis, in its protocol RESP: commands, pipelines, and messages that
-- are published to a channel of Go's kind.
--
--   lua5.4 examples/redis.lua [host [port]]

local go = require("goroutines")

local Redis = {}
Redis.__index = Redis

function Redis.connect(host, port)
  local conn, err = go.net.connect(host or "127.0.0.1", port or 6379, { timeout = 5 })
  if not conn then return nil, err end
  conn:set_timeout(5)
  return setmetatable({ conn = conn }, Redis)
end

-- A connection may be sent to another goroutine; so may a table with one.
local function encode(...)
  local words = table.pack(...)
  local parts = { "*" .. words.n .. "\r\n" }
  for i = 1, words.n do
    local word = tostring(words[i])
    parts[#parts + 1] = "$" .. #word .. "\r\n" .. word .. "\r\n"
  end
  return table.concat(parts)
end

-- A reply: a string, an integer, a list, or false for none; nil and a message for
-- an error.
function Redis:reply()
  local line, err = self.conn:read("l")
  if not line then return nil, err or "the server closed the connection" end
  local kind, rest = line:sub(1, 1), line:sub(2, -2)
  if kind == "+" then return rest end
  if kind == "-" then return nil, rest end
  if kind == ":" then return math.tointeger(rest) end
  local count = tonumber(rest)
  if count < 0 then return false end
  if kind == "$" then
    local data = self.conn:read(count + 2)
    return data:sub(1, count)
  end
  local list = {}
  for i = 1, count do
    list[i] = self:reply()
  end
  return list
end

function Redis:call(...)
  local ok, err = self.conn:write(encode(...))
  if not ok then return nil, err end
  return self:reply()
end

-- Sends all commands before it reads the first reply.
function Redis:pipeline(commands)
  local texts, replies = {}, {}
  for i, words in ipairs(commands) do
    texts[i] = encode(table.unpack(words))
  end
  -- Replies that are not read yet must not keep the server from reading.
  local writer = go.spawn(function(conn) return conn:write(table.unpack(texts)) ~= nil end,
    self.conn)
  for i = 1, #commands do
    local reply, err = self:reply()
    replies[i] = reply == nil and { error = err } or reply
  end
  writer:join()
  return replies
end

-- A channel that gets what is published under these names, as { channel =, text = }.
-- The connection is used for nothing else then; closing it closes the channel.
function Redis:subscribe(...)
  local messages, names = go.chan(16), table.pack(...)
  self.conn:set_read_timeout(nil)
  assert(self.conn:write(encode("SUBSCRIBE", ...)))
  for _ = 1, names.n do assert(self:reply()) end
  go(function(redis)
    while true do
      local message = redis:reply()
      if not message then break end
      messages:send({ channel = message[2], text = message[3] })
    end
    messages:close()
  end, self)
  return messages
end

function Redis:close()
  return self.conn:close()
end

-- The demonstration ----------------------------------------------------------

local host, port = arg[1], tonumber(arg[2])
local redis = assert(Redis.connect(host, port))
print("set", redis:call("SET", "greeting", "hello"))
print("get", redis:call("GET", "greeting"))
print("none", redis:call("GET", "no such key"))
print("wrong", select(2, redis:call("NONSENSE")))

local commands = {}
for i = 1, 1000 do
  commands[i] = { "INCRBY", "total", i }
end
redis:call("DEL", "total")
local replies = redis:pipeline(commands)
print("pipeline", #replies, replies[1000])

local subscriber = assert(Redis.connect(host, port))
local news = subscriber:subscribe("news")
go(function(to_host, to_port)
  local publisher = Redis.connect(to_host, to_port)
  for i = 1, 3 do publisher:call("PUBLISH", "news", "message " .. i) end
  publisher:close()
end, host, port)
for _ = 1, 3 do
  local message = news:recv(5)
  print(message.channel, message.text)
end
subscriber:close()
print("closed", news:recv())
redis:call("DEL", "greeting", "total")
redis:close()
