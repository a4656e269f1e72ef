-- A small HTTP/1.1 server: connections that stay open, time limits, routes, and
-- an end that lets requests under way finish.
--
--   lua5.4 examples/httpd.lua [port]

local go = require("goroutines")

local IDLE, WHOLE_BODY = 30, 1024 * 1024 -- seconds, bytes
local REASONS = { [200] = "OK", [400] = "Bad Request", [404] = "Not Found",
  [405] = "Method Not Allowed", [413] = "Content Too Large",
  [500] = "Internal Server Error" }

-- Routes: a function of the request gives the body, or a status and a body. A
-- goroutine has a copy of all this; what requests share is go's: here, a count.
local hits = go.atomic()

local routes = {}

routes["GET /"] = function() return "Hello from goroutine " .. go.self().id .. "\n" end
routes["GET /hits"] = function() return hits:load() .. "\n" end
routes["POST /echo"] = function(request) return request.body end
routes["GET /slow"] = function() go.sleep(0.5) return "slow\n" end
routes["GET /error"] = function() error("oops") end

-- Reads a request: nil at the end of the connection, or nil and a status.
local function read_request(conn)
  local line = conn:read("l")
  if not line then return nil end
  local method, path, version = line:match("^(%u+) (%S+) HTTP/(1%.[01])\r?$")
  if not method then return nil, 400 end
  local headers = {}
  for field in conn:lines() do
    if field == "\r" or field == "" then break end
    local name, value = field:match("^([^%s:]+):%s*(.-)%s*$")
    if not name then return nil, 400 end
    headers[name:lower()] = value
  end
  local length = tonumber(headers["content-length"] or 0)
  if not length then return nil, 400 end
  if length > WHOLE_BODY then return nil, 413 end
  local body = length > 0 and conn:read(length) or ""
  if #body < length then return nil, 400 end
  local keeps = (headers.connection or ""):lower() ~= "close" and version == "1.1"
  return { method = method, path = path:match("^[^?]*"), headers = headers,
           body = body, keeps = keeps }
end

local function respond(conn, status, body, keeps)
  return conn:write("HTTP/1.1 ", status, " ", REASONS[status],
    "\r\nContent-Length: ", #body, "\r\nConnection: ",
    keeps and "keep-alive" or "close", "\r\n\r\n", body)
end

local function answer(request)
  local handle = routes[request.method .. " " .. request.path]
  if not handle then
    local other = routes["GET " .. request.path] or routes["POST " .. request.path]
    return other and 405 or 404, ""
  end
  hits:add(1)
  local ok, status, body = pcall(handle, request)
  if not ok then
    io.stderr:write(tostring(status), "\n")
    return 500, ""
  end
  if type(status) ~= "number" then status, body = 200, status end
  return status, body
end

local function serve(conn)
  local _ <close> = conn
  conn:set_timeout(IDLE)
  while true do
    local request, status = read_request(conn)
    if not request then
      if status then respond(conn, status, "", false) end
      return
    end
    local body
    status, body = answer(request)
    if not respond(conn, status, body, request.keeps) or not request.keeps then
      return
    end
  end
end

local stop = go.signal("INT", "TERM")
local listener = assert(go.net.listen("127.0.0.1", tonumber(arg[1]) or 0))
print("listening at " .. listener:port())

local serving = go.waitgroup()
go(function()
  for conn in listener do
    serving:add(1)
    go(function()
      pcall(serve, conn)
      serving:done()
    end)
  end
end)

stop:recv()
listener:close()
serving:wait(2) -- what is under way may take so long
print("stopped")
